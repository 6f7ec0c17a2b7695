"""Noise at a signal-to-noise ratio: white, pink, and babble of training speakers.

The ratio is of the mean powers over the whole clip, pauses included. The sum is not clipped at full scale.
"""

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.rescoring.robustness.conditions import Effect, Scene, power

LOWEST_HZ = 20.0
"""Lower limit of pink noise; a third of its power would otherwise be inaudible and below the range of most microphones."""


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
        spectrum = np.fft.rfft(random.standard_normal(samples))
        hz = np.fft.rfftfreq(samples, 1 / scene.rate)
        return np.fft.irfft(spectrum * (hz >= LOWEST_HZ) / np.sqrt(np.maximum(hz, LOWEST_HZ)), samples)


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


def add(waveform: Tensor, lengths: Tensor, noise: Tensor, snr_db: float) -> Tensor:
    """Return the sum of speech and noise at a signal-to-noise ratio.

    Shapes:
        - waveform, noise: ``(batch, sample)``, zero beyond a clip's length
        - lengths: ``(batch,)``

    Example:
        >>> speech, noise = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, 3.0]])
        >>> add(speech, torch.tensor([2]), noise, snr_db=20.0)
        tensor([[ 1.1000, -0.9000]])
    """
    floor = torch.finfo(torch.float64).tiny  # for silent noise: nothing is added
    ratio = power(waveform, lengths) / power(noise, lengths).clamp(min=floor) * 10 ** (-snr_db / 10)
    return waveform + noise * ratio.sqrt().float()[:, None]
