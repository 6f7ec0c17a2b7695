"""Which frames of a padded batch are real."""

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """True where a frame lies within its clip.

    Shapes:
        - lengths: ``(batch,)``
        - returns: ``(batch, frames)``

    Example:
        >>> frame_mask(torch.tensor([1, 3]), 3).tolist()
        [[True, False, False], [True, True, True]]
    """
    return torch.arange(frames, device=lengths.device) < lengths[:, None]
