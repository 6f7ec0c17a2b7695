"""Noise, and its sum with speech at a signal-to-noise ratio.

The ratio is of the mean powers over the whole clip, pauses included. The sum is not clipped at full scale.
"""

import numpy as np
from torch import Tensor

from ser.signal.padding import power

LOWEST_HZ = 20.0
"""Lower limit of pink noise; a third of its power would otherwise be inaudible and below the range of most microphones."""
SILENT = 1e-20
"""Power of noise, -200 dB of full scale, below which it is silence, and nothing is added."""


def pink(white: np.ndarray, rate: int) -> np.ndarray:
    """Return white noise, ``(sample,)`` at ``rate`` Hz, with equal power in every octave above 20 Hz (-3 dB per octave)."""
    return np.fft.irfft(np.fft.rfft(white) / pink_spectrum(len(white), rate), len(white))


def pink_spectrum(samples: int, rate: int) -> np.ndarray:
    """Return what the amplitudes of white noise are divided by, ``(frequency,)`` of an FFT: infinite below 20 Hz."""
    hz = np.fft.rfftfreq(samples, 1 / rate)
    return np.where(hz >= LOWEST_HZ, np.sqrt(np.maximum(hz, LOWEST_HZ)), np.inf)


def add(waveform: Tensor, lengths: Tensor, noise: Tensor, snr_db: float | Tensor) -> Tensor:
    """Return the sum of speech and noise at a signal-to-noise ratio.

    Shapes:
        - waveform, noise: ``(batch, sample)``, zero beyond a clip's length
        - lengths: ``(batch,)``
        - snr_db: a number, or ``(batch,)``

    Example:
        >>> import torch
        >>> speech, noise = torch.tensor([[1.0, -1.0]]), torch.tensor([[3.0, 3.0]])
        >>> add(speech, torch.tensor([2]), noise, snr_db=20.0)
        tensor([[ 1.1000, -0.9000]])
    """
    loud = power(noise, lengths)
    ratio = power(waveform, lengths) / loud * 10 ** (-snr_db / 10)
    ratio = ratio.masked_fill(loud < SILENT, 0.0)
    return waveform + noise * ratio.sqrt().float()[:, None]
