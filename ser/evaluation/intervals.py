"""Intervals of scores with speakers as the unit: the utterances of one speaker are not independent, speakers are.

Sources: Field and Welsh, 2007, Bootstrapping clustered data, https://doi.org/10.1111/j.1467-9868.2007.00593.x; Ferrer
and Riera, Confidence intervals for evaluation in machine learning, https://github.com/luferrer/ConfidenceIntervals; the
expanded percentile interval: Hesterberg, 2015, https://doi.org/10.1080/00031305.2015.1089789; BCa: Efron, 1987,
https://doi.org/10.1080/01621459.1987.10478410; the cluster jackknife (CV3): MacKinnon, Nielsen and Webb, 2023,
https://doi.org/10.1002/jae.2969; seeds crossed with speakers: Owen, 2007, https://doi.org/10.1214/07-AOAS122.

Each speaker is one confusion matrix, so a resample is a weighted sum of them and all resamples are one matrix product.
Two systems scored on the same speakers share their resamples if they share the seed. `speaker_interval` generalises to
other speakers, not to other training seeds; `seed_and_speaker_interval` generalises to both.

How often nominally 95 % intervals of UAR contain the true value, and their median width, in % on simulated corpora of
acted emotions, by ``python benchmarks/interval_coverage.py 1000`` (standard error 0.4; accuracy and differences give similar
values):

    speakers  percentile   expanded     bca          jackknife-t
           2  50.3 (12)    50.3 (12)    49.7 (12)    97.9 (98)
           3  73.2 (20)    74.4 (20)    70.2 (18)    95.0 (53)
           4  79.5 (18)    86.2 (24)    79.1 (18)    95.2 (36)
           6  85.1 (17)    92.8 (23)    85.3 (18)    95.3 (26)
          10  89.4 (14)    93.3 (17)    89.2 (14)    95.0 (18)
          20  91.2 (11)    93.3 (12)    90.9 (11)    94.3 (12)
          24  92.3 (10)    94.4 (10)    92.5 (10)    94.9 (11)
          91  94.4 (5)     94.9 (5)     94.2 (5)     95.6 (5)

Over 5 training seeds and 4, 10, 24 or 91 speakers, the crossed jackknife-t covers in 94.8 to 95.7 %, crossed
percentiles in 86.8 to 93.4 %; with 2 seeds in 92.5 to 96.7 % and 84.8 to 91.9 %. The bootstrap-t is not offered: a
resample of one speaker over and over has no standard error, which 2 or 3 speakers often draw.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ser.evaluation.metrics import uar
from ser.runtime.words import are

Method = Literal["auto", "percentile", "expanded", "bca", "jackknife-t"]
METHODS: tuple[Method, ...] = get_args(Method)
Statistic = Callable[[np.ndarray], np.ndarray]
"""Sums over speakers to ``(...)`` values: ``(..., class, class)`` counts (`ser.evaluation.metrics`), or moments,
``(..., dimension, 6)`` (`ser.evaluation.agreement`). What is said of counts here holds for both."""

ENOUGH_SPEAKERS = 10
"""Speakers below which a caution is given: with fewer, a wide interval can keep its coverage, but it assumes speakers
drawn at random from the population, which so few cannot show."""
MANY_SPEAKERS = 24
"""Speakers from which ``auto`` is ``percentile``: it covers in 92 % or more; with 20 speakers in 91 %."""


@dataclass(frozen=True)
class Interval:
    """An interval and how it was computed.

    Attributes:
        low, high: The ends, or ``None`` where there is no interval; ``caution`` then says why.
        level: Nominal coverage.
        method: The method used, see `speaker_interval`; never ``auto``.
        speakers: How many were resampled, or left out in turn.
        resamples: Number of bootstrap resamples; 0 for ``jackknife-t``, which draws none.
        seed: Of the draws.
        caution: What a reader must know before trusting it, or ``None``.
        seeds: Number of trainings that were resampled too; 1 where it generalises to other speakers only.
    """

    low: float | None
    high: float | None
    level: float
    method: Method
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
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the interval of a statistic over speakers.

    Args:
        by_speaker: ``(speaker, ..., class, class)`` counts, see `ser.evaluation.predictions.confusion_by_speaker`;
            the axes between (models, seeds) are passed to the statistic.
        statistic: Any confusion-based score, or a difference of two.
        level: Nominal coverage, between 0 and 1.
        resamples: How many; with 2000 an end of a 95 % interval moves by 6 % of the standard error from seed to seed.
        seed: Of the draws.
        method: ``auto``: ``percentile`` for `MANY_SPEAKERS` or more, else ``jackknife-t``; see the module's table.
            ``percentile``: the quantiles of the resamples, which for n speakers is too narrow by about
            ``sqrt((n - 1) / n)`` and a normal quantile in place of a t quantile. ``expanded``: further out by both.
            ``bca``: quantiles shifted by the resamples' bias and the jackknife's skewness; does not widen.
            ``jackknife-t``: the estimate and the t quantile, n - 1 degrees of freedom, times the standard error of the
            jackknife over speakers, on the scale of the logit within ``bounds``, so that the ends stay in them; of the
            logarithm where there is no highest value.
        bounds: Lowest and highest value that the statistic can take; for ``jackknife-t``.

    Raises:
        ValueError: If an argument is out of range.

    Example:
        >>> half_right = np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]])
        >>> interval = speaker_interval(half_right, method="percentile")
        >>> interval.low, interval.high, interval.caution
        (0.0, 1.0, '2 speakers are too few: the interval is indicative')
    """
    _check_counts(by_speaker)
    _check_settings(level, resamples, method, METHODS)
    speakers = len(by_speaker)
    used: Method = ("percentile" if speakers >= MANY_SPEAKERS else "jackknife-t") if method == "auto" else method
    drawn = 0 if used == "jackknife-t" else resamples
    if speakers == 1:
        return Interval(None, None, level, used, speakers, drawn, seed, ONE_SPEAKER)
    estimate = float(statistic(by_speaker.sum(axis=0)))
    if used == "jackknife-t":
        error = _jackknife_error(leave_one_out(by_speaker, statistic), estimate)
        low, high = _student(estimate, error, speakers - 1, level, bounds)
    else:
        low, high = _resampled(by_speaker, statistic, resamples, seed, used, level)
    return _interval(low, high, level, used, speakers, drawn, seed)


