"""`FrozenEncoder`: a frozen pretrained encoder as the features of any model, such as a classical one."""

from typing import Any

from torch import nn

from ser.errors import ConfigError
from ser.models.encoders.checkpoint import Architecture, build_encoder, fetch
from ser.models.encoders.embedding import Embedding, Summary


class FrozenEncoder(Embedding):
    """The states of a frozen encoder, or their statistics over time; see `ser.models.encoders.embedding.Embedding`.

    Args:
        checkpoint: A folder with a checkpoint of transformers, or the name of one on the Hugging Face Hub.
        layer: The layer to use, 0 being the input of the first; ``None`` uses all.
        summary: ``mean`` or ``statistics`` (mean and deviation) over time, one vector a clip; or all ``frames``.
        sample_rate: In Hz.
        revision, pickle, silence, attention, batch_seconds: See `ser.models.encoders.settings.EncoderSettings`.
        architecture: What `ser.models.encoders.checkpoint.fetch` returns about the encoder. If given, as in our
            checkpoints, the encoder is built from it, untrained, and ``checkpoint`` is not read.

    Attributes:
        rebuilt_from: ``_target_`` and arguments that build it without the files of the checkpoint.

    Raises:
        ConfigError: If the checkpoint cannot be read, or has no such layer or another sampling rate.
    """

    costly = True
    """Worth keeping on disk between runs; see `ser.models.classifier.SpeechClassifier.cache_key`."""

    def __init__(
        self,
        checkpoint: str,
        layer: int | None = None,
        summary: Summary = "statistics",
        sample_rate: int = 16000,
        revision: str | None = None,
        pickle: bool = False,
        silence: float = 1.0,
        attention: str = "auto",
        batch_seconds: float | None = None,
        architecture: Architecture | None = None,
    ) -> None:
        weights = None
        if architecture is None:
            architecture, weights = fetch(checkpoint, revision, pickle)
        net = build_encoder(architecture, attention, silence)
        if weights is not None:
            net.load_state_dict(weights)
        if net.sample_rate != sample_rate:
            raise ConfigError(
                f"audio.sample_rate must be {net.sample_rate} for this encoder; got {sample_rate}. "
                f"Set audio.sample_rate={net.sample_rate}."
            )
        if layer is not None and (type(layer) is not int or not 0 <= layer < net.n_states):
            raise ConfigError(f"features.layer must be from 0 to {net.n_states - 1}, or null for all; got {layer!r}.")
        if summary not in ("frames", "mean", "statistics"):
            raise ConfigError(f"features.summary must be frames, mean or statistics; got {summary!r}.")
        super().__init__(net.requires_grad_(False).eval(), layer, summary, batch_seconds)
        self.one_frame = summary != "frames"
        self.provenance = {"encoder": {name: architecture[name] for name in ("checkpoint", "revision", "sha256")}}
        self.rebuilt_from: dict[str, Any] = {
            "_target_": f"{__name__}.FrozenEncoder",
            "checkpoint": architecture["checkpoint"],  # not its local path
            "layer": layer,
            "summary": summary,
            "sample_rate": sample_rate,
            "silence": silence,
            "attention": attention,
            "batch_seconds": batch_seconds,
            "architecture": dict(architecture),
        }

    def train(self, mode: bool = True) -> "FrozenEncoder":
        """Stay in evaluation mode, dropout included, whatever the mode of the model."""
        nn.Module.train(self, False)
        return self
