"""`SpeechClassifier`: what every model shares, from raw waveform to logits, and from a file to a table of emotions.

A model holds all that a prediction needs (how audio is decoded, the features, their normalisation, the class names), so
that its checkpoint alone predicts. A subclass adds one method, `SpeechClassifier.classify`.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from ser.audio import SILENCE_PEAK, AudioSettings, read_audio, standardise, to_mono
from ser.build import build
from ser.datamodules.batch import Batch
from ser.datamodules.speech import SpeechDataModule
from ser.errors import AudioError, ConfigError
from ser.features.normalise import By, Normalise

Config = Mapping[str, Any]
AudioInput = str | Path | np.ndarray | Tensor
LOWEST_RATE = 1000
"""In Hz; what is below it is a slip, such as a rate in kHz."""


class SpeechClassifier(L.LightningModule):
    """A classifier of utterances.

    Shapes:
        - waveform: ``(batch, sample)`` float32, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)`` in samples
        - returns: logits, ``(batch, class)``

    Args:
        classes: Class names in the order of the logits.
        audio: How audio is decoded: the arguments of `ser.audio.AudioSettings`.
        features: ``_target_`` and arguments of a module of `ser.features`.
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
        features: Config,
        normalise: By,
        augment: Mapping[str, Config],
        optimizer: Config,
        loss: Config,
        stamps: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.classes, self.stamps = tuple(classes), tuple(stamps)
        self.audio = AudioSettings(**audio)
        self.features = build(features, nn.Module)
        self.n_features: int = self.features.n_features  # type: ignore[assignment]  # of every module of ser.features
        self.normalise = Normalise(self.n_features, normalise)
        steps = [build(config, nn.Module) for config in augment.values()]
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

    # ---- training

    def on_fit_start(self) -> None:
        """Take the statistics of the training clips, where normalisation is by them; never of dev or test clips."""
        if self.normalise.by != "training" or self.trainer.ckpt_path is not None:
            return
        data: SpeechDataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        rows: list[Tensor] = []

        def features() -> Iterator[tuple[Tensor, Tensor]]:
            for loaded in data.train_dataloader():
                batch = data.transfer_batch_to_device(loaded, self.device, 0)
                rows.append(batch.index)
                yield self.features(batch.waveform, batch.lengths)

        self.normalise.fit(features())
        data.check_fitted(torch.cat(rows).cpu().numpy())

    def on_train_epoch_start(self) -> None:
        """Log the learning rate that the epoch starts with."""
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def training_step(self, batch: Batch) -> Tensor:
        """The loss of one batch, augmented."""
        target = batch.target
        soft = target if target.is_floating_point() else nn.functional.one_hot(target, len(self.classes)).float()
        waveform, lengths = batch.waveform, batch.lengths
        for step in self.waveform_augment:
            waveform, lengths, soft = step(waveform, lengths, soft)
        features, frames = self.features(waveform, lengths)
        features = self.normalise(features, frames)
        for step in self.feature_augment:
            features, frames, soft = step(features, frames, soft)
        loss = self._loss(self.classify(features, frames), soft)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(soft))
        return loss

    def _loss(self, logits: Tensor, soft: Tensor) -> Tensor:
        """Cross-entropy to soft targets in nats; each clip weighs what its classes weigh."""
        smooth = soft * (1 - self.label_smoothing) + self.label_smoothing / soft.shape[1]
        losses = -(smooth * logits.float().log_softmax(dim=1)).sum(dim=1)
        if self.class_weights is None:
            return losses.mean()
        weight = soft @ self.class_weights
        return (weight * losses).sum() / weight.sum()

    def validation_step(self, batch: Batch) -> None:
        """Count what the dev side is taken for."""
        logits = self(batch.waveform, batch.lengths).float()
        hard = batch.target.argmax(dim=1) if batch.target.is_floating_point() else batch.target
        self.log("dev_loss", nn.functional.cross_entropy(logits, batch.target), batch_size=len(logits))
        self.dev_confusion.update(logits, hard)

    def on_validation_epoch_end(self) -> None:
        """Log dev UAR: the mean recall over the classes that occur."""
        counts = self.dev_confusion.compute().double()
        self.dev_confusion.reset()
        present = counts.sum(dim=1) > 0
        recall = counts.diagonal()[present] / counts.sum(dim=1)[present]
        self.log("dev_uar", recall.mean().float(), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW, no decay on biases and norms; the rate rises linearly, then falls as a cosine, by step."""
        matrices = [p for p in self.parameters() if p.requires_grad and p.ndim > 1]
        vectors = [p for p in self.parameters() if p.requires_grad and p.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        optimizer = torch.optim.AdamW(groups, self.optimizer["lr"], weight_decay=self.optimizer["weight_decay"])
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

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write down which class to load this into."""
        checkpoint["ser_model"] = f"{type(self).__module__}.{type(self).__qualname__}"

    # ---- use

    @torch.no_grad()
    def probabilities(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Class probabilities in evaluation mode, in single precision whatever the training's was.

        Shapes:
            - waveform, lengths: See the class
            - returns: ``(batch, class)`` float64, on the CPU
        """
        was_training = self.training
        self.eval()
        try:
            # The TF32 of cuDNN's convolutions, on by default, would be 1e-3 from what a CPU gives.
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                logits: Tensor = self(waveform, lengths)
        finally:
            self.train(was_training)
        return logits.cpu().double().softmax(dim=1)

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
            ConfigError: If an array comes without a usable ``rate``, or ``batch_size`` is below 1.
        """
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, but a batch has at least 1 clip.")
        items = [audio] if isinstance(audio, (str, Path, np.ndarray, Tensor)) else list(audio)
        names = [str(x) if isinstance(x, (str, Path)) else str(i) for i, x in enumerate(items)]
        clips = [torch.from_numpy(self._clip(x, name, rate)) for x, name in zip(items, names, strict=True)]
        probabilities = torch.empty(len(clips), len(self.classes), dtype=torch.float64)
        for rows in _by_length(clips, batch_size):
            lengths = torch.tensor([len(clips[i]) for i in rows], device=self.device)
            waveform = nn.utils.rnn.pad_sequence([clips[i] for i in rows], batch_first=True).to(self.device)
            probabilities[rows] = self.probabilities(waveform, lengths)
        table = pd.DataFrame(probabilities.numpy(), columns=list(self.classes))
        table.insert(0, "label", [self.classes[i] for i in probabilities.argmax(dim=1).tolist()])
        table.insert(0, "audio", names)
        table.attrs["stamps"] = list(self.stamps)
        return table

    def _clip(self, audio: AudioInput, name: str, rate: int | None) -> np.ndarray:
        """One recording as a store would hold it, float32 at the model's rate."""
        if isinstance(audio, (str, Path)):
            samples, rate = read_audio(audio)
        else:
            if rate is None:
                raise ConfigError("An array needs its sampling rate: model.predict(array, rate=16000).")
            if not LOWEST_RATE <= rate < math.inf:
                raise ConfigError(f"rate is in Hz, and at least {LOWEST_RATE}, not {rate!r}.")
            samples = _mono_of(audio, f"array {name}")
        if np.abs(samples).max() < SILENCE_PEAK:
            raise AudioError(name, "silent", "there is no speech to score")
        clip = standardise(samples, rate, self.audio)
        if not len(clip):
            raise AudioError(name, "too short", f"{len(samples)} samples at {rate} Hz are none at the model's rate")
        return clip.astype(np.float32) / np.float32(32768.0)


def _mono_of(audio: np.ndarray | Tensor, name: str) -> np.ndarray:
    """An array as ``(sample,)`` float32, full scale = 1."""
    if isinstance(audio, Tensor):
        audio = (audio.float() if audio.is_floating_point() else audio).detach().cpu().numpy()
    array = np.asarray(audio)
    if array.ndim not in (1, 2) or not array.size:
        raise AudioError(name, "empty", f"or not (sample,) or (sample, channel): its shape is {array.shape}")
    if array.ndim == 2 and array.shape[1] > array.shape[0]:
        raise AudioError(name, "more channels than samples", f"(sample, channel) is {array.shape}; transpose it")
    if np.issubdtype(array.dtype, np.integer):
        bounds = np.iinfo(array.dtype)
        full_scale = (bounds.max - bounds.min + 1) / 2
        array = (array - (bounds.max + 1 - full_scale)) / full_scale  # unsigned ones have their zero in the middle
    return to_mono(array.astype(np.float32, copy=False), name)


def _by_length(clips: Sequence[Tensor], batch_size: int) -> Iterator[list[int]]:
    """Positions in batches of like length, so that little is spent on padding."""
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