def difference_interval(
    one: np.ndarray,
    other: np.ndarray,
    statistic: Statistic = uar,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    bounds: tuple[float, float] = (0.0, 1.0),
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


def seed_and_speaker_interval(
    by_seed_and_speaker: np.ndarray,
    statistic: Statistic = uar,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    method: Method = "auto",
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Interval:
    """Return the interval of the mean score of several trainings of one configuration, over speakers and training seeds.

    Args:
        by_seed_and_speaker: ``(seed, speaker, class, class)`` counts: all seeds on the same utterances.
        statistic: Any confusion-based score; the interval is of its mean over the seeds.
        level: Nominal coverage, between 0 and 1.
        resamples: How many; for ``percentile``.
        seed: Of the draws.
        method: ``percentile``: seeds and speakers are both drawn with replacement and crossed (the pigeonhole
            bootstrap); too narrow, since seeds are few. ``jackknife-t``: the sum of the two jackknife variances, with
            Satterthwaite's degrees of freedom, on the scale of the logit. ``auto``: ``jackknife-t``, which covers best
            whatever the number of speakers.
        bounds: See `speaker_interval`.

    Raises:
        ValueError: If an argument is out of range, or there are fewer than 2 seeds.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> counts = rng.integers(5, 15, size=(3, 30, 4, 4)) + 40 * np.eye(4, dtype=int)
        >>> interval = seed_and_speaker_interval(counts)
        >>> interval.seeds, interval.speakers, interval.method
        (3, 30, 'jackknife-t')
    """
    if by_seed_and_speaker.ndim != 4 or len(by_seed_and_speaker) < 2:
        shape = by_seed_and_speaker.shape
        raise ValueError(
            f"by_seed_and_speaker must have shape (seed, speaker, class, class) with at least 2 seeds; got {shape}."
        )
    by_speaker = np.swapaxes(by_seed_and_speaker, 0, 1)
    _check_counts(by_speaker)
    _check_settings(level, resamples, method, ("auto", "percentile", "jackknife-t"))
    speakers, seeds = by_speaker.shape[:2]
    used: Method = "jackknife-t" if method == "auto" else method
    drawn = 0 if used == "jackknife-t" else resamples
    if speakers == 1:
        return Interval(None, None, level, used, speakers, drawn, seed, ONE_SPEAKER, seeds)
    if used == "percentile":
        values = _pigeonhole(by_speaker, statistic, resamples, seed)
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    else:
        low, high = _student(*_two_way(by_speaker, statistic), level, bounds)
    return _interval(low, high, level, used, speakers, drawn, seed, seeds)


ONE_SPEAKER = "1 speaker: no interval, for there is no telling how another speaker would do"


def _interval(
    low: float, high: float, level: float, method: Method, speakers: int, resamples: int, seed: int, seeds: int = 1
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
        warnings.simplefilter("ignore", DegenerateDataWarning)  # its ends are NaN then, which `_interval` explains
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


def _jackknife_error(left_out: np.ndarray, estimate: float) -> float:
    """Return the standard error from leave-one-out values: CV3, centred on the estimate."""
    n = len(left_out)
    return float(np.sqrt((n - 1) / n * ((left_out - estimate) ** 2).sum()))


def _student(
    estimate: float, error: float, degrees: float, level: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Return t quantiles on the logit or log scale within the bounds; the delta method transforms the error."""
    low, high = bounds
    if not (low <= estimate <= high or np.isnan(estimate)):
        raise ValueError(f"bounds must contain every value of the statistic, here {estimate}; got {bounds}.")
    if error == 0 or estimate == low or (estimate - low) / (high - low) == 1:
        # No speaker differs: no width, as with resamples.
        return estimate, estimate
    from scipy.special import expit, logit
    from scipy.stats import t

    quantile = t.ppf((1 + level) / 2, degrees)
    if np.isinf(high):
        factor = float(np.exp(quantile * error / (estimate - low)))
        return low + (estimate - low) / factor, low + (estimate - low) * factor
    share = (estimate - low) / (high - low)
    half = quantile * error / (high - low) / (share * (1 - share))
    ends = low + (high - low) * expit(logit(share) + np.array([-half, half]))
    return float(ends[0]), float(ends[1])


def _two_way(by_speaker: np.ndarray, statistic: Statistic) -> tuple[float, float, float]:
    """Return estimate, standard error and degrees of freedom of the mean over seeds, ``(speaker, seed, class, class)``."""

    def mean_over_seeds(counts: np.ndarray) -> np.ndarray:
        return np.asarray(statistic(counts).mean(axis=-1))

    scores = statistic(by_speaker.sum(axis=0))  # (seed,)
    estimate, (speakers, seeds) = float(scores.mean()), by_speaker.shape[:2]
    of_speakers = _jackknife_error(leave_one_out(by_speaker, mean_over_seeds), estimate) ** 2
    of_seeds = float(scores.var(ddof=1)) / seeds  # equals the jackknife of a mean
    total = of_speakers + of_seeds
    if total == 0:
        return estimate, 0.0, 1.0
    return estimate, total**0.5, total**2 / (of_speakers**2 / (speakers - 1) + of_seeds**2 / (seeds - 1))


def _pigeonhole(by_speaker: np.ndarray, statistic: Statistic, resamples: int, seed: int) -> np.ndarray:
    """Draw speakers and seeds with replacement and cross them: the mean score of each resample, ``(resample,)``."""
    speakers, seeds = by_speaker.shape[:2]
    drawn = np.random.default_rng(seed).integers(speakers, size=(resamples, speakers))
    scores = statistic(sums_of_drawn(drawn, by_speaker))  # (resample, seed)
    of_seeds = np.random.default_rng([seed, 1]).integers(seeds, size=(resamples, seeds))  # [.., 1]: not as speakers
    return np.asarray(np.take_along_axis(scores, of_seeds, axis=1).mean(axis=1))


def _check_counts(by_speaker: np.ndarray) -> None:
    if by_speaker.ndim < 3 or not len(by_speaker):
        shape = by_speaker.shape
        raise ValueError(
            f"by_speaker must have shape (speaker, ..., class, class) with at least 1 speaker; got {shape}."
        )


def _check_settings(level: float, resamples: int, method: Method, methods: tuple[Method, ...]) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level}.")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1; got {resamples}.")
    if method not in methods:
        raise ValueError(f"method must be one of {', '.join(methods)}; got {method!r}.")
