"""SpecAugment: mask random bands and stretches of time.

Source: Park et al., 2019, https://doi.org/10.21437/Interspeech.2019-2680 (without its time warping).
"""

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Drawn


class SpecAugment(Augmentation):
    """Set random bands and frames of each clip to zero, the mean of normalised features.

    Args:
        bands: Number of masked ranges of bands.
        band_width: Maximum width of such a range, in bands; widths are uniform from 0.
        times: Number of masked ranges of time.
        time_share: Maximum length of such a range, as a share of the clip.
        probability: See `Augmentation`.
    """

    domain: ClassVar[str] = "features"

    def __init__(
        self,
        bands: int = 2,
        band_width: float = 10.0,
        times: int = 2,
        time_share: float = 0.15,
        probability: float = 1.0,
    ) -> None:
        super().__init__(probability)
        self.bands, self.band_width, self.times, self.time_share = bands, band_width, times, time_share

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        _, n_features, frames = x.shape
        own = lengths[rows]
        height = torch.full((len(rows),), float(n_features), device=x.device)
        band = _stretches(height, self.bands, height.new_full((len(rows),), self.band_width), n_features)
        return band, _stretches(own.float(), self.times, self.time_share * own, frames)

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        band, time = drawn
        return x.masked_fill(band[:, :, None] | time[:, None, : x.shape[2]], 0.0), lengths


def _stretches(extent: Tensor, count: int, widest: Tensor, size: int) -> Tensor:
    """Return a mask that is true within ``count`` random ranges of ``(0, extent)``: ``(batch, size)``."""
    width = torch.rand(count, len(extent), device=extent.device) * widest
    start = torch.rand(count, len(extent), device=extent.device) * (extent - width).clamp(min=0)
    at = torch.arange(size, device=extent.device) + 0.5  # centres, so that the first is masked as often as the last
    return ((at >= start[..., None]) & (at < (start + width)[..., None])).any(dim=0)
