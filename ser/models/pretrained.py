"""A pretrained speech encoder with a small head: frozen, or with its top layers, all layers or low-rank adapters trained.

The encoder is the model's features: `ser.models.encoders` builds it from any speech checkpoint of transformers.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.datamodules.batch import Batch
from ser.errors import ConfigError, RunError
from ser.features.normalise import Statistics
from ser.features.precision import at_least_float32
from ser.models.classifier import Config, SpeechClassifier, groups_of
from ser.models.encoders import lora as adapters
from ser.models.encoders.checkpoint import Architecture, build_encoder, fetch
from ser.models.encoders.embedding import Embedding, Summary
from ser.models.encoders.encoder import Encoder
from ser.models.encoders.masks import SpanMask
from ser.models.encoders.settings import EncoderSettings, FinetuneSettings, HeadSettings
from ser.models.head import Head
from ser.runtime import distributed
from ser.runtime.instantiate import settings_from

if TYPE_CHECKING:
    from ser.datamodules.data import SpeechData


class Pretrained(SpeechClassifier):
    """Pretrained encoder, normalised embeddings, and heads: a mix of layers, pooling over time, one or two linear layers.

    Args:
        task: See `SpeechClassifier`; its ``features`` are empty.
        encoder: The entries of `EncoderSettings`.
        finetune: The entries of `FinetuneSettings`.
        head: The entries of `HeadSettings`.
        architecture: What `ser.models.encoders.checkpoint.fetch` returns about the encoder. If given, as in our
            checkpoints, the encoder is built from it, untrained, and ``encoder.checkpoint`` is not read.

    Raises:
        ConfigError: If the checkpoint cannot be read or does not fit, or settings contradict each other.
    """

    features: Embedding

    def __init__(
        self, task: Config, encoder: Config, finetune: Config, head: Config, architecture: Architecture | None = None
    ) -> None:
        if task["features"]:
            raise ConfigError("features must be own for a pretrained encoder, which brings its own. Set features=own.")
        chosen = settings_from(EncoderSettings, encoder, "model.encoder")
        tuning = settings_from(FinetuneSettings, finetune, "model.finetune")
        heads = settings_from(HeadSettings, head, "model.head")
        _check_together(chosen, tuning, heads, task["normalise"].get("by"))
        weights: dict[str, Tensor] | None = None
        if architecture is None:
            architecture, weights = fetch(chosen.checkpoint, chosen.revision, chosen.pickle)
        net = build_encoder(architecture, chosen.attention, chosen.silence)
        if weights is not None:
            net.load_state_dict(weights)
        _check_rate(net, task["audio"])
        summary: Summary = "frames" if heads.pool == "attentive" else heads.pool
        embedding = Embedding(net, _layer(chosen.layer, net), summary, chosen.batch_seconds)
        super().__init__({**task, "features": embedding})
        self.architecture, self.encoder, self.finetune, self.head = architecture, chosen, tuning, heads
        self.hparams["architecture"] = dict(architecture)
        self.hparams["encoder"] = {**encoder, "checkpoint": architecture["checkpoint"]}  # not its local path
        self.hparams["finetune"] = {**finetune, "compile": False}  # a prediction is too short for compiling to pay
        _choose_trained(net, tuning.layers, tuning.front_end)
        if tuning.lora is not None:
            adapters.add_lora(net, **{"targets": adapters.default_targets(architecture["family"]), **tuning.lora})
        self.is_frozen = not any(p.requires_grad for p in embedding.parameters())
        if self.normalise.groups and not self.is_frozen:
            raise ConfigError(
                f"normalise must not be {self.normalise.by} where the encoder is trained, since it needs statistics of fixed "
                "features. Set model.finetune.layers=none and model.finetune.lora=null."
            )
        if tuning.mask is not None and not self.is_frozen:
            net.mask = SpanMask(**tuning.mask)
        net.gradient_checkpointing(tuning.gradient_checkpointing)
        if tuning.compile:
            for block in net.blocks:
                block.compile(dynamic=True)
        size, attend = (net.width, True) if heads.pool == "attentive" else (embedding.size, False)
        shape = embedding.n_layers, size, attend, heads.hidden, len(self.classes), heads.dropout
        self.heads = nn.ModuleList(Head(*shape) for _ in range(heads.count))
        self.train()

    @override
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        each = torch.stack(self.outputs(features, lengths))  # (head, batch, class)
        if self.numeric:
            return at_least_float32(each).mean(dim=0)
        logits: Tensor = at_least_float32(each).log_softmax(dim=2).logsumexp(dim=0)  # of the mean, up to a constant
        return logits

    @override
    def outputs(self, features: Tensor, lengths: Tensor) -> list[Tensor]:
        layers = torch.unflatten(features, 1, (self.features.n_layers, self.features.size))
        return [head(layers, lengths) for head in self.heads]

    @override
    def fit_statistics(self, data: "SpeechData", *, resumed: bool = False) -> None:
        super().fit_statistics(data, resumed=resumed)
        if self.head.swap:
            voices = self.moments(data, data.split.train, "speaker")
            data.check_fitted(voices.rows)
            self._voices = voices.mean()[..., None].to(self.normalise.mean)  # (speaker, feature, 1)
            self._training = (voices.clips[:, 0] > 0).nonzero()[:, 0].to(self.device)

    @override
    def training_statistics(self, batch: Batch) -> Statistics | None:
        if not self.head.swap:
            return super().training_statistics(batch)
        count, device = len(batch.speaker), batch.speaker.device
        other = self._training[torch.randint(len(self._training), (count,), device=device)]
        lent = torch.rand(count, device=device) < self.head.swap
        shift = self._voices[batch.speaker] - self._voices[torch.where(lent, other, batch.speaker)]
        return Statistics(self.normalise.mean + shift, self.normalise.deviation.expand_as(shift))

    def train(self, mode: bool = True) -> "Pretrained":
        """Set the training mode; the parts that are not trained stay in evaluation mode, dropout included."""
        super().train(mode)
        encoder = self.features.encoder
        for part in [encoder, nn.ModuleList(encoder.stem), *encoder.blocks]:
            if not any(p.requires_grad for p in part.parameters()):
                part.eval()
        return self

    @override
    def cache_key(self) -> dict[str, Any] | None:
        if not (self.encoder.cache and self.is_frozen):
            return None
        chosen = {"layer": self.encoder.layer, "pool": self.features.summary, "silence": self.encoder.silence}
        return {**chosen, **{name: self.architecture[name] for name in ("family", "config", "preprocessor", "sha256")}}

    @override
    def shards(self) -> list[nn.Module]:
        return [*self.features.encoder.blocks, self.features.encoder, *self.heads]

    @override
    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return the heads' groups first, then those of the encoder's layers from the top, each with a lower rate."""
        encoder = self.features.encoder
        rate, decay = lr if self.finetune.lr is None else self.finetune.lr, self.finetune.layer_decay
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
        """Fold the LoRA adapters into the encoder's weights: the same predictions, without their cost."""
        adapters.merge_lora(self.features.encoder)

    @override
    def provenance(self) -> dict[str, Any]:
        return {"encoder": {name: self.architecture[name] for name in ("checkpoint", "revision", "sha256")}}

    @override
    def unchanging(self) -> dict[str, Tensor]:
        if distributed.world_size() > 1:
            from torch.distributed.fsdp import FSDPModule  # late: slow to import

            if isinstance(self.features.encoder, FSDPModule):
                return {}
        trained = {name for name, p in self.named_parameters() if p.requires_grad}
        return {k: v for k, v in self.state_dict().items() if k.startswith("features.") and k not in trained}

    @override
    def check_resumable(self, hparams: Config) -> None:
        began, now = (x["sha256"] for x in (hparams["architecture"], self.architecture))
        if began != now:
            raise RunError(
                f"model.encoder.checkpoint must hold the weights that training started with (SHA-256 {began[:12]}); got "
                f"{self.architecture['checkpoint']} with SHA-256 {now[:12]}. Set model.encoder.checkpoint and "
                "model.encoder.revision to the former, or start a new run."
            )


