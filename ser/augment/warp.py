"""Stretch in time and shift along the mel axis: other speaking rates, other vocal tracts.

Shifting mel bands is the cheap kin of vocal tract length perturbation (Jaitly and Hinton, 2013).
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.features.mask import frame_mask


class Warp(nn.Module):
    """Resample each clip's features bilinearly to another length and another position on the mel axis.

    Args:
        stretch: The most by which a clip gets longer or shorter, as a share of its length.
        shift: The most by which bands move up or down, in bands; bands that come from outside repeat the edge.
    """

    domain: ClassVar[str] = "features"

    def __init__(self, stretch: float = 0.15, shift: float = 3.0) -> None:
        super().__init__()
        self.stretch, self.shift = stretch, shift

    def forward(self, x: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See the package."""
        batch, n_features, frames = x.shape
        factor = 1 + self.stretch * (2 * torch.rand(batch, device=x.device) - 1)
        warped = (lengths * factor).round().long().clamp(min=1)
        longest = int(warped.max())
        # Where each new frame and band comes from, in old frames and bands, then in grid_sample's -1..1.
        time = (torch.arange(longest, device=x.device) + 0.5) * (lengths / warped)[:, None] - 0.5
        time = torch.minimum(time, (lengths - 1)[:, None].to(time.dtype))  # never from the padding
        band = torch.arange(n_features, device=x.device) + self.shift * (2 * torch.rand(batch, 1, device=x.device) - 1)
        grid = torch.stack(
            [
                (2 * time / max(frames - 1, 1) - 1)[:, None, :].expand(batch, n_features, longest),
                (2 * band / max(n_features - 1, 1) - 1)[:, :, None].expand(batch, n_features, longest),
            ],
            dim=-1,
        )
        sampled = nn.functional.grid_sample(x[:, None], grid, padding_mode="border", align_corners=True)[:, 0]
        return sampled * frame_mask(warped, longest)[:, None], warped, target
