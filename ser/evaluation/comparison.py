"""Tests of whether one model is better than another, or some of several better than others, with speakers as the unit.

Sources: the permutation test that swaps two models' answers: Noreen, 1989, Computer-intensive methods for testing
hypotheses, ISBN 0-471-61136-0; its p-value from a sample of the swaps: Phipson and Smyth, 2010,
https://doi.org/10.2202/1544-6115.1585; many comparisons: Holm, 1979, https://www.jstor.org/stable/4615733; average
ranks and critical difference: Demšar, 2006, https://www.jmlr.org/papers/v7/demsar06a.html; degrees of freedom of a sum of
variances: Satterthwaite, 1946, https://doi.org/10.2307/3002019.

The speakers of a fold are tested by one model, so swapping speakers concerns the models as they were trained: between two
trainings of one configuration it finds differences far too often. `paired` swaps speakers only where a side has one seed.
From two seeds a side on it is a t-test over speakers and seeds, whose conclusions concern the methods, on other speakers
like these and with other seeds. ``python benchmarks/significance.py`` prints how often each finds what does not exist.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.intervals import (
    Bounds,
    Interval,
    Statistic,
    as_interval,
    difference_interval,
    jackknife_interval,
    sums_of_drawn,
)
from ser.evaluation.measure import measure_of
from ser.evaluation.metrics import uar
from ser.evaluation.seeds import over_speakers_and_seeds
from ser.runtime.words import are

SIGNIFICANT = 0.05
DIGITS = 12
"""Decimals to which differences of scores are compared: float64 sums the same counts in another order."""
REMEDY = "Compare runs on the same corpora, labels and test speakers."

Tables = pd.DataFrame | Sequence[pd.DataFrame]


class SwapTest(NamedTuple):
    """A permutation test: its p-value, the smallest that it could give, and the number of swaps enumerated or drawn."""

    p_value: float
    smallest: float
    swaps: int
    exact: bool


@dataclass(frozen=True)
class Paired:
    """Two models on the same utterances.

    Attributes:
        one, other: Their scores, each the mean over its seeds.
        difference: ``one - other``.
        interval: Of the difference, over speakers, and over seeds where ``of_methods``.
        p_value: Of the difference, two-sided.
        smallest_p_value: What it would be if ``one`` were better for every speaker; 0 for the t-test.
        swaps: Swaps of speakers that were enumerated or drawn; 0 for the t-test.
        exact: Whether these are all possible swaps.
        seeds: Number of trainings of each.
        of_methods: Whether the conclusions hold for the methods, by the t-test of `method_difference`, which takes two seeds
            or more of each. Otherwise they are of these weights, not of the methods, by `swap_test`.
        caution: What a reader must know before concluding, or ``None``.
    """

    one: float
    other: float
    difference: float
    interval: Interval
    p_value: float
    smallest_p_value: float
    swaps: int
    exact: bool
    seeds: tuple[int, int]
    of_methods: bool
    caution: str | None


def paired(
    one: Tables,
    other: Tables,
    statistic: Statistic | None = None,
    *,
    level: float = 0.95,
    swaps: int = 9999,
    seed: int = 0,
) -> Paired:
    """Compare two models by their predictions on the same utterances.

    With fewer than `ser.evaluation.intervals.ENOUGH_TO_TEST` speakers and one seed on a side, no p-value is below 0.05. The
    p-value decides: an interval that excludes 0 shows no difference then, and the caution says so.

    Args:
        one: A predictions table (`ser.evaluation.predictions`), or one for each training seed.
        other: The same of the other model; the number of seeds may differ.
        statistic: Any score within the bounds of the main one; ``None`` is the main one: UAR, or CCC of numbers.
        level: Of the interval.
        swaps: How many to draw where there are too many to enumerate.
        seed: Of the swaps.

    Raises:
        RunError: If a table does not pass `ser.evaluation.predictions.check_predictions`, or utterances, targets,
            speakers or classes differ between tables; says which.
        ValueError: If a side has no table, or a number is out of range.

    Example:
        >>> about = {"corpus": "x", "sex": "male", "sentence": "x/1", "fold": 0, "target": "sad"}
        >>> rows = [{"utterance": f"x/{i}", "speaker": f"x/{i % 4}", **about} for i in range(8)]
        >>> table = pd.DataFrame(rows)[list(predictions.COLUMNS)]
        >>> right, wrong = (table.assign(p_angry=p, p_sad=1 - p) for p in (0.2, 0.9))
        >>> result = paired(right, wrong)
        >>> result.difference, result.p_value
        (1.0, 0.125)
        >>> result.caution
        '4 speakers are too few to conclude: no p-value can be below 0.125, whatever the interval excludes'
        >>> result.of_methods
        False
    """
    ones, others = _sequence(one), _sequence(other)
    named = {f"one[{i}]": table for i, table in enumerate(ones)} | {f"other[{i}]": t for i, t in enumerate(others)}
    for name, table in named.items():
        predictions.check_predictions(table, name)
        _check_same(predictions.in_order(ones[0]), predictions.in_order(table), name)
    names, measure = predictions.classes(ones[0]), measure_of(ones[0])
    statistic = statistic or measure.statistic
    first, second = (np.stack([measure.by_speaker(table, names)[1] for table in side]) for side in (ones, others))
    scores = [float(statistic(side.sum(axis=1)).mean()) for side in (first, second)]
    of_methods = min(len(ones), len(others)) > 1 and first.shape[1] > 1
    if of_methods:
        interval, p_value = method_difference(first, second, statistic, level=level, bounds=measure.bounds)
        test = SwapTest(p_value, 0.0, 0, False)
    else:
        means = first.mean(axis=0), second.mean(axis=0)
        _, interval = difference_interval(*means, statistic, level=level, bounds=measure.bounds)
        test = swap_test(*means, statistic, swaps=swaps, seed=seed)
    return Paired(
        one=scores[0],
        other=scores[1],
        difference=scores[0] - scores[1],
        interval=interval,
        p_value=test.p_value,
        smallest_p_value=test.smallest,
        swaps=test.swaps,
        exact=test.exact,
        seeds=(len(ones), len(others)),
        of_methods=of_methods,
        caution=_caution(first.shape[1], test.smallest),
    )


def method_difference(
    one: np.ndarray,
    other: np.ndarray,
    statistic: Statistic = uar,
    *,
    level: float = 0.95,
    bounds: Bounds = (0.0, 1.0),
) -> tuple[Interval, float]:
    """Return the interval of the difference of two methods, and its two-sided p-value, over speakers and training seeds.

    Both are of one t statistic, so that the interval excludes 0 where the p-value is below ``1 - level``, and only there: the
    difference of the mean scores over the error of `ser.evaluation.seeds.over_speakers_and_seeds`.

    Shapes:
        - one, other: ``(seed, speaker, class, class)`` counts of the same speakers, 2 seeds and 2 speakers or more

    Example:
        >>> rng = np.random.default_rng(0)
        >>> one, other = rng.integers(5, 15, size=(2, 3, 30, 4, 4)) + 40 * np.eye(4, dtype=int)
        >>> interval, p = method_difference(one, other)
        >>> interval.low < 0 < interval.high, p > 0.05, interval.seeds
        (True, True, 3)
    """
    from scipy.stats import t  # late: scipy.stats takes half a second to import

    found, widest, speakers = over_speakers_and_seeds([one, other], statistic), bounds[1] - bounds[0], one.shape[1]
    seeds = min(len(one), len(other))
    if found.error == 0:
        alike = jackknife_interval(found, speakers, level=level, bounds=(-widest, widest), seeds=seeds)
        return alike, float((widest / (widest + abs(found.value))) ** speakers)
    half = float(t.ppf((1 + level) / 2, found.degrees)) * found.error
    ends = np.clip([found.value - half, found.value + half], -widest, widest)
    interval = as_interval(ends[0], ends[1], level, "jackknife-t", speakers, 0, 0, seeds)
    return interval, float(2 * t.sf(abs(found.value) / found.error, found.degrees))


def swap_test(
    one: np.ndarray, other: np.ndarray, statistic: Statistic = uar, *, swaps: int = 9999, seed: int = 0
) -> SwapTest:
    """Test whether two models differ: swap their answers to all utterances of a speaker, for some of the speakers.

    If the models are equally good, every swap is as likely as the observed result. The p-value is the share of swaps
    whose score differs by at least as much as the models do, in either direction. If there are at most ``swaps`` of
    them, all are enumerated; otherwise ``swaps`` are drawn and the observed result counts as one more.

    Shapes:
        - one, other: ``(speaker, class, class)`` counts

    Raises:
        ValueError: If the shapes do not fit, or ``swaps`` is under 1.

    Example:
        >>> right, wrong = np.tile(np.eye(2), (6, 1, 1)), np.tile(1 - np.eye(2), (6, 1, 1))
        >>> swap_test(right, wrong)
        SwapTest(p_value=0.03125, smallest=0.03125, swaps=64, exact=True)
    """
    if one.shape != other.shape or one.ndim != 3 or not len(one):
        raise ValueError(
            f"one and other must have the same shape (speaker, class, class); got {one.shape}, {other.shape}."
        )
    if swaps < 1:
        raise ValueError(f"swaps must be at least 1; got {swaps}.")
    from scipy.stats import permutation_test  # late: it takes half a second to import

    speakers, both = len(one), np.concatenate([one, other])
    if speakers == 1:  # scipy refuses it: both swaps differ equally
        return SwapTest(1.0, 1.0, 2, True)

    def distance(ours: np.ndarray, theirs: np.ndarray, axis: int) -> np.ndarray:
        """Score the sums of the confusions at these positions, ``(..., speaker)``, against each other."""
        apart = np.abs(statistic(sums_of_drawn(ours, both)) - statistic(sums_of_drawn(theirs, both)))
        return np.asarray(np.round(apart, DIGITS))

    found = permutation_test(
        (np.arange(speakers), np.arange(speakers) + speakers),
        distance,
        permutation_type="samples",
        vectorized=True,
        n_resamples=swaps,
        alternative="greater",  # of a distance: either direction
        rng=np.random.default_rng(seed),
    )
    done, smallest = len(found.null_distribution), 2.0 ** (1 - speakers)
    exact = done == 2**speakers
    return SwapTest(float(found.pvalue), smallest if exact else max(smallest, 1 / (done + 1)), done, exact)


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust p-values for multiple comparisons: rejecting those below alpha errs anywhere with probability at most alpha.

    The smallest of m is multiplied by m, the next by m - 1, and so on; the order is kept.

    Shapes:
        - p: ``(comparison,)``, each in [0, 1]
        - returns: ``(comparison,)``, in the same order

    Raises:
        ValueError: If ``p`` has another shape or holds other values.

    Example:
        >>> holm(np.array([0.01, 0.04, 0.03])).round(3)
        array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p must be a (comparison,) array of values in [0, 1]; got {p}.")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


@dataclass(frozen=True)
class CriticalDifference:
    """Several models, ranked within blocks.

    Attributes:
        ranks: Average rank of each model, the best (lowest) first.
        difference: Nemenyi's critical difference: average ranks this far apart differ at ``alpha``.
        statistic, p_value: Of Friedman's test that all models are equal, corrected for ties. Where it does not
            reject, the ranks mean nothing.
        alpha: Chance of finding any difference among models that are all equal.
        cliques: Largest groups of two models or more whose ranks lie closer than ``difference``; each is drawn as a
            bar.
    """

    ranks: dict[str, float]
    difference: float
    statistic: float
    p_value: float
    blocks: int
    alpha: float
    cliques: tuple[tuple[str, ...], ...]


def critical_difference(scores: pd.DataFrame, alpha: float = 0.05) -> CriticalDifference:
    """Rank models within each block and find which cannot be distinguished: Friedman's test, Nemenyi's comparisons.

    Blocks must be independent of each other: speakers, or corpora. Folds are not, since they share training data.

    Args:
        scores: One row per block, one column per model; higher is better.
        alpha: Between 0 and 1.

    Raises:
        ValueError: If there are fewer than 3 models or 2 blocks, a score is missing, or ``alpha`` is out of range.

    Example:
        >>> scores = pd.DataFrame({"svm": [0.5] * 9, "cnn": [0.6] * 9, "wav2vec": [0.8] * 9})
        >>> found = critical_difference(scores)
        >>> found.ranks, round(found.difference, 2)
        ({'wav2vec': 1.0, 'cnn': 2.0, 'svm': 3.0}, 1.1)
        >>> found.cliques
        (('wav2vec', 'cnn'), ('cnn', 'svm'))
    """
    blocks, models = scores.shape
    if models < 3 or blocks < 2:
        raise ValueError(f"scores must have at least 2 blocks and 3 models; got {scores.shape}. Use `paired` for two.")
    if scores.isna().to_numpy().any():
        raise ValueError("scores must have no missing values; got some. Leave out the block or the model.")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must be between 0 and 1; got {alpha}.")
    from scipy.stats import friedmanchisquare, studentized_range  # late: scipy.stats takes half a second to import

    ranked = scores.rank(axis="columns", ascending=False)
    differ = bool((ranked != (models + 1) / 2).to_numpy().any())
    statistic, p_value = friedmanchisquare(*scores.to_numpy(dtype=np.float64).T) if differ else (0.0, 1.0)
    span = studentized_range.ppf(1 - alpha, models, np.inf) / np.sqrt(2) * np.sqrt(models * (models + 1) / (6 * blocks))
    average = ranked.mean().sort_values(kind="stable")
    ranks = {str(name): float(rank) for name, rank in average.items()}
    found = _cliques(ranks, float(span))
    return CriticalDifference(ranks, float(span), float(statistic), float(p_value), blocks, alpha, found)


def _cliques(ranks: dict[str, float], difference: float) -> tuple[tuple[str, ...], ...]:
    """Find the largest groups of models, in order of rank, that lie closer together than the difference."""
    names, values = list(ranks), np.array(list(ranks.values()))
    ends = [int(np.sum(values < value + difference)) for value in values]
    longest = [end for i, end in enumerate(ends) if i == 0 or end > ends[i - 1]]
    groups = (tuple(names[ends.index(end) : end]) for end in longest)
    return tuple(group for group in groups if len(group) > 1)


def _sequence(tables: Tables) -> list[pd.DataFrame]:
    found = [tables] if isinstance(tables, pd.DataFrame) else list(tables)
    if not found:
        raise ValueError("one and other must each be a predictions table or a sequence of them; got an empty sequence.")
    return found


def _check_same(first: pd.DataFrame, table: pd.DataFrame, name: str) -> None:
    """Refuse a table, in the order of the first, unless both score the same utterances, targets, speakers and classes."""
    expected, given = sorted(predictions.classes(first)), sorted(predictions.classes(table))
    if given != expected:
        classes = f"{', '.join(given)} in {name}, but {', '.join(expected)} in one[0]"
        raise RunError(f"The classes differ: {classes}. {REMEDY}")
    if first["utterance"].tolist() != table["utterance"].tolist():
        raise RunError(f"The utterances differ: {_excess(first, table, name)}. {REMEDY}")
    for column in (*predictions.target_columns(first), "speaker"):
        wrong = np.flatnonzero((first[column] != table[column]).to_numpy())
        if len(wrong):
            was, now, utterance = (
                f[c].iloc[wrong[0]] for f, c in ((first, column), (table, column), (first, "utterance"))
            )
            more = f" ({len(wrong)} such utterances)" if len(wrong) > 1 else ""
            where = f"utterance {utterance} has {column} {now} in {name}, but {was} in one[0]{more}"
            raise RunError(f"The {column}s differ: {where}. {REMEDY}")


def _excess(first: pd.DataFrame, table: pd.DataFrame, name: str) -> str:
    """Describe which utterances only one of two tables has, or has more often."""
    counts = {"one[0]": first["utterance"].value_counts(), name: table["utterance"].value_counts()}
    times = pd.DataFrame(counts).fillna(0)
    more = times["one[0]"] - times[name]
    parts = []
    for who, other, extra in (("one[0]", name, more[more > 0]), (name, "one[0]", more[more < 0])):
        if len(extra):
            parts.append(
                f"{who} has {len(extra)} missing from {other} or in fewer of its folds, such as {min(extra.index)}"
            )
    return "; ".join(parts)


def _caution(speakers: int, smallest: float) -> str | None:
    if smallest <= SIGNIFICANT:
        return None
    limit = f"no p-value can be below {smallest:.3g}, whatever the interval excludes"
    return f"{are(speakers, 'speaker')} too few to conclude: {limit}"
