"""Mean squared error of numbers."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from ser.training.losses.loss import Loss


class MSE(Loss):
    """``mean_d (y_d - t_d)^2`` over the dimensions, of standardised targets ``t``: every dimension counts the same.

    Args:
        counts: Training clips with each number; not used.
    """

    numeric: ClassVar[bool] = True

    def __init__(self, counts: Mapping[str, int]) -> None:
        super().__init__(counts)

    @override
    def per_clip(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits - target).square().mean(dim=1)
