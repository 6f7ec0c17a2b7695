"""`SpeechClassifier`: what every model shares, from raw waveform to logits, and from a file to a table of emotions.

A model holds all that a prediction needs (how audio is decoded, the features, their normalisation, the class names), so
that its checkpoint alone predicts. A subclass adds one method, `SpeechClassifier.classify`.
"""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from ser.audio.decode import AudioSettings
from ser.datamodules.batch import Batch
from ser.datamodules.speech import SpeechDataModule
from ser.errors import ConfigError
from ser.features.normalise import By, Moments, Normalise, Statistics
from ser.models.clips import AudioInput, batches, named_clips
from ser.runtime import distributed
from ser.runtime.instantiate import instantiate

Config = Mapping[str, Any]
LEFT_OUT = "ser_left_out"
"""In a checkpoint: how many weights it goes without, since training does not change them."""
STATES = {"state_dict", "current_model_state"}
"""In a checkpoint: the weights to use, and those that training goes on from where the former are a running average."""


class SpeechClassifier(L.LightningModule):
    """A classifier of utterances.

    Shapes:
        - waveform: ``(batch, sample)`` float32, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)`` in samples
        - returns: logits, ``(batch, class)``

    Args:
        classes: Class names in the order of the logits.
        audio: How audio is decoded: the arguments of `ser.audio.decode.AudioSettings`.
        features: ``_target_`` and arguments of a module of `ser.features`, or such a module.
        normalise: See `ser.features.normalise.Normalise`.
        augment: By name, ``_target_`` and arguments of modules of `ser.augment`; used in training only.
        optimizer: ``lr``, ``weight_decay`` and ``warmup`` (share of all steps) of AdamW with a cosine down to zero.
        loss: ``label_smoothing`` and ``class_weights`` (one a class, or ``None``).
        stamps: Words that everything had with this model must carry.

    Raises:
        ConfigError: If a part cannot be made from its configuration.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        classes: Sequence[str],
        audio: Config,
        features: Config | nn.Module,
        normalise: By,
        augment: Mapping[str, Config],
        optimizer: Config,
        loss: Config,
        stamps: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.classes, self.stamps = tuple(classes), tuple(stamps)
        self.audio = AudioSettings(**audio)
        self.features = features if isinstance(features, nn.Module) else instantiate(features, nn.Module)
        self.n_features: int = self.features.n_features  # type: ignore[assignment]  # of every module of ser.features
        self.normalise = Normalise(self.n_features, normalise)
        steps = [instantiate(config, nn.Module) for config in augment.values()]
        for name, step in zip(augment, steps, strict=True):
            if getattr(step, "domain", None) not in ("waveform", "features"):
                raise ConfigError(f"augment.{name}: {type(step).__name__} has no domain, waveform or features.")
        self.waveform_augment = nn.ModuleList(s for s in steps if s.domain == "waveform")
        self.feature_augment = nn.ModuleList(s for s in steps if s.domain == "features")
        self.optimizer: dict[str, float] = dict(optimizer)
        self.label_smoothing = float(loss["label_smoothing"])
        weights = loss.get("class_weights")
        self.register_buffer("class_weights", None if weights is None else torch.tensor(weights), persistent=False)
        self.dev_confusion = MulticlassConfusionMatrix(len(self.classes))
        self._speakers: dict[str, Statistics] = {}  # by side, where features are normalised by speaker

    @abstractmethod
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits of normalised features.

        Shapes:
            - features: ``(batch, feature, frame)``, zero beyond a clip's frames
            - lengths: ``(batch,)`` in frames
            - returns: ``(batch, class)``
        """

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        features, frames = self.features(waveform, lengths)
        return self.classify(self.normalise(features, frames), frames)

    def logits(self, batch: Batch, speakers: Statistics | None = None) -> Tensor:
        """Logits of a batch, ``(batch, class)``, from its features where it has them.

        Args:
            batch: See `ser.datamodules.batch.Batch`.
            speakers: Of each of the data's speakers, where features are normalised by speaker.
        """
        features, frames = batch.features or self.features(batch.waveform, batch.lengths)
        return self.classify(self.normalise(features, frames, _own(speakers, batch)), frames)

    def cache_key(self) -> dict[str, Any] | None:
        """All that the features depend on, as plain JSON, where computing them once for a run saves much; else ``None``."""
        return None

    def remember(self, data: SpeechDataModule) -> None:
        """Have a data module's batches carry the features that this model computes once, where it does."""
        if (key := self.cache_key()) is not None:
            with self.evaluating():
                data.remember(key, self.features, self.n_features, self.device)

    # ---- training

    def on_fit_start(self) -> None:
        """Compute features that are to be remembered, and take the statistics that normalisation is by.

        Those of ``training`` are of the training clips alone, never of dev or test clips. Those of ``speaker`` are of each
        side's own speakers; what stands in for an unknown speaker is of the training side.
        """
        data: SpeechDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        self.remember(data)
        if self.normalise.by == "speaker":
            train, dev = (self.moments(data, rows) for rows in (data.split.train, data.split.dev))
            data.check_fitted(train.rows)
            self.normalise.fit_speakers(train)
            self._speakers = {"train": self.normalise.statistics(train), "dev": self.normalise.statistics(dev)}
        if self.normalise.by != "training" or self.trainer.ckpt_path is not None:
            return
        rows: list[Tensor] = []

        def features() -> Iterator[tuple[Tensor, Tensor]]:
            for batch in data.batches(data.split.train, self.device):
                rows.append(batch.index)
                yield batch.features or self.features(batch.waveform, batch.lengths)

        with self.evaluating():
            self.normalise.fit(features())
        data.check_fitted(torch.cat(rows).cpu().numpy())

    def moments(
        self, data: SpeechDataModule, rows: np.ndarray, change: Callable[[Batch], Batch] | None = None
    ) -> Moments:
        """Moments of the features of some utterances, by speaker, whatever their labels.

        Args:
            data: Set up.
            rows: Row positions in the data module's manifest.
            change: Of each batch before its features are computed.
        """
        moments = Moments(len(data.speakers), self.n_features)
        with self.evaluating():
            for loaded in data.batches(rows, self.device):
                batch = loaded if change is None else change(loaded)
                features, frames = batch.features or self.features(batch.waveform, batch.lengths)
                moments.add(features, frames, batch.speaker, batch.index)
        return moments

    def on_train_epoch_start(self) -> None:
        """Log the learning rate that the epoch starts with."""
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"], sync_dist=True)

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of one batch, augmented."""
        target = batch.target
        soft = target if target.is_floating_point() else nn.functional.one_hot(target, len(self.classes)).float()
        if batch.features is None:
            waveform, lengths = batch.waveform, batch.lengths
            for step in self.waveform_augment:
                waveform, lengths, soft = step(waveform, lengths, soft)
            features, frames = self.features(waveform, lengths)
        else:
            features, frames = batch.features
        features = self.normalise(features, frames, self.training_statistics(batch))
        for step in self.feature_augment:
            features, frames, soft = step(features, frames, soft)
        loss = self.loss(features, frames, soft)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=batch.whole or len(soft), sync_dist=True)
        return loss

    def training_statistics(self, batch: Batch) -> Statistics | None:
        """What each clip of a training batch is normalised by, where that is not the same for all."""
        return _own(self._speakers.get("train"), batch)

    def loss(self, features: Tensor, frames: Tensor, soft: Tensor) -> Tensor:
        """What a training step lessens, from what `classify` takes and soft targets, ``(batch, class)``."""
        return self.cross_entropy(self.classify(features, frames), soft)

    def cross_entropy(self, logits: Tensor, soft: Tensor) -> Tensor:
        """Cross-entropy to soft targets in nats; each clip weighs what its classes weigh.

        Of several processes each has its share of a batch: the mean of what they give is the whole batch's.
        """
        smooth = soft * (1 - self.label_smoothing) + self.label_smoothing / soft.shape[1]
        losses = -(smooth * logits.float().log_softmax(dim=1)).sum(dim=1)
        weight = torch.ones_like(losses) if self.class_weights is None else soft @ self.class_weights
        return (weight * losses).sum() * distributed.world_size() / distributed.all_reduce_sum(weight.sum())

    def validation_step(self, batch: Batch) -> None:
        """Count what the dev side is taken for."""
        logits = self.logits(batch, self._speakers.get("dev")).float()
        hard = batch.target.argmax(dim=1) if batch.target.is_floating_point() else batch.target
        loss = nn.functional.cross_entropy(logits, batch.target)
        self.log("dev_loss", loss, batch_size=len(logits), sync_dist=True)
        self.dev_confusion.update(logits, hard)

    def on_validation_epoch_end(self) -> None:
        """Log dev UAR: the mean recall over the classes that occur."""
        counts = self.dev_confusion.compute().double()
        self.dev_confusion.reset()
        present = counts.sum(dim=1) > 0
        recall = counts.diagonal()[present] / counts.sum(dim=1)[present]
        self.log("dev_uar", recall.mean().float(), prog_bar=True, sync_dist=True)

    def shards(self) -> "list[nn.Module]":
        """The parts that ``trainer=fsdp`` spreads over devices, inner ones before those that they are in; all that learns.

        Raises:
            ConfigError: If there are none.
        """
        raise ConfigError(f"Every device holds all of {type(self).__name__}: take trainer=ddp.")

    def configure_model(self) -> None:
        """Spread the weights over devices, where the trainer's strategy does."""
        if self.device_mesh is not None:
            from ser.models.sharding import shard

            shard(self.shards(), self.device_mesh)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What AdamW is given: no decay on biases and norms. The first group's rate is the one that is logged."""
        return groups_of(self.parameters())

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW; every group's rate rises linearly, then falls as a cosine, by step."""
        decay = self.optimizer["weight_decay"]
        optimizer = torch.optim.AdamW(self.parameter_groups(), self.optimizer["lr"], weight_decay=decay)
        steps = self.trainer.estimated_stepping_batches
        if not 0 < steps < math.inf:
            raise ConfigError("The cosine needs an end: trainer.max_epochs or trainer.max_steps is a number above 0.")
        total = int(steps)
        warm = max(1, round(self.optimizer["warmup"] * total))

        def rate(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def origin(self) -> dict[str, Any]:
        """What stands beside a result on where the model's weights began, as plain JSON; nothing where that is chance."""
        return {}

    def unchanging(self) -> dict[str, Tensor]:
        """Weights that training never changes; checkpoints go without until training has come to its end."""
        return {}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write down which class to load this into, and leave out what training does not change."""
        checkpoint["ser_model"] = f"{type(self).__module__}.{type(self).__qualname__}"
        if left_out := self.unchanging().keys():
            checkpoint[LEFT_OUT] = len(left_out)
            for part in STATES & checkpoint.keys():
                checkpoint[part] = {k: v for k, v in checkpoint[part].items() if k not in left_out}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put back what was left out."""
        for part in STATES & checkpoint.keys():
            checkpoint[part] = {**self.unchanging(), **checkpoint[part]}

    # ---- use

    def probabilities(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Class probabilities in evaluation mode, in single precision whatever the training's was.

        Shapes:
            - waveform, lengths: See the class
            - returns: ``(batch, class)`` float64, on the CPU
        """
        with self.evaluating():
            logits: Tensor = self(waveform, lengths)
        return logits.cpu().double().softmax(dim=1)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode without gradients, and with the same precision on every device."""
        was_training = self.training
        self.eval()
        try:
            # The TF32 of cuDNN's convolutions, on by default, would be 1e-3 from what a CPU gives.
            with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                yield
        finally:
            self.train(was_training)

    def predict(
        self, audio: AudioInput | Sequence[AudioInput], rate: int | None = None, batch_size: int = 16
    ) -> pd.DataFrame:
        """Emotions of recordings, each scored whole.

        Args:
            audio: A path, an array ``(sample,)`` or ``(sample, channel)`` with full scale = 1 (or integers), or several
                of either; any rate, channels and length.
            rate: Sampling rate in Hz of arrays; files know their own.
            batch_size: How many are scored at a time; no result depends on it.

        Returns:
            One row a recording, in the order given: ``audio`` (the path, or the position of an array), ``label``, and a
            probability a class under the class's name. ``attrs["stamps"]`` has the words that it must carry.

        Raises:
            AudioError: If one cannot be read, or holds no sound; the message names it.
            ConfigError: If an array comes without a usable ``rate``, ``batch_size`` is below 1, or the model normalises by
                speaker and does not know who speaks.
        """
        if self.normalise.by == "speaker" and self.normalise.adapted is None:
            raise ConfigError(
                "This model normalises by speaker: first model.adapt([...]) with recordings of the one who speaks; they need "
                "no labels, and can be those to be scored."
            )
        recordings = named_clips(audio)
        probabilities = torch.empty(len(recordings), len(self.classes), dtype=torch.float64)
        for rows, waveform, lengths in batches(recordings, rate, self.audio, batch_size, self.device):
            probabilities[rows] = self.probabilities(waveform, lengths)
        table = pd.DataFrame(probabilities.numpy(), columns=list(self.classes))
        table.insert(0, "label", [self.classes[i] for i in probabilities.argmax(dim=1).tolist()])
        table.insert(0, "audio", [name for name, _ in recordings])
        table.attrs["stamps"] = list(self.stamps)
        return table

    def adapt(self, audio: AudioInput | Sequence[AudioInput], rate: int | None = None, batch_size: int = 16) -> None:
        """Take the speaker of some recordings for whoever speaks from now on, where the model normalises by speaker.

        Args:
            audio: Recordings of one speaker, without labels; the more and the more varied, the better.
            rate: See `predict`.
            batch_size: See `predict`.

        Raises:
            AudioError: If one cannot be read, or holds no sound; the message names it.
            ConfigError: If the model does not normalise by speaker, or as for `predict`.
        """
        if self.normalise.by != "speaker":
            raise ConfigError(f"This model normalises by {self.normalise.by}: there is nothing to adapt to a speaker.")
        moments = Moments(1, self.n_features)
        with self.evaluating():
            for rows, waveform, lengths in batches(named_clips(audio), rate, self.audio, batch_size, self.device):
                features, frames = self.features(waveform, lengths)
                moments.add(features, frames, torch.zeros(len(rows), dtype=torch.int64))
        self.normalise.adapt(self.normalise.statistics(moments))


def groups_of(parameters: Iterable[nn.Parameter], **settings: float) -> list[dict[str, Any]]:
    """Those of some parameters that are trained, as an optimizer's groups: matrices, then biases and norms without decay."""
    trained = [p for p in parameters if p.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    return [{"params": matrices, **settings}, {"params": vectors, **settings, "weight_decay": 0.0}]


def _own(speakers: Statistics | None, batch: Batch) -> Statistics | None:
    """The statistics of the speaker of each clip of a batch."""
    return None if speakers is None else speakers.of(batch.speaker)
