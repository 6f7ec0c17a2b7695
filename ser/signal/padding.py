"""Padding of a batch, and the power of its clips without it."""

import torch
from torch import Tensor


def cut(waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return the batch with zeros beyond each clip's length, no wider than the longest clip.

    Example:
        >>> cut(torch.ones(2, 4), torch.tensor([1, 3]))[0].tolist()
        [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    waveform = waveform[:, : int(lengths.max())]
    beyond = torch.arange(waveform.shape[1], device=waveform.device) >= lengths[:, None]
    return waveform.masked_fill(beyond, 0.0), lengths


def power(waveform: Tensor, lengths: Tensor) -> Tensor:
    """Return the mean square over each clip's own samples, ``(batch,)`` float64.

    Example:
        >>> power(torch.tensor([[2.0, 2.0, 0.0, 0.0]]), torch.tensor([2])).tolist()
        [4.0]
    """
    return waveform.double().square().sum(dim=1) / lengths
