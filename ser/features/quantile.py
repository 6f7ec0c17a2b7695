"""Quantiles of the known values of each clip."""

import torch
from torch import Tensor


def quantile(values: Tensor, known: Tensor, share: float) -> Tensor:
    """Return a quantile of the known values, interpolated as NumPy does; NaN where there are none.

    It is what ``torch.nanquantile`` returns, which cannot be exported.

    Shapes:
        - values, known: ``(batch, frame)``
        - returns: ``(batch, 1)``

    Example:
        >>> quantile(torch.tensor([[3.0, 9.0, 1.0]]), torch.tensor([[True, False, True]]), 0.25).tolist()
        [[1.5]]
    """
    ordered = torch.where(known, values, torch.inf).sort(dim=-1).values
    count = known.sum(dim=-1, keepdim=True)
    position = (count - 1).clamp(min=0) * share
    low, high = (ordered.gather(-1, at.long()) for at in (position.floor(), position.ceil()))
    found = low + (high - low) * (position - position.floor())
    return torch.where(count > 0, found, torch.nan)
