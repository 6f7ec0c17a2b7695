"""What a prediction needs of a model, however it is run: by PyTorch, or by another library."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from ser.audio.decode import AudioSettings
from ser.evaluation.calibration import apply_temperature
from ser.models.calibration import Calibration


class Clips(NamedTuple):
    """A batch of clips.

    Attributes:
        waveform: ``(batch, sample)`` float32, full scale = 1, zero-padded on the right.
        lengths: ``(batch,)`` int64, in samples.
    """

    waveform: np.ndarray
    lengths: np.ndarray


class Scores(NamedTuple):
    """What a model says of a batch of clips.

    Attributes:
        answers: ``(batch, class)`` float64: probabilities without the temperature, or numbers in their own unit.
        scaled: The same with the temperature; without one, it is ``answers``.
        embedding: ``(batch, unit)`` float32: what the last layer gets; or ``None`` where it was not asked for.
    """

    answers: np.ndarray
    scaled: np.ndarray
    embedding: np.ndarray | None


def scores_of(answers: np.ndarray, calibration: Calibration | None, embedding: np.ndarray | None = None) -> Scores:
    """Return answers also with the temperature of a calibration, if there is one."""
    if calibration is None or calibration.temperature == 1:
        return Scores(answers, answers, embedding)
    return Scores(answers, apply_temperature(answers, calibration.temperature), embedding)


class Distance(Protocol):
    """How far clips are from those that a model was trained on; see `ser.models.familiar.Familiar`."""

    @property
    def limit(self) -> float:
        """Return what only few clips like those exceed."""

    def distance(self, embedding: np.ndarray) -> np.ndarray:
        """Return the distances of embeddings ``(clip, unit)``: ``(clip,)``."""


@runtime_checkable
class Scorer(Protocol):
    """A trained model, as a prediction sees it.

    Attributes:
        name: What it is called in errors.
        classes: Class names, or those of numbers, in the order of the answers.
        numeric: Whether the answers are numbers.
        audio: How recordings are decoded.
        stamps: Words that every result must carry.
        calibration: What its training found on its dev speakers, if it did.
    """

    name: str
    classes: tuple[str, ...]
    numeric: bool
    audio: AudioSettings
    stamps: tuple[str, ...]
    calibration: Calibration | None

    def score(self, clips: Clips, *, embed: bool = False) -> Scores:
        """Score a batch, in evaluation mode and single precision; several threads may do so at a time."""

    @property
    def trained_on(self) -> Sequence[Mapping[str, str]]:
        """The corpora of its training, see `ser.models.classifier.Task`; empty where they are not known."""

    @property
    def familiar(self) -> Distance | None:
        """What its training clips are like, if that is known."""

    @property
    def adapts_to(self) -> str | None:
        """``speaker`` or ``corpus``, if it normalises by one."""

    @property
    def adapted(self) -> bool:
        """Whether it has been adapted to one."""

    def adapt(self, clips: Iterable[Clips]) -> None:
        """Normalise by the speaker or corpus of some clips from now on."""
