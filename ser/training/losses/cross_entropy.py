"""Cross-entropy."""

from torch import Tensor
from typing_extensions import override

from ser.training.losses.loss import Loss


class CrossEntropy(Loss):
    """``-sum_c t_c log p_c``, the negative log-likelihood of soft targets ``t`` under the softmax ``p`` of the logits."""

    @override
    def per_clip(self, logits: Tensor, target: Tensor) -> Tensor:
        return -(target * logits.log_softmax(dim=1)).sum(dim=1)
