"""Conditions: one effect at one level each, applied to a batch of waveforms before scoring.

An effect is a class that ``conf/suite/*.yaml`` names by ``_target_``, with its levels. Random numbers are drawn on the CPU,
from a generator seeded by the seed, the effect's name and the utterance's id: a clip gets the same noise in any batch, order,
device and model, and at all levels of an effect.
"""

import hashlib
import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.runtime.instantiate import instantiate
from ser.signal.padding import cut

CLEAN = "clean"
"""Unchanged speech: a condition of every suite."""


class Talkers:
    """Background speakers: the training speech of one fold, never its dev or test speech."""

    def __init__(self, data: SpeechData) -> None:
        train = data.labelled.manifest.iloc[data.split.train]
        self._start, self._length = train["start"].to_numpy(), train["length"].to_numpy()
        self._clips_of = {speaker: np.flatnonzero(train["speaker"] == speaker) for speaker in train["speaker"].unique()}
        self._samples = [store.samples for store in data.plan.stores]
        self._ends = np.cumsum([store.card["samples"] for store in data.plan.stores])

    def draw(self, random: np.random.Generator, samples: int, count: int) -> np.ndarray:
        """Draw speech of several speakers, one clip each, from a random point and repeated to the length needed.

        The speakers are different if there are enough of them.

        Shapes:
            - returns: ``(count, samples)`` float32, each of RMS 1
        """
        speakers = sorted(self._clips_of)
        chosen = random.choice(len(speakers), count, replace=count > len(speakers))
        return np.stack([self._segment(random, speakers[i], samples) for i in chosen])

    def _segment(self, random: np.random.Generator, speaker: str, samples: int) -> np.ndarray:
        clip = int(random.choice(self._clips_of[speaker]))
        start, length = int(self._start[clip]), int(self._length[clip])
        part = int(np.searchsorted(self._ends, start, side="right"))
        start -= int(self._ends[part - 1]) if part else 0
        where = start + (int(random.integers(length)) + np.arange(samples)) % length
        segment = self._samples[part][where].astype(np.float32)
        rms = np.sqrt(np.mean(np.square(segment, dtype=np.float64)))
        return (segment / max(float(rms), 1.0)).astype(np.float32)  # int16: digital silence stays silent


class Scene(NamedTuple):
    """What an effect needs to know about a batch.

    Attributes:
        rate: Sampling rate of the waveforms in Hz.
        draws: A random generator for each clip.
    """

    rate: int
    draws: Sequence[np.random.Generator]
    talkers: Talkers | None = None


@dataclass(frozen=True)
class Effect(ABC):
    """A change to waveforms, at one or several levels.

    Args:
        levels: Levels in the unit of the class, from mild to severe.

    Raises:
        ConfigError: If there is no level, or a level is repeated or out of range.
    """

    levels: Sequence[float]

    family: ClassVar[str]
    """Effects of one family share a panel of the picture."""
    quantity: ClassVar[str]
    """Name of what the level measures."""
    unit: ClassVar[str]
    between: ClassVar[tuple[float, float]] = (0.0, math.inf)
    """Exclusive lower and upper bounds of a level."""

    def __post_init__(self) -> None:
        low, high = self.between
        name = type(self).__name__
        if not self.levels or len(set(self.levels)) < len(self.levels):
            raise ConfigError(
                f"{name}.levels must be one or more different numbers; got {list(self.levels)}. Change the suite's levels."
            )
        for level in self.levels:
            if not low < level < high:
                raise ConfigError(
                    f"{name}.levels must be between {low:g} and {high:g} {self.unit}; got {level}. Change the suite's levels."
                )

    @abstractmethod
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return the changed batch; the caller cuts off what lies beyond a clip's length.

        Shapes:
            - waveform: ``(batch, sample)`` float32, full scale = 1, zero beyond a clip's length
            - lengths: ``(batch,)`` in samples
            - returns: the same, possibly with other lengths
        """


@dataclass(frozen=True)
class Condition:
    """An effect at one of its levels."""

    effect: str
    how: Effect
    level: float

    @property
    def name(self) -> str:
        """Name of the condition, such as ``white 10 dB``."""
        return f"{self.effect} {self.level:g} {self.how.unit}"

    @property
    def settings(self) -> str:
        """Everything that the sound depends on, apart from the seed and the speech, as text."""
        options = {key: value for key, value in asdict(self.how).items() if key != "levels"}
        return json.dumps([type(self.how).__qualname__, self.effect, self.level, options], sort_keys=True)

    def apply(self, waveform: Tensor, lengths: Tensor, scene: Scene) -> tuple[Tensor, Tensor]:
        """Return the changed batch, zero beyond each clip's length; shapes as in `Effect.apply`."""
        return cut(*self.how.apply(waveform, lengths, self.level, scene))


def conditions_of(effects: Mapping[str, Mapping[str, Any]]) -> list[Condition]:
    """Return every condition of a suite, in its order.

    Raises:
        ConfigError: If there is none, a name is not valid in a file name, or an effect is invalid.

    Example:
        >>> quiet = {"_target_": "ser.rescoring.robustness.channel.Gain", "levels": [-10, -20]}
        >>> [condition.name for condition in conditions_of({"gain": quiet})]
        ['gain -10 dB', 'gain -20 dB']
    """
    if not effects:
        raise ConfigError("suite.effects must name at least one effect; got none. See conf/suite/robustness.yaml.")
    if wrong := [name for name in effects if not re.fullmatch(r"\w+", name)]:
        raise ConfigError(
            f"suite.effects must have names of letters, digits and _; got {wrong[0]!r}. Rename the effect."
        )
    made = {name: instantiate(config, Effect) for name, config in effects.items()}
    return [Condition(name, how, float(level)) for name, how in made.items() for level in how.levels]


def generator(seed: int, effect: str, utterance: str) -> np.random.Generator:
    """Return the random generator of one utterance and effect.

    Example:
        >>> one, again = (generator(0, "white", "ravdess/03-01-01-01-01-01-01") for _ in range(2))
        >>> bool(one.random() == again.random())
        True
    """
    digest = hashlib.sha256(f"{seed}|{effect}|{utterance}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))