def _check_together(encoder: EncoderSettings, finetune: FinetuneSettings, head: HeadSettings, by: str | None) -> None:
    if head.swap and by != "training":
        raise ConfigError(
            f"normalise must be training with model.head.swap, which shifts by speakers' means; got {by}."
        )
    if by == "utterance" and head.pool != "attentive":
        raise ConfigError(
            f"normalise must not be utterance with model.head.pool={head.pool}, which leaves one frame per clip: "
            "nothing would remain of it. Set normalise=training, or model.head.pool=attentive."
        )
    if encoder.layer == 0 and (finetune.lora is not None or finetune.layers not in ("none", 0, "all")):
        raise ConfigError(
            "model.encoder.layer must not be 0 where top layers are trained: it is their input, so that training them would "
            "change nothing. Set model.encoder.layer=mix."
        )


def _check_rate(encoder: Encoder, audio: Config) -> None:
    if encoder.sample_rate != audio["sample_rate"]:
        raise ConfigError(
            f"audio.sample_rate must be {encoder.sample_rate} for this encoder; got {audio['sample_rate']}. "
            f"Set audio.sample_rate={encoder.sample_rate}."
        )


def _layer(layer: str | int, encoder: Encoder) -> int | None:
    """Return the selected layer; ``None`` for the mix of all."""
    if layer == "mix":
        return None
    if type(layer) is not int or not 0 <= layer < encoder.n_states:
        raise ConfigError(f"model.encoder.layer must be mix, or from 0 to {encoder.n_states - 1}; got {layer!r}.")
    return layer


def _choose_trained(encoder: Encoder, layers: str | int, front_end: bool) -> None:
    """Require gradients only of the parts of an encoder that are trained."""
    blocks = list(encoder.blocks)
    if layers == "all":  # except what transformers itself keeps fixed: Whisper's sinusoidal positions
        encoder.feature_extractor.requires_grad_(front_end)
        return
    encoder.requires_grad_(False)
    if type(layers) is int and 0 < layers <= len(blocks):
        below = {id(p) for part in [*encoder.stem, *blocks[: len(blocks) - layers]] for p in part.parameters()}
        for parameter in encoder.parameters():
            parameter.requires_grad_(id(parameter) not in below)
    elif layers not in ("none", 0):
        raise ConfigError(
            f"model.finetune.layers must be none, all, or a number of top layers up to {len(blocks)}; got {layers!r}."
        )
