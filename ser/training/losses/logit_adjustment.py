"""Logit adjustment: the training logits carry the classes' frequencies, so that the model's own need not.

Source: Menon et al., 2021, https://arxiv.org/abs/2007.07314.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor
from typing_extensions import override

from ser.errors import ConfigError
from ser.training.losses.loss import Loss


class LogitAdjustment(Loss):
    """Cross-entropy of ``logits + tau log prior``, whose minimum over logits maximises UAR rather than accuracy.

    Args:
        counts: Training clips of each class; their shares are the prior.
        class_weights: See `ser.training.losses.loss.Loss`; it corrects for the same imbalance, so leave it ``None``.
        label_smoothing: See `ser.training.losses.loss.Loss`.
        tau: Weight of the prior; 1 is the published choice, 0 the cross-entropy.

    Raises:
        ConfigError: If a class has no training clips, or as for `Loss`.
    """

    log_prior: Tensor

    def __init__(
        self,
        counts: Mapping[str, int],
        class_weights: Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
        tau: float = 1.0,
    ) -> None:
        super().__init__(counts, class_weights, label_smoothing)
        if absent := [name for name, count in counts.items() if not count]:
            raise ConfigError(
                f"loss must not be logit_adjustment where a class has no training clips; there are none of "
                f"{', '.join(absent)}. Set loss=cross_entropy, or choose other labels."
            )
        self.tau = tau
        number = torch.tensor(list(counts.values()), dtype=torch.float64)
        self.register_buffer("log_prior", (number / number.sum()).log().float(), persistent=False)

    @override
    def per_clip(self, logits: Tensor, target: Tensor) -> Tensor:
        return -(target * (logits + self.tau * self.log_prior).log_softmax(dim=1)).sum(dim=1)
