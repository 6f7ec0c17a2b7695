"""Slopes of features over time, as in HTK's and Kaldi's deltas."""

import torch
from torch import Tensor, nn

from ser.features.mask import frame_mask


def hold(features: Tensor, frames: Tensor) -> Tensor:
    """Return features whose last frame continues in the padding, ``(batch, feature, frame)``.

    Example:
        >>> hold(torch.tensor([[[1.0, 2.0, 0.0]]]), torch.tensor([2])).tolist()
        [[[1.0, 2.0, 2.0]]]
    """
    time = torch.arange(features.shape[-1], device=features.device)
    index = torch.minimum(time, frames[:, None] - 1)  # (batch, frame)
    return features.gather(-1, index[:, None].expand_as(features))


def deltas(features: Tensor, frames: Tensor, width: int = 9) -> Tensor:
    """Return the slope of the line through ``width`` frames about each; clips continue as they begin and end.

    Shapes:
        - features: ``(batch, feature, frame)``
        - frames: ``(batch,)``
        - returns: as ``features``, zero beyond a clip's frames

    Example:
        >>> deltas(torch.arange(9.0)[None, None], torch.tensor([9]), width=3)[0, 0, 1:-1].tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    """
    # Each row is a clip of one channel: torchaudio's, with a channel for each row of a batch, cannot be exported.
    reach = width // 2
    weights = torch.arange(-reach, reach + 1, device=features.device, dtype=features.dtype)
    rows = nn.functional.pad(hold(features, frames).flatten(0, 1)[:, None], (reach, reach), mode="replicate")
    slopes = nn.functional.conv1d(rows, (weights / weights.square().sum())[None, None]).view_as(features)
    return slopes * frame_mask(frames, features.shape[-1])[:, None]
