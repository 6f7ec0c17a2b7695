"""Noise at a signal-to-noise ratio: white, pink, and babble of training speakers; see `ser.signal.noise`."""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.rescoring.robustness.conditions import Effect, Scene
from ser.signal.noise import add, pink


@dataclass(frozen=True)
class Noise(Effect):
    """Noise added to each clip, drawn by a subclass."""

    family, quantity, unit, between = "noise", "signal-to-noise ratio", "dB", (-100.0, 100.0)

    @abstractmethod
    def draw(self, random: np.random.Generator, samples: int, scene: Scene) -> np.ndarray:
        """Draw noise of any level, ``(samples,)``."""

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        drawn = [self.draw(random, n, scene) for random, n in zip(scene.draws, lengths.tolist(), strict=True)]
        rows = [torch.from_numpy(noise.astype(np.float32)) for noise in drawn]
        noise = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        noise = nn.functional.pad(noise, (0, waveform.shape[1] - noise.shape[1]))
        return add(waveform, lengths, noise.to(waveform.device), level), lengths


class White(Noise):
    """Gaussian noise of equal power at every frequency."""

    @override
    def draw(self, random: np.random.Generator, samples: int, scene: Scene) -> np.ndarray:
        return random.standard_normal(samples, dtype=np.float32)


class Pink(Noise):
    """Gaussian noise of equal power in every octave above 20 Hz (-3 dB per octave)."""

    @override
    def draw(self, random: np.random.Generator, samples: int, scene: Scene) -> np.ndarray:
        return pink(random.standard_normal(samples), scene.rate)


@dataclass(frozen=True)
class Babble(Noise):
    """Several of the fold's training speakers at once, equally loud, in any emotion.

    Args:
        levels: Signal-to-noise ratios in dB.
        talkers: Number of speakers.

    Raises:
        ConfigError: If there is no speaker.
    """

    talkers: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.talkers < 1:
            raise ConfigError(f"Babble.talkers must be at least 1; got {self.talkers}. Give a number such as 7.")

    @override
    def draw(self, random: np.random.Generator, samples: int, scene: Scene) -> np.ndarray:
        if scene.talkers is None:
            raise ValueError("scene.talkers must be given for Babble; got None.")
        return np.asarray(scene.talkers.draw(random, samples, self.talkers).sum(axis=0))
