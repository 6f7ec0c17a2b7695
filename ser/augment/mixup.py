"""Mixup: train on weighted sums of two clips and of their targets.

Source: Zhang et al., 2018, https://arxiv.org/abs/1710.09412.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.augment.augmentation import checked_probability, drawn_rows


class Mixup(nn.Module):
    """Mix each clip with another of the batch, with a weight from a Beta distribution.

    Args:
        alpha: Both parameters of the Beta distribution; smaller values mix less.
        share: Share of batches that are mixed.
        probability: Share of the clips of such a batch that are mixed, drawn for each.

    Raises:
        ConfigError: If the probability is not from 0 to 1.
    """

    domain: ClassVar[str] = "features"

    def __init__(self, alpha: float = 0.3, share: float = 1.0, probability: float = 1.0) -> None:
        super().__init__()
        self.alpha, self.share, self.probability = alpha, share, checked_probability(self, probability)

    def forward(self, x: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mixed clips, the longer of their lengths, and mixed targets; see `ser.augment` for the shapes."""
        if float(torch.rand(())) >= self.share:
            return x, lengths, target
        rows = drawn_rows(len(x), self.probability).to(x.device)
        if not len(rows):
            return x, lengths, target
        alpha = torch.full((len(rows),), self.alpha, device=x.device)
        weight = torch.distributions.Beta(alpha, alpha).sample()
        weight = torch.maximum(weight, 1 - weight)  # the clip itself stays dominant
        other = torch.randperm(len(x), device=x.device)[rows]
        share = weight.view(-1, *[1] * (x.dim() - 1))
        mixed = share * x[rows] + (1 - share) * x[other]
        soft = weight[:, None] * target[rows] + (1 - weight[:, None]) * target[other]
        longer = torch.maximum(lengths[rows], lengths[other])
        return x.index_copy(0, rows, mixed), lengths.index_copy(0, rows, longer), target.index_copy(0, rows, soft)
