"""A pretrained speech encoder with a small head: frozen, its top layers trained, all of it, or low-rank adapters in it.

The encoder is the model's features: `ser.models.encoders` makes it from any checkpoint of transformers that hears speech.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ser.datamodules.batch import Batch
from ser.errors import ConfigError, RunError
from ser.features.normalise import By, Statistics
from ser.models.classifier import Config, SpeechClassifier, groups_of
from ser.models.encoders import lora as adapters
from ser.models.encoders.checkpoint import Architecture, build_encoder, fetch
from ser.models.encoders.embedding import Embedding
from ser.models.encoders.encoder import Encoder
from ser.models.encoders.masks import SpanMask
from ser.models.head import Head
from ser.runtime import distributed

Pool = Literal["mean", "statistics", "attentive"]


class Pretrained(SpeechClassifier):
    """Pretrained encoder, normalised embeddings, and heads of a mix of layers, pooling over time, one or two linear layers.

    Args:
        checkpoint: A folder with a checkpoint of transformers, or the name of one on the Hugging Face Hub.
        revision: Of a checkpoint of the Hub: a commit, tag or branch. What it was is kept in ``architecture``.
        pickle: Take pickled weights where there are no safetensors; they are read as plain tensors.
        trained: ``none`` freezes the encoder, a number trains as many of its top layers, ``all`` trains all of them.
        front_end: Train the convolutions below the transformer too, with ``trained=all``.
        lora: ``rank``, ``alpha`` and optionally ``dropout`` and ``targets`` of `ser.models.encoders.lora.add_lora`: only
            these adapters are trained of the encoder.
        layer: ``mix`` learns a weighted mean of all layers; a number takes one, 0 what enters the first.
        pool: ``mean``, ``statistics`` (mean and deviation) or ``attentive`` statistics over time.
        heads: How many are trained on the same features; their probabilities are averaged.
        hidden: Units of a head's layer before the last; ``None`` goes without.
        dropout: Before each linear layer.
        mask: Arguments of `ser.models.encoders.masks.SpanMask`, SpecAugment inside an encoder that is trained.
        silence: Behind each clip in seconds, for Whisper (`ser.models.encoders.whisper.WhisperEncoder`).
        attention: ``auto``, ``sdpa`` or ``eager``.
        gradient_checkpointing: Recompute layers in the backward pass rather than hold what they computed.
        batch_seconds: See `ser.models.encoders.embedding.Embedding`.
        compile: Have torch compile the encoder's layers, where that pays: on a GPU, in long trainings.
        swap: Share of the training clips whose embedding gets the mean of another training speaker in place of their own
            speaker's, so that heads learn to do without knowing who speaks; with ``normalise=training``.
        cache: Compute the features of a frozen encoder once, and keep them beside the waveform stores.
        architecture: What `ser.models.encoders.checkpoint.fetch` says of the encoder. Given, as in our checkpoints, the
            encoder is made from it, untrained, and ``checkpoint`` is not looked at.
        optimizer: Beside those of `SpeechClassifier`, ``encoder_lr`` and ``layer_decay``, by which each layer's rate is
            smaller than that of the one above it.
        classes, audio, features, normalise, augment, loss, stamps: See `SpeechClassifier`; ``features`` is empty.

    Raises:
        ConfigError: If the checkpoint cannot be had or does not fit, or settings contradict each other.
    """

    features: Embedding

    def __init__(
        self,
        classes: Sequence[str],
        audio: Config,
        features: Config,
        normalise: By,
        augment: Mapping[str, Config],
        optimizer: Config,
        loss: Config,
        stamps: Sequence[str] = (),
        checkpoint: str = "",
        revision: str | None = None,
        pickle: bool = False,
        trained: Literal["none", "all"] | int = "none",
        front_end: bool = False,
        lora: Config | None = None,
        layer: Literal["mix"] | int = "mix",
        pool: Pool = "statistics",
        heads: int = 1,
        hidden: int | None = None,
        dropout: float = 0.5,
        mask: Config | None = None,
        silence: float = 1.0,
        attention: str = "auto",
        gradient_checkpointing: bool = False,
        batch_seconds: float | None = None,
        compile: bool = False,
        swap: float = 0.0,
        cache: bool = True,
        architecture: Architecture | None = None,
    ) -> None:
        if features:
            raise ConfigError("A pretrained encoder has features of its own: take features=own, which is none.")
        _check_head(pool, normalise, heads, swap)
        _check_trained(layer, trained, lora)
        weights: dict[str, Tensor] | None = None
        if architecture is None:
            architecture, weights = fetch(checkpoint, revision, pickle)
        encoder = build_encoder(architecture, attention, silence)
        if weights is not None:
            encoder.load_state_dict(weights)
        _check_rate(encoder, audio)
        embedding = Embedding(encoder, _layer(layer, encoder), "frames" if pool == "attentive" else pool, batch_seconds)
        super().__init__(classes, audio, embedding, normalise, augment, optimizer, loss, stamps)
        self.save_hyperparameters()
        self.hparams["architecture"] = dict(architecture)
        self.hparams["compile"] = False  # what a checkpoint is loaded for does not pay for it, nor need a compiler
        self.architecture, self.cache, self.swap = architecture, cache, swap
        _choose_trained(encoder, trained, front_end)
        if lora is not None:
            adapters.add_lora(encoder, **{"targets": adapters.default_targets(architecture["family"]), **lora})
        self.is_frozen = not any(p.requires_grad for p in embedding.parameters())
        if normalise == "speaker" and not self.is_frozen:
            raise ConfigError(
                "normalise=speaker takes statistics of fixed features: it needs trained=none and no lora."
            )
        if mask is not None and not self.is_frozen:
            encoder.mask = SpanMask(**mask)
        encoder.gradient_checkpointing(gradient_checkpointing)
        if compile:
            for block in encoder.blocks:
                block.compile(dynamic=True)
        size, attend = (encoder.width, True) if pool == "attentive" else (embedding.size, False)
        shape = embedding.n_layers, size, attend, hidden, len(self.classes), dropout
        self.heads = nn.ModuleList(Head(*shape) for _ in range(heads))
        self.train()

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """See `SpeechClassifier.classify`."""
        each = torch.stack(self._each(features, lengths))  # (head, batch, class)
        logits: Tensor = each.float().log_softmax(dim=2).logsumexp(dim=0)  # of the mean, but for a constant
        return logits

    def loss(self, features: Tensor, frames: Tensor, soft: Tensor) -> Tensor:
        """See `SpeechClassifier.loss`: the mean over heads, each of which learns by itself."""
        losses = [self.cross_entropy(logits, soft) for logits in self._each(features, frames)]
        return torch.stack(losses).mean()

    def on_fit_start(self) -> None:
        """See `SpeechClassifier.on_fit_start`; and take the training speakers' means, where they are swapped."""
        super().on_fit_start()
        if self.swap:
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            voices = self.moments(data, data.split.train)
            data.check_fitted(voices.rows)
            self._voices = voices.mean()[..., None].to(self.normalise.mean)  # (speaker, feature, 1)
            self._training = (voices.clips[:, 0] > 0).nonzero()[:, 0].to(self.device)

    def training_statistics(self, batch: Batch) -> Statistics | None:
        """See `SpeechClassifier.training_statistics`: those of a clip that another speaker's mean is lent to."""
        if not self.swap:
            return super().training_statistics(batch)
        count, device = len(batch.speaker), batch.speaker.device
        other = self._training[torch.randint(len(self._training), (count,), device=device)]
        lent = torch.rand(count, device=device) < self.swap
        shift = self._voices[batch.speaker] - self._voices[torch.where(lent, other, batch.speaker)]
        return Statistics(self.normalise.mean + shift, self.normalise.deviation.expand_as(shift))

    def _each(self, features: Tensor, lengths: Tensor) -> list[Tensor]:
        layers = features.view(len(features), self.features.n_layers, self.features.size, -1)
        return [head(layers, lengths) for head in self.heads]

    def train(self, mode: bool = True) -> "Pretrained":
        """What is not trained stays in evaluation mode, dropout and all."""
        super().train(mode)
        encoder = self.features.encoder
        for part in [encoder, nn.ModuleList(encoder.stem), *encoder.blocks]:
            if not any(p.requires_grad for p in part.parameters()):
                part.eval()
        return self

    def cache_key(self) -> dict[str, Any] | None:
        """See `SpeechClassifier.cache_key`: of a frozen encoder that hears every clip as it is."""
        if not (self.cache and self.is_frozen and not self.waveform_augment):
            return None
        chosen = {"layer": self.hparams["layer"], "pool": self.features.summary, "silence": self.hparams["silence"]}
        return {**chosen, **{name: self.architecture[name] for name in ("family", "config", "preprocessor", "sha256")}}

    def shards(self) -> list[nn.Module]:
        """See `SpeechClassifier.shards`: each layer of the encoder, what is left of it, and the heads."""
        return [*self.features.encoder.blocks, self.features.encoder, *self.heads]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `SpeechClassifier.parameter_groups`: the head first, then the encoder's layers from the top, each slower."""
        encoder = self.features.encoder
        rate, decay = self.optimizer.get("encoder_lr", self.optimizer["lr"]), self.optimizer.get("layer_decay", 1.0)
        inside = {id(p) for p in encoder.parameters()}
        groups = groups_of(p for p in self.parameters() if id(p) not in inside)
        blocks = list(encoder.blocks)
        in_blocks = {id(p) for block in blocks for p in block.parameters()}
        in_stem = {id(p) for part in encoder.stem for p in part.parameters()}
        above = [p for p in encoder.parameters() if id(p) not in in_blocks | in_stem]
        groups += groups_of(above, lr=rate)
        for depth, block in enumerate(reversed(blocks)):
            groups += groups_of(block.parameters(), lr=rate * decay**depth)
        groups += groups_of([p for part in encoder.stem for p in part.parameters()], lr=rate * decay ** len(blocks))
        return [group for group in groups if group["params"]]

    def merge(self) -> None:
        """Fold the adapters of ``lora`` into the encoder's weights: the same predictions, and nothing left to slow them."""
        adapters.merge_lora(self.features.encoder)

    # ---- checkpoints

    def origin(self) -> dict[str, Any]:
        """See `SpeechClassifier.origin`: the checkpoint, its revision on the hub, and the SHA-256 of its weights."""
        return {"encoder": {name: self.architecture[name] for name in ("checkpoint", "revision", "sha256")}}

    def unchanging(self) -> dict[str, Tensor]:
        """See `SpeechClassifier.unchanging`: the frozen weights of the encoder, unless they are spread over devices."""
        if self._is_sharded():
            return {}
        trained = {name for name, p in self.named_parameters() if p.requires_grad}
        return {k: v for k, v in self.state_dict().items() if k.startswith("features.") and k not in trained}

    def _is_sharded(self) -> bool:
        if distributed.world_size() == 1:
            return False
        from ser.models.sharding import is_sharded  # late, as it takes its time

        return is_sharded(self.features.encoder)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `SpeechClassifier.on_load_checkpoint`.

        Raises:
            RunError: If the checkpoint that the encoder is made from is not the one that the training began with.
        """
        began, now = (x["sha256"] for x in (checkpoint["hyper_parameters"]["architecture"], self.architecture))
        if began != now:
            raise RunError(
                f"{self.architecture['checkpoint']} holds other weights (SHA-256 {now[:12]}) than the training began with "
                f"({began[:12]}). Give it those again (model.checkpoint, model.revision), or start a new run."
            )
        super().on_load_checkpoint(checkpoint)


def _check_head(pool: str, normalise: str, heads: int, swap: float) -> None:
    if not 0 <= swap <= 1:
        raise ConfigError(f"model.swap is a share of the clips, 0 to 1, not {swap}.")
    if swap and normalise != "training":
        raise ConfigError(f"model.swap lends speakers' means to others, and needs normalise=training, not {normalise}.")
    if heads < 1:
        raise ConfigError(f"model.heads is {heads}, but a model has at least 1.")
    if pool not in get_args(Pool):
        raise ConfigError(f"model.pool is one of {', '.join(get_args(Pool))}, not {pool!r}.")
    if normalise == "utterance" and pool != "attentive":
        raise ConfigError(
            f"model.pool={pool} leaves one frame a clip, of which normalise=utterance would leave nothing: take "
            "model.normalise=training, or model.pool=attentive."
        )


def _check_trained(layer: str | int, trained: str | int, lora: Config | None) -> None:
    if lora is not None and trained not in ("none", 0):
        raise ConfigError(f"model.lora trains its adapters alone: it needs trained=none, not {trained!r}.")
    if layer == 0 and (lora is not None or trained not in ("none", 0, "all")):
        raise ConfigError("model.layer=0 is what goes into the layers, so that training some of them changes nothing.")


def _check_rate(encoder: Encoder, audio: Config) -> None:
    if encoder.sample_rate != audio["sample_rate"]:
        raise ConfigError(f"The encoder hears {encoder.sample_rate} Hz: take audio.sample_rate={encoder.sample_rate}.")


def _layer(layer: str | int, encoder: Encoder) -> int | None:
    """The layer asked for; ``None`` for their mix."""
    if layer == "mix":
        return None
    if type(layer) is not int or not 0 <= layer < encoder.n_states:
        raise ConfigError(f"model.layer is mix, or one of 0 to {encoder.n_states - 1}, not {layer!r}.")
    return layer


def _choose_trained(encoder: Encoder, trained: str | int, front_end: bool) -> None:
    """Leave gradients to what is trained of an encoder."""
    blocks = list(encoder.blocks)
    if trained == "all":  # all but what transformers itself holds fixed: Whisper's positions, which are sinusoids
        encoder.feature_extractor.requires_grad_(front_end)
        return
    encoder.requires_grad_(False)
    if type(trained) is int and 0 < trained <= len(blocks):
        below = {id(p) for part in [*encoder.stem, *blocks[: len(blocks) - trained]] for p in part.parameters()}
        for parameter in encoder.parameters():
            parameter.requires_grad_(id(parameter) not in below)
    elif trained not in ("none", 0):
        raise ConfigError(
            f"model.trained is none, all, or a number of top layers up to {len(blocks)}, not {trained!r}."
        )
    if front_end:
        raise ConfigError("model.front_end=true trains the convolutions below the layers, and needs trained=all.")
