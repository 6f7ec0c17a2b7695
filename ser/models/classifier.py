"""`SpeechClassifier`: what every model shares, from raw waveform to logits.

Where targets are numbers, such as arousal, the outputs are standardised numbers instead of logits; what is said of classes
holds for their names.

A model holds all that a prediction needs (how audio is decoded, the features, their normalisation, the class names), so
that its checkpoint alone predicts: `ser.inference.predictor.Predictor` does, from a file to a table of emotions. A subclass
adds its net and one method, `SpeechClassifier.classify`. How a model is trained is in `ser.training.module`.
"""

import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from ser.audio.decode import AudioSettings
from ser.cleaning.cleaning import Cleaning
from ser.datamodules.batch import Batch, Grouping
from ser.errors import ConfigError
from ser.features import source_hash
from ser.features.normalise import Moments, Normalise, Statistics
from ser.models.calibration import Calibration
from ser.models.familiar import Familiar
from ser.runtime.instantiate import instantiate, settings_from

if TYPE_CHECKING:
    from ser.datamodules.data import SpeechData

Config = Mapping[str, Any]
Change = Callable[[Batch], Batch] | None


@dataclass(frozen=True)
class Task:
    """The task of a model: everything but the sizes of its own net.

    Args:
        classes: Class names in the order of the logits.
        audio: How audio is decoded: the arguments of `ser.audio.decode.AudioSettings`.
        features: ``_target_`` and arguments of a module of `ser.features`, or such a module.
        normalise: ``_target_`` and arguments of `ser.features.normalise.Normalise`, without ``n_features``.
        stamps: Words that every result of this model must carry.
        cleaning: By name, ``_target_`` and arguments of modules of `ser.cleaning`, applied to waveforms before the features.
        trained_on: The corpora of the training: ``name``, ``title``, ``language``, ``material`` and ``licence`` of each.
        scale: ``mean`` and ``deviation`` of each number over the training clips, in its own unit; ``None`` for classes.
    """

    classes: Sequence[str]
    audio: Config
    features: Config | nn.Module
    normalise: Config
    stamps: Sequence[str] = ()
    scale: Mapping[str, Sequence[float]] | None = None
    cleaning: Mapping[str, Config] | None = None
    trained_on: Sequence[Mapping[str, str]] = ()


