"""Concordance loss: 1 minus the concordance correlation coefficient (CCC) of a batch.

Sources: Lin, 1989, https://doi.org/10.2307/2532051; as a loss: Trigeorgis et al., 2016,
https://doi.org/10.1109/ICASSP.2016.7472669.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from ser.features.precision import at_least_float32
from ser.runtime import distributed
from ser.training.losses.loss import Loss

FLOOR = 1e-8
"""Added to a variance: outputs and targets that are one constant give a loss of 1, without a gradient."""


class CCC(Loss):
    """``1 - mean_d CCC_d``, with ``CCC = 2 cov / (var_y + var_t + (mean_y - mean_t)^2)`` over the clips of a batch.

    It is of the batch, not of a clip: the CCC of few clips is a noisy and biased estimate of that of many, so batches should
    have 16 clips or more, and accumulated gradients are those of the smaller batches. A batch of one clip teaches nothing.

    Args:
        counts: Training clips with each number; not used.
    """

    numeric: ClassVar[bool] = True
    least_batch: ClassVar[int] = 2

    def __init__(self, counts: Mapping[str, int]) -> None:
        super().__init__(counts)

    @override
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the whole batch, in each of several processes."""
        pair = torch.stack([at_least_float32(logits), target.to(at_least_float32(logits))])  # (2, batch, dimension)
        count = distributed.all_reduce_sum(pair.new_tensor(pair.shape[1]))
        mean = distributed.all_reduce_sum(pair.sum(dim=1)) / count
        y, t = pair - mean[:, None]
        spread = distributed.all_reduce_sum((y.square() + t.square()).sum(dim=0)) / count
        covariance = distributed.all_reduce_sum((y * t).sum(dim=0)) / count
        return 1 - (2 * covariance / (spread + (mean[0] - mean[1]).square() + FLOOR)).mean()
