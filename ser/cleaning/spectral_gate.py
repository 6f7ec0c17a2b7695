"""Spectral gating: attenuate what is not above the clip's own steady noise, by noisereduce's TorchGate.

Source: Sainburg et al., 2020, https://doi.org/10.1371/journal.pcbi.1008228; https://github.com/timsainb/noisereduce (MIT).
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.errors import ConfigError

WINDOW_S = 0.064
"""Length of the gate's windows in seconds, which is rounded to a power of 2 in samples."""


class SpectralGate(nn.Module):
    """Gate each clip by its own noise; a clip shorter than two windows is unchanged.

    Clips are gated one by one: their noise is estimated over time, and padding would be taken for a part of it.

    Args:
        sample_rate: In Hz.
        threshold_sd: Standard deviations above a frequency's mean level in dB, from which it is speech.
        reduction: Share by which the rest is attenuated, from 0 to 1.

    Raises:
        ConfigError: If noisereduce is not installed, or the reduction is not from 0 to 1.
    """

    place: ClassVar[int] = 20
    costly: ClassVar[bool] = True
    """Features of gated clips are kept, unless waveforms are augmented."""

    def __init__(self, sample_rate: int = 16000, threshold_sd: float = 1.5, reduction: float = 1.0) -> None:
        super().__init__()
        if not 0 <= reduction <= 1:
            raise ConfigError(f"SpectralGate.reduction must be from 0 to 1; got {reduction}.")
        try:
            from noisereduce.torchgate import TorchGate
        except ModuleNotFoundError as error:
            raise ConfigError(
                f"cleaning=spectral_gate needs the package {error.name}. Run pip install 'ser[clean]'."
            ) from error
        window = 2 ** round(math.log2(WINDOW_S * sample_rate))
        self.least = 2 * window
        self.gate = TorchGate(sample_rate, n_std_thresh_stationary=threshold_sd, prop_decrease=reduction, n_fft=window)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gated batch; see `ser.cleaning` for the shapes."""
        out = torch.zeros_like(waveform)
        for row, n in enumerate(lengths.tolist()):
            out[row, :n] = self._gated(waveform[row, :n]) if n >= self.least else waveform[row, :n]
        return out, lengths

    def _gated(self, clip: Tensor) -> Tensor:
        hop = self.gate.hop_length
        whole = nn.functional.pad(clip, (0, -len(clip) % hop))  # the gate drops what does not fill a hop
        gated: Tensor = self.gate(whole[None])[0, : len(clip)]
        return gated
