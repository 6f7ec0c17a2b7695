"""Stretch in time and shift along the mel axis, to simulate other speaking rates and vocal tracts.

Shifting mel bands approximates vocal tract length perturbation (Jaitly and Hinton, 2013) at low cost.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Drawn
from ser.features.mask import frame_mask


class Warp(Augmentation):
    """Resample each clip's features bilinearly to another length and another position on the mel axis.

    Args:
        stretch: Maximum change of a clip's length, as a share of it.
        shift: Maximum shift up or down, in bands; bands from outside repeat the edge.
        probability: See `Augmentation`.
    """

    domain: ClassVar[str] = "features"

    def __init__(self, stretch: float = 0.15, shift: float = 3.0, probability: float = 1.0) -> None:
        super().__init__(probability)
        self.stretch, self.shift = stretch, shift

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        factor = 1 + self.stretch * (2 * torch.rand(len(rows), device=x.device) - 1)
        return factor, self.shift * (2 * torch.rand(len(rows), 1, device=x.device) - 1)

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        factor, shift = drawn
        batch, n_features, frames = x.shape
        warped = (lengths * factor).round().long().clamp(min=1)
        longest = int(warped.max())
        # Source position of each new frame and band, in old frames and bands, then in grid_sample's -1..1.
        time = (torch.arange(longest, device=x.device) + 0.5) * (lengths / warped)[:, None] - 0.5
        time = torch.minimum(time, (lengths - 1)[:, None].to(time.dtype))  # never from the padding
        band = torch.arange(n_features, device=x.device) + shift
        grid = torch.stack(
            [
                (2 * time / max(frames - 1, 1) - 1)[:, None, :].expand(batch, n_features, longest),
                (2 * band / max(n_features - 1, 1) - 1)[:, :, None].expand(batch, n_features, longest),
            ],
            dim=-1,
        )
        sampled = nn.functional.grid_sample(x[:, None], grid, padding_mode="border", align_corners=True)[:, 0]
        return sampled * frame_mask(warped, longest)[:, None], warped
