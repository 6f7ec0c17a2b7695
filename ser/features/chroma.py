"""Chroma: the energy of each of the twelve semitones of the octave, whatever the octave.

Source: Ellis, 2007, https://www.ee.columbia.edu/~dpwe/resources/matlab/chroma-ansyn/; the filters are those of librosa.
"""

import math

import torch
from torch import Tensor
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.framing import OfPower, PowerSpectrum

A0_HZ = 440 / 16
OCTAVE, OCTAVES = 5.0, 2.0
"""Centre and width of the Gaussian over octaves above 27.5 Hz that weights the bins."""


class Chroma(OfPower):
    """Energy by pitch class, C first; each frame's largest is 1.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, n_chroma, frame)``, zero beyond a clip's frames and in digital silence, and ``(batch,)`` in
          frames

    Args:
        sample_rate: In Hz.
        n_chroma: Classes of an octave, a multiple of 12.
        window_ms: Hann window length in milliseconds.
        hop_ms: Time from one frame to the next in milliseconds.

    Raises:
        ConfigError: If ``n_chroma`` is not a multiple of 12.

    Example:
        >>> tone = torch.sin(2 * torch.pi * 440 * torch.arange(16000) / 16000)
        >>> features, _ = Chroma()(tone[None], torch.tensor([16000]))
        >>> int(features[0, :, 0].argmax())  # A is nine semitones above C
        9
    """

    filters: Tensor

    def __init__(
        self, sample_rate: int = 16000, n_chroma: int = 12, window_ms: float = 64.0, hop_ms: float = 16.0
    ) -> None:
        super().__init__()
        if n_chroma < 12 or n_chroma % 12:
            raise ConfigError(f"features.n_chroma must be a multiple of 12; got {n_chroma}.")
        self.spectrum = PowerSpectrum(sample_rate, window_ms, hop_ms)
        self.framing, self.names = self.spectrum.framing, tuple(f"chroma_{i}" for i in range(n_chroma))
        filters = chroma_filters(sample_rate, self.spectrum.framing.span, n_chroma)
        self.register_buffer("filters", filters.float(), persistent=False)

    @override
    def of_power(self, power: Tensor, frames: Tensor) -> Tensor:
        energies: Tensor = self.filters @ power
        largest = energies.amax(dim=1, keepdim=True)
        return energies / torch.where(largest > torch.finfo(energies.dtype).tiny, largest, 1.0)


def chroma_filters(sample_rate: int, fft: int, n_chroma: int = 12) -> Tensor:
    """Return the weight of each bin in each class, ``(chroma, bin)`` float64: Gaussians over pitch, C first."""
    hz = torch.arange(1, fft, dtype=torch.float64) * sample_rate / fft
    pitch = n_chroma * torch.log2(hz / A0_HZ)  # in classes above A0
    pitch = torch.cat([pitch[:1] - 1.5 * n_chroma, pitch])  # the bin of 0 Hz: far below, half an octave off
    width = torch.cat([pitch.diff().clamp(min=1), torch.ones(1, dtype=torch.float64)])
    half = math.floor(n_chroma / 2 + 0.5)
    off = pitch - torch.arange(n_chroma, dtype=torch.float64)[:, None]
    off = torch.remainder(off + half + 10 * n_chroma, n_chroma) - half
    weight: Tensor = torch.exp(-0.5 * (2 * off / width).square())
    weight = weight / weight.norm(dim=0)
    weight = weight * torch.exp(-0.5 * ((pitch / n_chroma - OCTAVE) / OCTAVES).square())
    return weight.roll(-3 * (n_chroma // 12), dims=0)[:, : fft // 2 + 1]  # from A first to C first
