"""Shift in time: the clip begins earlier or later, and silence takes the place of what left."""

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Drawn, uniform
from ser.errors import ConfigError
from ser.features.mask import frame_mask


class TimeShift(Augmentation):
    """Move the samples of a clip within its length.

    Args:
        share: Largest shift in either direction, as a share of the clip.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If the share is not from 0 to 1.
    """

    domain: ClassVar[str] = "waveform"

    def __init__(self, share: float = 0.1, probability: float = 1.0) -> None:
        super().__init__(probability)
        if not 0 <= share < 1:
            raise ConfigError(f"TimeShift.share must be at least 0 and below 1; got {share}.")
        self.share = share

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        return (uniform((-self.share, self.share), rows),)

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        (share,) = drawn
        source = torch.arange(x.shape[1], device=x.device) - (share * lengths).long()[:, None]
        inside = (source >= 0) & (source < lengths[:, None]) & frame_mask(lengths, x.shape[1])
        return x.gather(1, source.clamp(0, x.shape[1] - 1)) * inside, lengths
