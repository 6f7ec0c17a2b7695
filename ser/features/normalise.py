"""Normalisation of features: by the statistics of each utterance, the training set, the speaker or the corpus."""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.datamodules.batch import Grouping
from ser.errors import ConfigError
from ser.features.mask import frame_mask

By = Literal["utterance", "training", "speaker", "corpus", "none"]
BY = get_args(By)
RELEVANCE = 4.0
"""In clips; chosen on dev speakers of RAVDESS and SAVEE."""


class Statistics(NamedTuple):
    """Mean and deviation of every band: ``(group, feature, 1)``, or ``(batch, feature, 1)`` once each clip has its own."""

    mean: Tensor
    deviation: Tensor

    def of(self, group: Tensor) -> "Statistics":
        """Return the statistics of each clip of a batch, from the positions of their groups, ``(batch,)``."""
        return Statistics(self.mean[group], self.deviation[group])


class Moments:
    """Sums over clips by group (a speaker, a corpus, everybody) in double precision, whatever the order of the batches."""

    def __init__(self, groups: int, n_features: int) -> None:
        self.total = torch.zeros(groups, n_features, dtype=torch.float64)
        self.squares = torch.zeros_like(self.total)
        self.frames, self.clips = (torch.zeros(groups, 1, dtype=torch.float64) for _ in range(2))
        self._rows: list[Tensor] = []

    def add(self, features: Tensor, lengths: Tensor, group: Tensor, index: Tensor | None = None) -> None:
        """Add a batch.

        Shapes:
            - features: ``(batch, feature, frame)``
            - lengths: ``(batch,)`` in frames
            - group: ``(batch,)`` positions of groups
            - index: ``(batch,)`` row positions in the manifest, kept in `rows`
        """
        if index is not None:
            self._rows.append(index.cpu())
        valid = (features * frame_mask(lengths, features.shape[-1])[:, None]).double().cpu()
        group = group.cpu()
        self.total.index_add_(0, group, valid.sum(dim=2))
        self.squares.index_add_(0, group, valid.square().sum(dim=2))
        self.frames.index_add_(0, group, lengths.double().cpu()[:, None])
        self.clips.index_add_(0, group, torch.ones(len(group), 1, dtype=torch.float64))

    @property
    def rows(self) -> np.ndarray:
        """The rows of the manifest that were added, so that a caller can check that they may be used."""
        return torch.cat(self._rows).numpy() if self._rows else np.empty(0, dtype=np.int64)

    def mean(self) -> Tensor:
        """Return the means, ``(group, feature)``; a group without clips has zeros."""
        return self.total / self.frames.clamp(min=1)

    def variance(self) -> Tensor:
        """Return the variances of all frames of each group, ``(group, feature)``."""
        return (self.squares / self.frames.clamp(min=1) - self.mean().square()).clamp(min=0)


