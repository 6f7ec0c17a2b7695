"""Band-pass: remove hum and hiss outside the band of speech."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.signal.filters import band_pass


class BandPass(nn.Module):
    """Keep a band, by a filter with linear phase; see `ser.signal.filters`.

    Args:
        sample_rate: In Hz.
        low_hz: Lower edge.
        high_hz: Upper edge.

    Raises:
        ConfigError: If the edges are not in order below half the sampling rate.

    Example:
        >>> clean, lengths = BandPass()(torch.ones(1, 4000), torch.tensor([4000]))  # a constant is below the band
        >>> bool(clean[:, 600:-600].abs().max() < 0.01)
        True
    """

    place: ClassVar[int] = 10

    def __init__(self, sample_rate: int = 16000, low_hz: float = 80.0, high_hz: float = 7600.0) -> None:
        super().__init__()
        if not 0 < low_hz < high_hz < sample_rate / 2:
            raise ConfigError(
                f"BandPass.low_hz and high_hz must be above 0, in order, and below {sample_rate / 2:g} Hz; got {low_hz:g} "
                f"and {high_hz:g}."
            )
        self.sample_rate, self.low_hz, self.high_hz = sample_rate, low_hz, high_hz

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch within the band; see `ser.cleaning` for the shapes."""
        low, high = (torch.full_like(lengths, hz, dtype=torch.float64) for hz in (self.low_hz, self.high_hz))
        return band_pass(waveform, lengths, low, high, self.sample_rate), lengths
