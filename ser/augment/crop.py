"""Crop: keep a random stretch of each clip's frames."""

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Drawn
from ser.errors import ConfigError
from ser.features.mask import frame_mask


class Crop(Augmentation):
    """Keep one stretch, at a random place, of a random share of the clip.

    Args:
        least: Smallest share of the frames that is kept, above 0; shares are uniform up to 1.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If the share is not above 0 and at most 1.
    """

    domain: ClassVar[str] = "features"

    def __init__(self, least: float = 0.6, probability: float = 1.0) -> None:
        super().__init__(probability)
        if not 0 < least <= 1:
            raise ConfigError(f"Crop.least must be above 0 and at most 1; got {least}.")
        self.least = least

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        share, place = torch.rand(2, len(rows), device=x.device)
        return self.least + (1 - self.least) * share, place

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        share, place = drawn
        counts = (share * lengths).ceil().long().clamp(min=1)
        start = (place * (lengths - counts + 1)).long()
        frames = torch.arange(int(counts.max()), device=x.device)
        source = (start[:, None] + frames).clamp(max=x.shape[-1] - 1)
        kept = x.gather(2, source[:, None].expand(-1, x.shape[1], -1))
        return kept * frame_mask(counts, len(frames))[:, None], counts
