"""Normalisation of features: by each utterance's own statistics, or by those of the training set, kept in the checkpoint."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.features.mask import frame_mask

By = Literal["utterance", "training", "none"]


class Normalise(nn.Module):
    """Zero mean and unit variance in every band.

    Shapes:
        - features: ``(batch, feature, frame)``
        - lengths: ``(batch,)`` in frames
        - returns: as ``features``, zero beyond a clip's frames

    Args:
        n_features: Bands.
        by: ``utterance`` takes each clip's own mean and deviation (blind to level and channel); ``training`` those of the
            training clips, set once by `fit`; ``none`` leaves the features alone.
        epsilon: Added to the deviation, so that a constant band stays finite.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, n_features: int, by: By = "utterance", epsilon: float = 1e-3) -> None:
        super().__init__()
        if by not in ("utterance", "training", "none"):
            raise ConfigError(f"model.normalise is one of utterance, training, none, not {by!r}.")
        self.by, self.epsilon = by, epsilon
        self.register_buffer("mean", torch.zeros(n_features, 1))
        self.register_buffer("deviation", torch.ones(n_features, 1))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """See the class."""
        mask = frame_mask(lengths, features.shape[-1])[:, None]
        if self.by == "none":
            return features * mask
        if self.by == "training":
            return (features - self.mean) / (self.deviation + self.epsilon) * mask
        count = lengths[:, None, None].clamp(min=1)
        centred = (features - (features * mask).sum(-1, keepdim=True) / count) * mask
        deviation = (centred.square().sum(-1, keepdim=True) / count).sqrt()
        return centred / (deviation + self.epsilon)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the statistics from ``(features, lengths)`` of the training clips, in double precision."""
        total = torch.zeros(len(self.mean), dtype=torch.float64)
        squares, count = torch.zeros_like(total), 0
        for features, lengths in batches:
            valid = (features * frame_mask(lengths, features.shape[-1])[:, None]).double().cpu()
            total += valid.sum(dim=(0, 2))
            squares += valid.square().sum(dim=(0, 2))
            count += int(lengths.sum())
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        self.mean.copy_(mean[:, None])
        self.deviation.copy_(deviation[:, None])
