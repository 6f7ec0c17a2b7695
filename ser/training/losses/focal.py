"""Focal loss: clips that are right already count less.

Source: Lin et al., 2017, https://doi.org/10.1109/ICCV.2017.324.
"""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor
from typing_extensions import override

from ser.errors import ConfigError
from ser.training.losses.loss import Loss


class Focal(Loss):
    """``-sum_c t_c (1 - p_c)^gamma log p_c``; with ``gamma`` 0 it is the cross-entropy.

    Args:
        counts, class_weights, label_smoothing: See `ser.training.losses.loss.Loss`.
        gamma: How fast the weight of a clip falls with the probability of its class; at least 0.

    Raises:
        ConfigError: If ``gamma`` is negative, or as for `Loss`.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        class_weights: Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(counts, class_weights, label_smoothing)
        if gamma < 0:
            raise ConfigError(f"loss.gamma must be at least 0; got {gamma}.")
        self.gamma = gamma

    @override
    def per_clip(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = logits.log_softmax(dim=1)
        return -(target * (1 - log_p.exp()).clamp(min=0) ** self.gamma * log_p).sum(dim=1)