class SpeechClassifier(nn.Module):
    """A classifier of utterances.

    Shapes:
        - waveform: ``(batch, sample)`` float32, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)`` in samples
        - returns: logits, ``(batch, class)``

    Args:
        task: The entries of `Task`.

    Attributes:
        calibration: What its training found on its dev speakers; `None` before its end, and of numbers.
        familiar: What its training clips are like; `None` before its end, and of a model without a last linear layer.
        hparams: What the constructor was called with, as plain containers: a checkpoint makes the model from them.

    Raises:
        ConfigError: If a part cannot be made from its configuration.
    """

    hparams: dict[str, Any]
    by_gradients: ClassVar[bool] = True
    """Whether it is trained by gradients; a model that is not has a method `fit`."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Store the arguments of the constructor, including a subclass's, in ``hparams``."""
        model: Self = super().__new__(cls)
        # Of the constructor: the class's own signature is that of __new__ in Python 3.11.2, if only a parent has __init__.
        bound = inspect.signature(cls.__init__).bind_partial(model, *args, **kwargs)
        bound.apply_defaults()
        # nn.Module takes no attributes before its constructor has run.
        model.__dict__["hparams"] = dict([*bound.arguments.items()][1:])
        return model

    def __init__(self, task: Config) -> None:
        super().__init__()
        made = settings_from(Task, task, "task")
        self.classes, self.stamps = tuple(made.classes), tuple(made.stamps)
        self.trained_on = tuple(dict(corpus) for corpus in made.trained_on)
        self.scale = None if made.scale is None else _scale_of(made.scale)
        self.audio = settings_from(AudioSettings, made.audio, "audio")
        self.cleaning = Cleaning(made.cleaning or {})
        features = made.features
        self.features = features if isinstance(features, nn.Module) else instantiate(features, nn.Module)
        if hasattr(self.features, "rebuilt_from") and not isinstance(features, nn.Module):
            self.hparams["task"] = {**task, "features": self.features.rebuilt_from}
        if not isinstance(getattr(self.features, "n_features", None), int):
            raise ConfigError(
                f"features must have an integer n_features, the size of a frame; {type(self.features).__name__} has none. "
                "Set self.n_features in its constructor."
            )
        self.n_features: int = self.features.n_features  # type: ignore[assignment]
        self.normalise = instantiate(made.normalise, Normalise, n_features=self.n_features)
        self.calibration: Calibration | None = None
        self.familiar: Familiar | None = None
        self._own: dict[str, Statistics] = {}  # by side, where features are normalised by speaker or corpus

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.normalise.mean.device

    @property
    def dtype(self) -> torch.dtype:
        """The type of its statistics, and so of its weights."""
        return self.normalise.mean.dtype

    @property
    def numeric(self) -> bool:
        """Whether the outputs are numbers instead of logits of classes."""
        return self.scale is not None

    @abstractmethod
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of normalised features.

        Shapes:
            - features: ``(batch, feature, frame)``, zero beyond a clip's frames
            - lengths: ``(batch,)`` in frames
            - returns: ``(batch, class)``
        """

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the logits of waveforms."""
        features, frames = self.extract(waveform, lengths)
        return self.classify(self.normalise(features, frames), frames)

    def extract(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features of waveforms after cleaning, ``(batch, feature, frame)``, and their lengths in frames."""
        features: tuple[Tensor, Tensor] = self.features(*self.cleaning(waveform, lengths))
        return features

    def normalised(self, batch: Batch, own: Statistics | None = None) -> tuple[Tensor, Tensor]:
        """Return the normalised features of a batch, and their frames; ``own`` is what `own_statistics` returns."""
        features, frames = batch.features or self.extract(batch.waveform, batch.lengths)
        return self.normalise(features, frames, self._of_clips(own, batch)), frames

    def logits(self, batch: Batch, own: Statistics | None = None) -> Tensor:
        """Return the logits of a batch, ``(batch, class)``; ``own`` is what `own_statistics` returns."""
        return self.classify(*self.normalised(batch, own))

    def cache_key(self) -> dict[str, Any] | None:
        """Return all that the features depend on but cleaning, as plain JSON, if computing them once pays; else ``None``.

        It pays where a part of them, or of cleaning, has a true ``costly``. They depend on their settings and on the code of
        `ser.features` and `ser.cleaning`.
        """
        features = self.hparams["task"]["features"]
        parts = (*self.features.modules(), *self.cleaning.modules())
        costly = any(getattr(part, "costly", False) for part in parts)
        if not costly or isinstance(features, nn.Module):
            return None
        return {"features": features, "code": source_hash(), "made_by": SpeechClassifier.provenance(self)}

    def use_cached_features(self, data: "SpeechData") -> None:
        """Compute the features of a data module once, if this model has a cache key; its batches then carry them."""
        if (key := self.cache_key()) is not None:
            if cleaning := self.hparams["task"].get("cleaning"):
                key["cleaning"] = cleaning
            with self.evaluating():
                data.use_cached_features(key, self.extract, self.n_features, self.device)

    # ---- statistics

    def fit_statistics(self, data: "SpeechData", *, resumed: bool = False) -> None:
        """Fit the statistics of normalisation before training.

        Those of ``training`` are of the training clips alone, never of dev or test clips. Those of ``speaker`` and
        ``corpus`` are of each side's own clips; an unknown speaker or corpus gets those of the training side.

        Args:
            data: Set up.
            resumed: Whether a checkpoint brings the statistics of ``training``.
        """
        if by := self.normalise.groups:
            train, dev = (self.moments(data, rows, by) for rows in (data.split.train, data.split.dev))
            data.check_fitted(train.rows)
            self.normalise.fit_groups(train)
            self._own = {"train": self.normalise.statistics(train), "dev": self.normalise.statistics(dev)}
        if self.normalise.by != "training" or resumed:
            return
        rows: list[Tensor] = []

        def features() -> Iterator[tuple[Tensor, Tensor]]:
            for batch in data.batches(data.split.train, self.device):
                rows.append(batch.index)
                yield batch.features or self.extract(batch.waveform, batch.lengths)

        with self.evaluating():
            self.normalise.fit(features())
        data.check_fitted(torch.cat(rows).cpu().numpy())

    def moments(self, data: "SpeechData", rows: np.ndarray, by: Grouping, change: Change = None) -> Moments:
        """Return the moments of the features of some utterances, by speaker or corpus, whatever their labels."""
        moments = Moments(len(data.groups[by]), self.n_features)
        with self.evaluating():
            for loaded in data.batches(rows, self.device):
                batch = loaded if change is None else change(loaded)
                features, frames = batch.features or self.extract(batch.waveform, batch.lengths)
                moments.add(features, frames, batch.group(by), batch.index)
        return moments

    def own_statistics(self, data: "SpeechData", rows: np.ndarray, change: Change = None) -> Statistics | None:
        """Return the statistics of all speakers or corpora from some rows, if features are normalised by them."""
        by = self.normalise.groups
        return None if by is None else self.normalise.statistics(self.moments(data, rows, by, change))

    def training_statistics(self, batch: Batch) -> Statistics | None:
        """Return what each clip of a training batch is normalised by; ``None`` where that is the same for all."""
        return self._of_clips(self._own.get("train"), batch)

    def dev_statistics(self) -> Statistics | None:
        """Return the statistics of the dev clips by speaker or corpus, where features are normalised by them."""
        return self._own.get("dev")

    def _of_clips(self, own: Statistics | None, batch: Batch) -> Statistics | None:
        return None if own is None or (by := self.normalise.groups) is None else own.of(batch.group(by))

    # ---- what training needs of a net

    def outputs(self, features: Tensor, lengths: Tensor) -> list[Tensor]:
        """Return each set of logits that has its own loss, ``(batch, class)`` each; most models have one."""
        return [self.classify(features, lengths)]

    def probe(self, batch: Batch) -> Tensor:
        """Return what padding must not change, ``(batch, ...)``, before training."""
        return self.logits(batch)

    def fit(self, data: "SpeechData", by: str) -> dict[str, float]:
        """Fit on training clips without gradients, choosing settings on dev clips by a score; return the dev scores."""
        raise NotImplementedError(f"{type(self).__name__} is trained by gradients.")

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return the optimizer's parameter groups: no decay on biases and norms. The first group's rate is logged.

        A group may have an ``lr`` of its own in place of the optimizer's.
        """
        return groups_of(self.parameters())

    def shards(self) -> list[nn.Module]:
        """Return the parts that ``trainer=fsdp`` shards, inner ones first; together they hold all trained weights.

        Raises:
            ConfigError: If there are none.
        """
        raise ConfigError(
            f"trainer must not be fsdp for {type(self).__name__}, which fits on one device. Use trainer=ddp."
        )

    def provenance(self) -> dict[str, Any]:
        """Return where weights and features come from, as plain JSON; empty if both are of this library alone."""
        parts: list[Any] = [part.provenance for part in self.features.modules() if hasattr(part, "provenance")]
        return {name: fact for part in parts for name, fact in part.items()}

    def unchanging(self) -> dict[str, Tensor]:
        """Return the weights that training never changes; checkpoints leave them out until training has finished."""
        return {}

    def check_resumable(self, hparams: Config) -> None:
        """Refuse to resume a training that did not start from the same weights as this model.

        Raises:
            RunError: If pretrained weights have changed since.
        """

    # ---- prediction

    def answers(self, logits: Tensor) -> Tensor:
        """Return what the outputs say: class probabilities, or numbers in their own unit, float64 on the CPU."""
        outputs = logits.cpu().double()
        if self.scale is None:
            return outputs.softmax(dim=1)
        mean, deviation = self.scale.unbind()
        return mean + deviation * outputs

    def probabilities(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return class probabilities, or numbers, in evaluation mode, in single precision whatever the training's was.

        Shapes:
            - waveform, lengths: See the class
            - returns: ``(batch, class)`` float64, on the CPU
        """
        with self.evaluating():
            return self.answers(self(waveform, lengths))

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Evaluation mode without gradients, and with the same precision on every device."""
        was_training = self.training
        if was_training:  # else there are hundreds of modules to visit for nothing, twice
            self.eval()
        try:
            # The TF32 of cuDNN's convolutions, on by default, would be 1e-3 from what a CPU gives.
            with torch.no_grad(), torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                yield
        finally:
            if was_training:
                self.train()


def _scale_of(scale: Mapping[str, Sequence[float]]) -> Tensor:
    """Return the means and deviations of numbers, ``(2, dimension)`` float64, on the CPU."""
    return torch.tensor([scale["mean"], scale["deviation"]], dtype=torch.float64)


def groups_of(parameters: Iterable[nn.Parameter], **settings: float) -> list[dict[str, Any]]:
    """Group the trained parameters: matrices, then biases and norms without weight decay."""
    trained = [p for p in parameters if p.requires_grad]
    matrices, vectors = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
    return [{"params": matrices, **settings}, {"params": vectors, **settings, "weight_decay": 0.0}]
