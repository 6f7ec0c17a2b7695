"""Speed, tempo and pitch of speech, by one of a few factors for each clip.

Sources: Ko et al., 2015, https://doi.org/10.21437/Interspeech.2015-711, for speed; the phase vocoder of Laroche and Dolson,
1999, https://doi.org/10.1109/89.759041, as in torchaudio, for tempo and pitch.
"""

from abc import abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import ClassVar

from typing_extensions import override

from ser.augment.augmentation import Change, OneOf
from ser.errors import ConfigError
from ser.signal.rates import faster, shifted, stretched

FINEST = 100
"""Largest denominator of a speed: resampling takes longer the larger it is."""


class ByNumber(OneOf):
    """One of several changes, which a subclass makes of as many numbers."""

    between: ClassVar[tuple[float, float]] = (0.25, 4.0)

    def __init__(self, name: str, values: Sequence[float], probability: float) -> None:
        low, high = self.between
        if not values or not all(low <= value <= high for value in values):
            raise ConfigError(
                f"{type(self).__name__}.{name} must be one or more numbers from {low:g} to {high:g}; got {list(values)}."
            )
        super().__init__([self.change_by(value) for value in values], probability)

    @abstractmethod
    def change_by(self, value: float) -> Change:
        """Return the change for one of the numbers."""


class Speed(ByNumber):
    """Play faster or slower, which moves the pitch and the formants too.

    Args:
        factors: Speeds; at 1.1 a clip is shorter by a factor of 1.1, and its pitch higher.
        probability: See `Augmentation`.
    """

    def __init__(self, factors: Sequence[float] = (0.9, 0.95, 1.05, 1.1), probability: float = 1.0) -> None:
        super().__init__("factors", factors, probability)

    @override
    def change_by(self, value: float) -> Change:
        return partial(faster, factor=Fraction(value).limit_denominator(FINEST))


class Tempo(ByNumber):
    """Speak faster or slower at the same pitch.

    Args:
        sample_rate: In Hz.
        factors: Tempos; at 1.1 a clip is shorter by a factor of 1.1.
        probability: See `Augmentation`.
    """

    def __init__(
        self, sample_rate: int = 16000, factors: Sequence[float] = (0.9, 0.95, 1.05, 1.1), probability: float = 1.0
    ) -> None:
        self.sample_rate = sample_rate
        super().__init__("factors", factors, probability)

    @override
    def change_by(self, value: float) -> Change:
        return partial(stretched, factor=value, rate=self.sample_rate)


class PitchShift(ByNumber):
    """Move the pitch, and the formants with it, at the same length.

    Args:
        sample_rate: In Hz.
        semitones: Shifts in semitones.
        probability: See `Augmentation`.
    """

    between: ClassVar[tuple[float, float]] = (-12.0, 12.0)

    def __init__(
        self, sample_rate: int = 16000, semitones: Sequence[float] = (-2, -1, 1, 2), probability: float = 1.0
    ) -> None:
        self.sample_rate = sample_rate
        super().__init__("semitones", semitones, probability)

    @override
    def change_by(self, value: float) -> Change:
        speed = Fraction(2 ** (value / 12)).limit_denominator(FINEST)
        return partial(shifted, speed=speed, rate=self.sample_rate)
