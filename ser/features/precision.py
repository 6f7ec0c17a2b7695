"""The precision of sums over frames."""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """Convert half precision to float32, which sums over frames need; float32 and float64 stay unchanged.

    Example:
        >>> [at_least_float32(torch.ones(1, dtype=d)).dtype for d in (torch.bfloat16, torch.float64)]
        [torch.float32, torch.float64]
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
