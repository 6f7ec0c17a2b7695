"""Pooling of frames to one vector per utterance, and mixing of layers."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.features.precision import at_least_float32


class AttentiveStatistics(nn.Module):
    """Mean and deviation over time, weighted by learned attention; padding gets no weight.

    Source: Okabe et al., 2018, https://doi.org/10.21437/Interspeech.2018-993.

    Shapes:
        - frames: ``(batch, frame, feature)``
        - mask: ``(batch, frame)``, true where a frame is real
        - returns: ``(batch, 2 * n_features)``

    Args:
        n_features: Features of a frame.
        hidden: Width of the layer that scores frames.
    """

    def __init__(self, n_features: int, hidden: int = 64) -> None:
        super().__init__()
        # No bias at the end: softmax over time ignores what all frames share.
        self.score = nn.Sequential(nn.Linear(n_features, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))

    @override
    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        scores = at_least_float32(self.score(frames)).masked_fill(~mask[..., None], -torch.inf)
        weight = scores.softmax(dim=1)  # (batch, frame, 1)
        # Sums of squares in half precision lose the deviation: statistics are at least float32.
        frames = at_least_float32(frames)
        mean = (weight * frames).sum(dim=1)
        variance = (weight * (frames - mean[:, None]).square()).sum(dim=1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


class LayerMix(nn.Module):
    """A weighted mean of layers, with learned weights that are positive and sum to 1; all equal at first.

    Source: Peters et al., 2018, https://doi.org/10.18653/v1/N18-1202, as in SUPERB, Yang et al., 2021,
    https://doi.org/10.21437/Interspeech.2021-1775.

    Shapes:
        - layers: ``(batch, layer, ...)``
        - returns: ``(batch, ...)``
    """

    GAIN = 10.0
    """Scale before the softmax, so that the weights change as fast as the head's in few steps."""

    def __init__(self, n_layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(n_layers))

    @property
    def weights(self) -> Tensor:
        """The weights of the layers, ``(layer,)``."""
        return (self.GAIN * self.scores).softmax(dim=0)

    @override
    def forward(self, layers: Tensor) -> Tensor:
        return torch.einsum("l,bl...->b...", self.weights, layers)
