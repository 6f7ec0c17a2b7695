"""CutMix: replace a stretch of a clip by one of another clip, and its target in proportion.

Source: Yun et al., 2019, https://doi.org/10.1109/ICCV.2019.00612, with stretches of time in place of rectangles.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.augment.augmentation import checked_probability, drawn_rows
from ser.errors import ConfigError


class CutMix(nn.Module):
    """Paste a stretch of another clip of the batch, of a random share of the shorter of both, at a random place.

    Args:
        most: Largest share; shares are uniform from 0.
        probability: Share of the clips that are changed, drawn for each.

    Raises:
        ConfigError: If a share is not from 0 to 1.
    """

    domain: ClassVar[str] = "features"

    def __init__(self, most: float = 0.5, probability: float = 1.0) -> None:
        super().__init__()
        self.probability = checked_probability(self, probability)
        if not 0 <= most <= 1:
            raise ConfigError(f"CutMix.most must be from 0 to 1; got {most}.")
        self.most = most

    def forward(self, x: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return pasted clips of the same lengths, and mixed targets; see `ser.augment` for the shapes."""
        rows = drawn_rows(len(x), self.probability).to(x.device)
        if not len(rows):
            return x, lengths, target
        other = torch.randperm(len(x), device=x.device)[rows]
        share, place, from_place = torch.rand(3, len(rows), device=x.device)
        own, theirs = lengths[rows], lengths[other]
        count = (share * self.most * torch.minimum(own, theirs)).round().long()
        start, from_start = (place * (own - count + 1)).long(), (from_place * (theirs - count + 1)).long()
        frame = torch.arange(x.shape[-1], device=x.device) - start[:, None]
        pasted = ((frame >= 0) & (frame < count[:, None]))[:, None]
        source = (frame + from_start[:, None]).clamp(0, x.shape[-1] - 1)[:, None].expand(-1, x.shape[1], -1)
        mixed = torch.where(pasted, x[other].gather(2, source), x[rows])
        weight = (count / own)[:, None]
        soft = (1 - weight) * target[rows] + weight * target[other]
        return x.index_copy(0, rows, mixed), lengths, target.index_copy(0, rows, soft)
