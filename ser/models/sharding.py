"""Sharding of weights, gradients and optimizer states over devices, for encoders that do not fit on one.

Source: Zhao et al., 2023, https://arxiv.org/abs/2304.11277, as PyTorch's ``fully_shard``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.strategies.model_parallel import ModelParallelStrategy
from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from ser.runtime import distributed


class FullySharded(ModelParallelStrategy):
    """Lightning's strategy, with a share of each batch for every device, and checkpoints of one file."""

    def __init__(self) -> None:
        super().__init__(distributed.world_size(), tensor_parallel_size=1, save_distributed_checkpoint=False)

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = None) -> dict[str, Any]:
        """Load a checkpoint, also where the outermost weights are gathered, as a forward pass leaves them."""
        assert self.model is not None
        for part in self.model.modules():
            if isinstance(part, FSDPModule):
                part.reshard()
        return super().load_checkpoint(checkpoint_path, weights_only)


def shard(parts: Sequence[nn.Module], mesh: DeviceMesh) -> None:
    """Shard the weights of some modules, inner ones first; modules that are already sharded are skipped."""
    for part in parts:
        if not isinstance(part, FSDPModule):
            fully_shard(part, mesh=mesh["data_parallel"])
