"""Batch norm over the whole batch, which the processes of a training share."""

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.features.precision import at_least_float32
from ser.runtime import distributed


class BatchNorm(nn.BatchNorm2d):
    """Torch's batch norm, whose statistics do not depend on how many processes share a batch.

    `torch.nn.SyncBatchNorm` does the same, but on GPUs only.

    Shapes:
        - maps: ``(batch, channel, feature, frame)``, as is what it returns
    """

    @override
    def forward(self, maps: Tensor) -> Tensor:
        if not self.training or distributed.world_size() == 1:
            return super().forward(maps)
        values, over = at_least_float32(maps), (0, 2, 3)
        here = values.new_tensor([values.numel() / values.shape[1]])
        sums = distributed.all_reduce_sum(torch.cat([values.sum(over), here]))
        mean, count = sums[:-1] / sums[-1], sums[-1].detach()
        centred = values - mean[:, None, None]
        variance = distributed.all_reduce_sum(centred.square().sum(over)) / count
        running: Any = self  # whose buffers are optional in torch's annotations
        running.running_mean.lerp_(mean.detach(), self.momentum)
        running.running_var.lerp_((variance * count / (count - 1)).detach(), self.momentum)
        running.num_batches_tracked.add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(maps.dtype)
