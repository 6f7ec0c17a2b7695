"""SpecAugment: mask random bands and stretches of time.

Source: Park et al., 2019, https://doi.org/10.21437/Interspeech.2019-2680 (without its time warping).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn


class SpecAugment(nn.Module):
    """Set random bands and frames to zero, the mean of normalised features; each clip draws its own.

    Args:
        bands: How many stretches of bands.
        band_width: The widest such stretch, in bands; widths are uniform from 0.
        times: How many stretches of time.
        time_share: The longest such stretch, as a share of the clip.
    """

    domain: ClassVar[str] = "features"

    def __init__(self, bands: int = 2, band_width: float = 10.0, times: int = 2, time_share: float = 0.15) -> None:
        super().__init__()
        self.bands, self.band_width, self.times, self.time_share = bands, band_width, times, time_share

    def forward(self, x: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the package."""
        batch, n_features, frames = x.shape
        height = torch.full((batch,), float(n_features), device=x.device)
        band = _stretches(height, self.bands, height.new_full((batch,), self.band_width), n_features)
        time = _stretches(lengths.float(), self.times, self.time_share * lengths, frames)
        return x.masked_fill(band[:, :, None] | time[:, None, :], 0.0), lengths, target


def _stretches(extent: Tensor, count: int, widest: Tensor, size: int) -> Tensor:
    """True within ``count`` random stretches of ``(0, extent)``: ``(batch, size)``."""
    width = torch.rand(count, len(extent), device=extent.device) * widest
    start = torch.rand(count, len(extent), device=extent.device) * (extent - width).clamp(min=0)
    at = torch.arange(size, device=extent.device) + 0.5  # middles, so that the first is masked as often as the last
    return ((at >= start[..., None]) & (at < (start + width)[..., None])).any(dim=0)
