"""The settings of a pretrained model in three groups, each of which checks itself: the encoder, its training, the heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ser.errors import ConfigError

Pool = Literal["mean", "statistics", "attentive"]


@dataclass(frozen=True)
class EncoderSettings:
    """Which encoder, and how it is run.

    Args:
        checkpoint: A folder with a checkpoint of transformers, or the name of one on the Hugging Face Hub.
        revision: Of a checkpoint on the hub: a commit, tag or branch. The commit found is kept in the model.
        pickle: Accept pickled weights where there are no safetensors; they are read as plain tensors.
        layer: ``mix`` learns a weighted mean of all layers; a number takes one, 0 being the input of the first.
        silence: Seconds of silence after each clip, for Whisper (`ser.models.encoders.whisper.WhisperEncoder`).
        attention: ``auto``, ``sdpa`` or ``eager``.
        batch_seconds: See `ser.models.encoders.embedding.Embedding`.
        cache: Compute the features of a frozen encoder once, and keep them beside the waveform stores.
    """

    checkpoint: str = ""
    revision: str | None = None
    pickle: bool = False
    layer: Literal["mix"] | int = "mix"
    silence: float = 1.0
    attention: str = "auto"
    batch_seconds: float | None = None
    cache: bool = True


@dataclass(frozen=True)
class FinetuneSettings:
    """What of the encoder is trained, and how.

    Args:
        layers: ``none`` freezes the encoder, a number trains that many of its top layers, ``all`` trains all of them.
        front_end: Train the convolutions below the transformer too, with ``layers=all``.
        lora: ``rank``, ``alpha`` and optionally ``dropout`` and ``targets`` of `ser.models.encoders.lora.add_lora`:
            only these adapters are trained of the encoder.
        lr: Learning rate of the encoder's top layer; ``None`` takes the optimizer's.
        layer_decay: Factor from the learning rate of each layer to that of the layer below.
        mask: Arguments of `ser.models.encoders.masks.SpanMask`: SpecAugment inside an encoder that is trained.
        gradient_checkpointing: Recompute layers in the backward pass instead of storing their activations.
        compile: Compile the encoder's layers with torch; worth it on a GPU, in long trainings.

    Raises:
        ConfigError: If settings contradict each other.
    """

    layers: Literal["none", "all"] | int = "none"
    front_end: bool = False
    lora: Mapping[str, Any] | None = None
    lr: float | None = None
    layer_decay: float = 1.0
    mask: Mapping[str, Any] | None = None
    gradient_checkpointing: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        if self.lora is not None and self.layers not in ("none", 0):
            raise ConfigError(
                f"model.finetune.layers must be none with model.finetune.lora, which trains its adapters alone; "
                f"got {self.layers!r}. Drop one of the two."
            )
        if self.front_end and self.layers != "all":
            raise ConfigError(
                f"model.finetune.front_end must be false unless model.finetune.layers=all; got layers={self.layers!r}. "
                "The convolutions are below the layers."
            )


@dataclass(frozen=True)
class HeadSettings:
    """The heads on the encoder's features.

    Args:
        pool: ``mean``, ``statistics`` (mean and deviation) or ``attentive`` statistics over time.
        count: How many heads are trained on the same features; their probabilities are averaged.
        hidden: Units of a head's layer before the last; ``None`` omits that layer.
        dropout: Before each linear layer.
        swap: Share of the training clips whose embedding gets the mean of another training speaker in place of that of
            their own, so that heads learn to ignore who speaks; with ``normalise=training``.

    Raises:
        ConfigError: If a setting cannot be used.
    """

    pool: Pool = "statistics"
    count: int = 1
    hidden: int | None = None
    dropout: float = 0.5
    swap: float = 0.0

    def __post_init__(self) -> None:
        if self.pool not in get_args(Pool):
            raise ConfigError(f"model.head.pool must be one of {', '.join(get_args(Pool))}; got {self.pool!r}.")
        if self.count < 1:
            raise ConfigError(f"model.head.count must be at least 1; got {self.count}.")
        if not 0 <= self.swap <= 1:
            raise ConfigError(f"model.head.swap must be a share of the clips, from 0 to 1; got {self.swap}.")