class Normalise(nn.Module):
    """Zero mean and unit variance in every band.

    Shapes:
        - features: ``(batch, feature, frame)``
        - lengths: ``(batch,)`` in frames
        - own: each clip's statistics, for ``speaker`` and ``corpus``; without them, those given to `adapt`, or those of
            an unknown group
        - returns: as ``features``, zero beyond a clip's frames

    Args:
        n_features: Number of bands.
        by: ``utterance`` uses each clip's own mean and deviation (independent of level and channel); ``training`` those
            of the training clips, set once by `fit`; ``speaker`` those of the clip's speaker, and ``corpus`` those of its
            corpus (see `statistics`); ``none`` leaves the features unchanged.
        epsilon: Added to the deviation, so that a constant band stays finite.
        relevance: In clips: with this many, the statistics of a speaker or corpus are halfway between their own and those
            of training; 0 uses their own alone.

    Raises:
        ConfigError: If ``by`` is another, or ``relevance`` negative.
    """

    mean: Tensor
    deviation: Tensor
    own: Tensor | None

    def __init__(
        self, n_features: int, by: By = "utterance", epsilon: float = 1e-3, relevance: float = RELEVANCE
    ) -> None:
        super().__init__()
        if by not in BY:
            raise ConfigError(f"normalise.by must be {', '.join(BY[:-1])} or {BY[-1]}; got {by!r}. Choose one of them.")
        if isinstance(relevance, bool) or not isinstance(relevance, int | float) or not 0 <= relevance < math.inf:
            raise ConfigError(
                f"normalise.relevance must be a number of clips of at least 0; got {relevance!r}. "
                f"Use the default, {RELEVANCE:g}."
            )
        self.by, self.epsilon, self.relevance = by, epsilon, relevance
        self.groups: Grouping | None = by if by in get_args(Grouping) else None  # type: ignore[assignment]  # as checked
        self.register_buffer("mean", torch.zeros(n_features, 1))
        self.register_buffer("deviation", torch.ones(n_features, 1))
        self.register_buffer("own", None, persistent=False)  # (2, feature, 1)

    @override
    def forward(self, features: Tensor, lengths: Tensor, own: Statistics | None = None) -> Tensor:
        mask = frame_mask(lengths, features.shape[-1])[:, None]
        if self.by == "none":
            return features * mask
        if self.by == "training" or self.groups:
            mean, deviation = own or self.adapted or (self.mean, self.deviation)
            return (features - mean) / (deviation + self.epsilon) * mask
        count = lengths[:, None, None].clamp(min=1)
        centred = (features - (features * mask).sum(-1, keepdim=True) / count) * mask
        deviation = (centred.square().sum(-1, keepdim=True) / count).sqrt()
        return centred / (deviation + self.epsilon)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Set the statistics from ``(features, lengths)`` of the training clips, in double precision."""
        everybody = Moments(1, len(self.mean))
        for features, lengths in batches:
            everybody.add(features, lengths, torch.zeros(len(lengths), dtype=torch.int64))
        self._set(everybody.mean()[0], everybody.variance()[0])

    @torch.no_grad()
    def fit_groups(self, groups: Moments) -> None:
        """Set the statistics of an unknown group: the mean over the training speakers, or corpora, of theirs."""
        present = groups.clips[:, 0] > 0
        self._set(groups.mean()[present].mean(dim=0), groups.variance()[present].mean(dim=0))

    def statistics(self, groups: Moments) -> Statistics:
        """Estimate the statistics of each speaker, or corpus, from their unlabelled features.

        The mean of ``n`` clips has weight ``n / (n + relevance)``, that of the training groups the rest, and likewise for
        the variance about the group's own mean: with `RELEVANCE`, one clip counts little, fifty count almost fully. Without
        clips they are those of training.

        Source: the MAP adaptation of means and variances of Reynolds et al., 2000,
        https://doi.org/10.1006/dspr.1999.0361, with clips as the unit.
        """
        weight = groups.clips / (groups.clips + self.relevance).clamp(min=1)  # the clamp: no clips, and no relevance
        prior, spread = self.mean.double().cpu().T, self.deviation.double().cpu().T.square()
        mean = weight * groups.mean() + (1 - weight) * prior
        variance = weight * groups.variance() + (1 - weight) * spread
        return Statistics(*(x[..., None].to(self.mean) for x in (mean, variance.sqrt())))

    def adapt(self, group: Statistics | None) -> None:
        """Use the statistics of the one group of ``group`` from now on; ``None`` resets them."""
        self.own = None if group is None else torch.stack([group.mean[0], group.deviation[0]])

    @property
    def adapted(self) -> Statistics | None:
        """The statistics of the group that `adapt` was given, ``(feature, 1)`` each."""
        return None if self.own is None else Statistics(*self.own)

    def _set(self, mean: Tensor, variance: Tensor) -> None:
        self.mean.copy_(mean[:, None])
        self.deviation.copy_(variance.sqrt()[:, None])
