"""Intervals of scores with speakers as the unit: the utterances of one speaker are not independent, speakers are.

Sources: Field and Welsh, 2007, Bootstrapping clustered data, https://doi.org/10.1111/j.1467-9868.2007.00593.x; Ferrer
and Riera, Confidence intervals for evaluation in machine learning, https://github.com/luferrer/ConfidenceIntervals; the
expanded percentile interval: Hesterberg, 2015, https://doi.org/10.1080/00031305.2015.1089789; BCa: Efron, 1987,
https://doi.org/10.1080/01621459.1987.10478410; the cluster jackknife (CV3): MacKinnon, Nielsen and Webb, 2023,
https://doi.org/10.1002/jae.2969; n of n trials: Clopper and Pearson, 1934, https://doi.org/10.1093/biomet/26.4.404, the
exact form of the rule of three of Hanley and Lippman-Hand, 1983, https://doi.org/10.1001/jama.1983.03330370053031.

Each speaker is one confusion matrix, so a resample is a weighted sum of them and all resamples are one matrix product.
Two systems scored on the same speakers share their resamples if they share the seed. `speaker_interval` generalises to
other speakers, not to other training seeds; `ser.evaluation.seeds` generalises to both.

How often nominally 95 % intervals of UAR contain the true value, and their median width, in % on simulated corpora of
acted emotions, by ``python benchmarks/interval_coverage.py 1000`` (standard error 0.4; accuracy and differences give similar
values):

    speakers  percentile   expanded     bca          jackknife-t
           2  50.5 (12)    50.5 (12)    49.9 (12)    98.1 (98)
           3  73.2 (20)    74.4 (20)    70.2 (18)    95.0 (53)
           4  79.5 (18)    86.2 (24)    79.1 (18)    95.2 (36)
           6  85.1 (17)    92.8 (23)    85.3 (18)    95.3 (26)
          10  89.4 (14)    93.3 (17)    89.2 (14)    95.0 (18)
          20  91.2 (11)    93.3 (12)    90.9 (11)    94.3 (12)
          24  92.3 (10)    94.4 (10)    92.5 (10)    94.9 (11)
          91  94.4 (5)     94.9 (5)     94.2 (5)     95.6 (5)

The bootstrap-t is not offered: a resample of one speaker over and over has no standard error, which 2 or 3 speakers often
draw.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np

from ser.evaluation.metrics import uar
from ser.runtime.words import are

Method = Literal["auto", "percentile", "expanded", "bca", "jackknife-t"]
METHODS: tuple[Method, ...] = get_args(Method)
Bounds = tuple[float, float]
Statistic = Callable[[np.ndarray], np.ndarray]
"""Sums over speakers to ``(...)`` values: ``(..., class, class)`` counts (`ser.evaluation.metrics`), or moments,
``(..., dimension, 6)`` (`ser.evaluation.agreement`). What is said of counts here holds for both."""

SAME = 1e-12
"""Standard error below which speakers do not differ: float64 sums the same values in another order."""
ENOUGH_SPEAKERS = 10
"""Speakers below which a caution is given: with fewer, a wide interval can keep its coverage, but it assumes speakers
drawn at random from the population, which so few cannot show."""
ENOUGH_TO_TEST = 6
"""Speakers below which no swap of speakers (`ser.evaluation.comparison.swap_test`) has a p-value below 0.05. An interval of
fewer that excludes 0 is not taken for a difference: intervals and p-values on a page then never contradict each other."""


class Estimate(NamedTuple):
    """An estimate, its standard error, and the degrees of freedom of that error."""

    value: float
    error: float
    degrees: float


@dataclass(frozen=True)
class Interval:
    """An interval and how it was computed.

    Attributes:
        low, high: The ends, or ``None`` where there is no interval; ``caution`` then says why.
        level: Nominal coverage.
        method: The method used, see `speaker_interval`; never ``auto``. ``clopper-pearson`` where no speaker differs.
        speakers: How many were resampled, or left out in turn.
        resamples: Number of bootstrap resamples; 0 for ``jackknife-t``, which draws none.
        seed: Of the draws.
        caution: What a reader must know before trusting it, or ``None``.
        seeds: Number of trainings that were resampled too; 1 where it generalises to other speakers only.
    """

    low: float | None
    high: float | None
    level: float
    method: Method | Literal["clopper-pearson"]
    speakers: int
    resamples: int
    seed: int
    caution: str | None
    seeds: int = 1


def sums_of_drawn(drawn: np.ndarray, by_speaker: np.ndarray) -> np.ndarray:
    """Add up the speakers at the drawn positions, for many draws in one matrix product; sums of counts stay exact.

    Shapes:
        - drawn: ``(..., draw)`` positions of speakers
        - by_speaker: ``(speaker, ...)``
        - returns: ``(...)`` of ``drawn``, then ``(...)`` of ``by_speaker``, in float64

    Example:
        >>> sums_of_drawn(np.array([[0, 1], [1, 1]]), np.array([[3, 0], [1, 5]]))
        array([[ 4.,  5.],
               [ 2., 10.]])
    """
    flat = by_speaker.reshape(len(by_speaker), -1).astype(np.float64)  # float64: BLAS
    rows, n = drawn.reshape(-1, drawn.shape[-1]), len(by_speaker)
    cell = rows + n * np.arange(len(rows))[:, None]
    times = np.bincount(cell.ravel(), minlength=len(rows) * n).reshape(len(rows), n).astype(np.float64)
    return (times @ flat).reshape(*drawn.shape[:-1], *by_speaker.shape[1:])


def leave_one_out(by_speaker: np.ndarray, statistic: Statistic = uar) -> np.ndarray:
    """Score the remaining speakers with each speaker left out in turn: the jackknife.

    Shapes:
        - by_speaker: ``(speaker, ..., class, class)`` counts
        - returns: ``(speaker,)``; NaN where the score of the others is not defined

    Example:
        >>> leave_one_out(np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]]))
        array([0., 1.])
    """
    return statistic(by_speaker.sum(axis=0) - by_speaker)


def speaker_interval(
    by_speaker: np.ndarray,
    statistic: Statistic = uar,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    method: Method = "auto",
    bounds: Bounds = (0.0, 1.0),
) -> Interval:
    """Return the interval of a statistic over speakers.

    Args:
        by_speaker: ``(speaker, ..., class, class)`` counts, see `ser.evaluation.predictions.confusion_by_speaker`;
            the axes between (models, seeds) are passed to the statistic.
        statistic: Any confusion-based score, or a difference of two.
        level: Nominal coverage, between 0 and 1.
        resamples: How many; with 2000 an end of a 95 % interval moves by 6 % of the standard error from seed to seed.
        seed: Of the draws.
        method: ``auto``: ``jackknife-t``, see the module's table.
            ``percentile``: the quantiles of the resamples, which for n speakers is too narrow by about
            ``sqrt((n - 1) / n)`` and a normal quantile in place of a t quantile. ``expanded``: further out by both.
            ``bca``: quantiles shifted by the resamples' bias and the jackknife's skewness; does not widen.
            ``jackknife-t``: the estimate and the t quantile, n - 1 degrees of freedom, times the standard error of the
            jackknife over speakers, on the scale of the logit within ``bounds``, so that the ends stay in them; of the
            logarithm where there is no highest value. Where leaving any speaker out changes nothing, as where all n are
            all right, every method would give an interval without width: then see `alike_interval`.
        bounds: Lowest and highest value that the statistic can take.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> half_right = np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]])
        >>> interval = speaker_interval(half_right, method="percentile")
        >>> interval.low, interval.high, interval.caution
        (0.0, 1.0, '2 speakers are too few: the interval is indicative')
    """
    check_counts(by_speaker)
    check_settings(level, resamples, method, METHODS)
    speakers = len(by_speaker)
    used: Method = "jackknife-t" if method == "auto" else method
    drawn = 0 if used == "jackknife-t" else resamples
    if speakers == 1:
        return Interval(None, None, level, used, speakers, drawn, seed, ONE_SPEAKER)
    value = float(statistic(by_speaker.sum(axis=0)))
    found = Estimate(value, jackknife_error(leave_one_out(by_speaker, statistic), value), speakers - 1)
    if used == "jackknife-t" or found.error == 0:
        return jackknife_interval(found, speakers, level=level, bounds=bounds, seed=seed)
    low, high = _resampled(by_speaker, statistic, resamples, seed, used, level)
    return as_interval(low, high, level, used, speakers, drawn, seed)


def jackknife_interval(
    found: Estimate, speakers: int, *, level: float = 0.95, bounds: Bounds = (0.0, 1.0), seed: int = 0, seeds: int = 1
) -> Interval:
    """Return the t interval of an estimate within bounds, see ``jackknife-t`` of `speaker_interval`.

    An estimate without an error, or at a bound, has the interval of `alike_interval`; none where there is no highest value.

    Raises:
        ValueError: If the estimate is outside ``bounds``.

    Example:
        >>> all_right = jackknife_interval(Estimate(1.0, 0.0, 29), 30)
        >>> round(all_right.low, 3), all_right.high, all_right.method
        (0.905, 1.0, 'clopper-pearson')
    """
    if not (bounds[0] <= found.value <= bounds[1] or np.isnan(found.value)):
        raise ValueError(f"bounds must contain every value of the statistic, here {found.value}; got {bounds}.")
    if speakers == 1:
        return Interval(None, None, level, "jackknife-t", speakers, 0, seed, ONE_SPEAKER, seeds)
    if np.isnan(found.value + found.error):
        return as_interval(np.nan, np.nan, level, "jackknife-t", speakers, 0, seed, seeds)
    if found.error > 0 and bounds[0] < found.value < bounds[1]:
        return as_interval(*_student(found, level, bounds), level, "jackknife-t", speakers, 0, seed, seeds)
    if np.isinf(bounds[1]):
        return Interval(None, None, level, "jackknife-t", speakers, 0, seed, UNBOUNDED, seeds)
    ends = alike_interval(found.value, speakers, level, bounds)
    return as_interval(*ends, level, "clopper-pearson", speakers, 0, seed, seeds)


def alike_interval(value: float, speakers: int, level: float = 0.95, bounds: Bounds = (0.0, 1.0)) -> Bounds:
    """Return the interval of the mean over speakers where all that were seen have the same value.

    Each speaker is a trial. With n of n alike, the share of such speakers is at least ``(1 - level) ** (1 / n)`` by Clopper
    and Pearson; with 0.05 this is nearly ``1 - 3 / n``. The others may have any value within the bounds.

    Example:
        >>> [round(end, 3) for end in alike_interval(1.0, speakers=30)]
        [0.905, 1.0]
        >>> [round(end, 3) for end in alike_interval(0.0, speakers=30, bounds=(-1.0, 1.0))]
        [-0.095, 0.095]
    """
    alike = (1 - level) ** (1 / speakers)
    low, high = (alike * value + (1 - alike) * bound for bound in bounds)
    return low, high


def difference_interval(
    one: np.ndarray,
    other: np.ndarray,
    statistic: Statistic = uar,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    bounds: Bounds = (0.0, 1.0),
) -> tuple[float, Interval]:
    """Return ``one - other`` in a score within ``bounds`` of the same speakers, and its interval, paired by speaker.

    Shapes:
        - one, other: ``(speaker, class, class)`` counts
    """

    def difference(counts: np.ndarray) -> np.ndarray:
        scores = statistic(counts)
        return np.asarray(scores[..., 0] - scores[..., 1])

    both = np.stack([one, other], axis=1)  # (speaker, 2, class, class)
    widest = bounds[1] - bounds[0]
    interval = speaker_interval(both, difference, level=level, resamples=resamples, seed=seed, bounds=(-widest, widest))
    return float(difference(both.sum(axis=0))), interval


def difference_over_speakers(one: np.ndarray, other: np.ndarray, statistic: Statistic = uar) -> Estimate:
    """Return ``one - other`` in a score of the same speakers, with the jackknife's error over speakers, as a t-test takes it.

    Shapes:
        - one, other: ``(speaker, class, class)`` counts, 2 speakers or more

    Example:
        >>> all_right, half_right = np.tile(4 * np.eye(2), (3, 1, 1)), np.tile(np.full((2, 2), 2.0), (3, 1, 1))
        >>> difference_over_speakers(all_right, half_right)
        Estimate(value=0.5, error=0.0, degrees=2)
    """
    value = float(statistic(one.sum(axis=0)) - statistic(other.sum(axis=0)))
    left_out = leave_one_out(one, statistic) - leave_one_out(other, statistic)
    return Estimate(value, jackknife_error(left_out, value), len(one) - 1)


ONE_SPEAKER = "1 speaker: no interval, for there is no telling how another speaker would do"
UNBOUNDED = "no interval: the speakers do not differ, and the score has no highest value"


def as_interval(
    low: float,
    high: float,
    level: float,
    method: Method | Literal["clopper-pearson"],
    speakers: int,
    resamples: int,
    seed: int,
    seeds: int = 1,
) -> Interval:
    """Return an interval with its caution."""
    if not np.isfinite([low, high]).all():
        nothing = "no interval: without one of its speakers the score is not defined"
        return Interval(None, None, level, method, speakers, resamples, seed, nothing, seeds)
    few = f"{are(speakers, 'speaker')} too few: the interval is indicative" if speakers < ENOUGH_SPEAKERS else None
    return Interval(float(low), float(high), level, method, speakers, resamples, seed, few, seeds)


def _resampled(
    by_speaker: np.ndarray, statistic: Statistic, resamples: int, seed: int, method: Method, level: float
) -> tuple[float, float]:
    """Resample the speakers with scipy: its sample is their positions, scored by the sum of their counts."""
    from scipy.stats import DegenerateDataWarning, bootstrap, norm, t  # late: it takes half a second to import

    speakers = len(by_speaker)
    if method == "expanded":
        tail = norm.cdf(np.sqrt(speakers / (speakers - 1)) * t.ppf((1 - level) / 2, speakers - 1))
        level = float(1 - 2 * tail)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # its ends are NaN then, which `as_interval` explains
        found = bootstrap(
            (np.arange(speakers),),
            lambda drawn, axis: statistic(sums_of_drawn(drawn, by_speaker)),
            n_resamples=resamples,
            confidence_level=level,
            method="BCa" if method == "bca" else "percentile",
            vectorized=True,
            rng=np.random.default_rng(seed),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def jackknife_error(left_out: np.ndarray, estimate: float) -> float:
    """Return the standard error from leave-one-out values: CV3, centred on the estimate; below `SAME`, 0.

    Example:
        >>> jackknife_error(np.array([0.25, 0.75]), 0.5)
        0.25
    """
    n = len(left_out)
    error = float(np.sqrt((n - 1) / n * ((left_out - estimate) ** 2).sum()))
    return 0.0 if error < SAME else error


def _student(found: Estimate, level: float, bounds: Bounds) -> Bounds:
    """Return t quantiles on the logit or log scale within the bounds; the delta method transforms the error."""
    from scipy.special import expit, logit
    from scipy.stats import t

    (low, high), half = bounds, float(t.ppf((1 + level) / 2, found.degrees)) * found.error
    if np.isinf(high):
        factor = float(np.exp(half / (found.value - low)))
        return low + (found.value - low) / factor, low + (found.value - low) * factor
    share = (found.value - low) / (high - low)
    moved = half / (high - low) / (share * (1 - share))
    ends = low + (high - low) * expit(logit(share) + np.array([-moved, moved]))
    return float(ends[0]), float(ends[1])


def check_counts(by_speaker: np.ndarray) -> None:
    """Raise a `ValueError` unless counts have the shape ``(speaker, ..., class, class)``."""
    if by_speaker.ndim < 3 or not len(by_speaker):
        shape = by_speaker.shape
        raise ValueError(
            f"by_speaker must have shape (speaker, ..., class, class) with at least 1 speaker; got {shape}."
        )


def check_settings(level: float, resamples: int, method: Method, methods: tuple[Method, ...]) -> None:
    """Raise a `ValueError` if a setting of an interval is out of range."""
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level}.")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1; got {resamples}.")
    if method not in methods:
        raise ValueError(f"method must be one of {', '.join(methods)}; got {method!r}.")
