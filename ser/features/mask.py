"""The mask of valid frames in a padded batch."""

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """Return a mask that is true for frames within their clip.

    Shapes:
        - lengths: ``(batch,)``
        - returns: ``(batch, frames)``

    Example:
        >>> frame_mask(torch.tensor([1, 3]), 3).tolist()
        [[True, False, False], [True, True, True]]
    """
    return torch.arange(frames, device=lengths.device) < lengths[:, None]
