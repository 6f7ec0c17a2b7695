"""Loudness normalisation to a level in LUFS."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.signal.loudness import loudness

BETWEEN = (-70.0, 0.0)


class Loudness(nn.Module):
    """Bring each clip to one loudness; see `ser.signal.loudness`. Silence stays silent. Nothing is clipped.

    Args:
        sample_rate: In Hz.
        lufs: Loudness in LUFS, from -70 to 0; broadcasting uses -23.

    Raises:
        ConfigError: If the loudness is out of its range.
    """

    place: ClassVar[int] = 40

    def __init__(self, sample_rate: int = 16000, lufs: float = -23.0) -> None:
        super().__init__()
        if not BETWEEN[0] <= lufs <= BETWEEN[1]:
            raise ConfigError(f"Loudness.lufs must be from -70 to 0; got {lufs}.")
        self.sample_rate, self.lufs = sample_rate, lufs

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the batch at its loudness; see `ser.cleaning` for the shapes."""
        level = loudness(waveform, lengths, self.sample_rate)
        gain = torch.where(level.isfinite(), 10 ** ((self.lufs - level) / 20), 1.0)
        return waveform * gain.to(waveform.dtype)[:, None], lengths
