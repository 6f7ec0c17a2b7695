"""A second opinion on the difference of two methods: one that allows for other sentences, too.

It stands in for a mixed model, ``correct ~ system`` with random effects of speaker, sentence, seed and fold: a linear
probability model, ``correct ~ class * system``, each class weighted alike, so that the difference is that of UAR. Its
variance is clustered by speaker and by sentence at once: that over speakers, plus that over sentences, less that over the
clips of one speaker and one sentence, which both contain; and never below the larger of the two. To it is added the variance
over the seeds of either side; a seed is a training for each fold.

Sources: several ways of clustering: Cameron, Gelbach and Miller, 2011, https://doi.org/10.1198/jbes.2010.07136; speakers and
sentences as random effects: Baayen, Davidson and Bates, 2008, https://doi.org/10.1016/j.jml.2007.12.005; degrees of freedom
of a sum of variances: Satterthwaite, 1946, https://doi.org/10.2307/3002019.

``python benchmarks/significance.py`` prints how often it finds what does not exist, with a true spread between sentences.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ser.evaluation import predictions
from ser.evaluation.intervals import ENOUGH_TO_TEST, Estimate
from ser.runtime.words import are

ENOUGH_SENTENCES = 6
"""Sentences below which there is no second opinion, as many as speakers: their spread is then seen too poorly."""


class Opinion(NamedTuple):
    """A two-sided p-value, or ``None``; then ``why`` says in words why there is none."""

    p_value: float | None
    why: str | None = None


def second_opinion(one: Sequence[pd.DataFrame], other: Sequence[pd.DataFrame]) -> Opinion:
    """Test whether two methods differ on other speakers, with other sentences and seeds.

    Args:
        one: A predictions table (`ser.evaluation.predictions`) for each training seed.
        other: The same of the other method, of the same utterances.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> about = pd.DataFrame({"utterance": range(480), "speaker": np.arange(480) % 8, "fold": 0, "target": "sad"})
        >>> about = about.assign(sentence=rng.integers(10, size=480))
        >>> tables = [about.assign(p_sad=p, p_angry=1 - p) for p in rng.random((4, 480))]
        >>> second_opinion(tables[:2], tables[2:]).p_value > 0.05
        True
        >>> second_opinion(tables[:1], tables[2:]).why
        'it takes two seeds or more of both systems'
    """
    about = predictions.in_order(one[0])
    if why := _why_not(about, min(len(one), len(other))):
        return Opinion(None, why)
    first, second = (np.stack([_is_right(predictions.in_order(table)) for table in side]) for side in (one, other))
    target, speaker, sentence = (about[name].to_numpy(dtype=str) for name in ("target", "speaker", "sentence"))
    found = crossed_difference(first, second, target, speaker, sentence)
    if found.error == 0:  # as of speakers who are all alike, see `ser.evaluation.comparison.method_difference`
        return Opinion(float((1 / (1 + abs(found.value))) ** len(np.unique(speaker))))
    from scipy.stats import t  # late: scipy.stats takes half a second to import

    return Opinion(float(2 * t.sf(abs(found.value) / found.error, found.degrees)))


def crossed_difference(
    one: np.ndarray, other: np.ndarray, target: np.ndarray, speaker: np.ndarray, sentence: np.ndarray
) -> Estimate:
    """Return the difference of the mean UAR over seeds, with its error over speakers, sentences and seeds.

    Shapes:
        - one, other: ``(seed, utterance)``, 1 where the class was recognised, else 0; 2 seeds or more
        - target, speaker, sentence: ``(utterance,)`` names; 2 speakers and sentences or more

    Example:
        >>> rng = np.random.default_rng(0)
        >>> one, other = rng.random((2, 3, 600)) < np.array([[[0.7]], [[0.5]]])
        >>> names = [np.arange(600) % size for size in (4, 25, 12)]
        >>> found = crossed_difference(one, other, *names)
        >>> round(found.value, 1), 0.01 < found.error < 0.04
        (0.2, True)
    """
    _, of_class, size = np.unique(target, return_inverse=True, return_counts=True)
    weight = 1 / (len(size) * size[of_class])  # a sum over utterances is a mean over classes
    apart = one.mean(axis=0) - other.mean(axis=0)
    influence = weight * (apart - (np.bincount(of_class, apart) / size)[of_class])
    speakers, sentences = (np.unique(names, return_inverse=True)[1] for names in (speaker, sentence))
    cell = speakers * (sentences.max() + 1) + sentences
    over = [_clustered(influence, group) for group in (speakers, sentences, np.unique(cell, return_inverse=True)[1])]
    seeds = [(float((side @ weight).var(ddof=1)) / len(side), len(side) - 1) for side in (one, other)]
    total = max(over[0][0], over[1][0], over[0][0] + over[1][0] - over[2][0]) + seeds[0][0] + seeds[1][0]
    value = float(apart @ weight)
    if total <= np.finfo(np.float64).eps:
        return Estimate(value, 0.0, 1.0)
    return Estimate(value, total**0.5, total**2 / sum(part**2 / degrees for part, degrees in (*over[:2], *seeds)))


def _clustered(influence: np.ndarray, group: np.ndarray) -> tuple[float, int]:
    """Return the variance of a sum of utterances that are independent between groups only, and its degrees of freedom."""
    sums = np.bincount(group, influence)
    return float((sums**2).sum()) * len(sums) / (len(sums) - 1), len(sums) - 1


def _why_not(table: pd.DataFrame, seeds: int) -> str | None:
    if predictions.is_numeric(table):
        return "it is of classes, not of numbers"
    if seeds < 2:
        return "it takes two seeds or more of both systems"
    if table["sentence"].isna().any():
        return "it takes the sentence of every utterance"
    for count, unit, enough in (
        (table["speaker"].nunique(), "speaker", ENOUGH_TO_TEST),
        (table["sentence"].nunique(), "sentence", ENOUGH_SENTENCES),
    ):
        if count < enough:
            return f"{are(count, unit)} too few for it"
    return None


def _is_right(table: pd.DataFrame) -> np.ndarray:
    return np.asarray(predictions.predicted_indices(table) == predictions.target_indices(table))
