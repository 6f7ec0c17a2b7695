"""Intervals and differences with training seeds beside speakers: they hold for a configuration, not for one set of weights.

Source: seeds crossed with speakers: Owen, 2007, https://doi.org/10.1214/07-AOAS122; degrees of freedom of a sum of
variances: Satterthwaite, 1946, https://doi.org/10.2307/3002019.

Over 5 training seeds and 4, 10, 24 or 91 speakers, the crossed jackknife-t covers in 94.8 to 95.7 %, crossed percentiles in
86.8 to 93.4 %; with 2 seeds in 92.5 to 96.7 % and 84.8 to 91.9 % (``python benchmarks/interval_coverage.py 1000``).
"""

from collections.abc import Sequence

import numpy as np

from ser.evaluation.intervals import (
    ONE_SPEAKER,
    Bounds,
    Estimate,
    Interval,
    Method,
    Statistic,
    as_interval,
    check_counts,
    check_settings,
    jackknife_error,
    jackknife_interval,
    sums_of_drawn,
)
from ser.evaluation.metrics import uar


def seed_and_speaker_interval(
    by_seed_and_speaker: np.ndarray,
    statistic: Statistic = uar,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    method: Method = "auto",
    bounds: Bounds = (0.0, 1.0),
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
    check_counts(by_speaker)
    check_settings(level, resamples, method, ("auto", "percentile", "jackknife-t"))
    speakers, seeds = by_speaker.shape[:2]
    used: Method = "jackknife-t" if method == "auto" else method
    drawn = 0 if used == "jackknife-t" else resamples
    if speakers == 1:
        return Interval(None, None, level, used, speakers, drawn, seed, ONE_SPEAKER, seeds)
    found = over_speakers_and_seeds([by_seed_and_speaker], statistic)
    if used == "jackknife-t" or found.error == 0:
        return jackknife_interval(found, speakers, level=level, bounds=bounds, seed=seed, seeds=seeds)
    values = _pigeonhole(by_speaker, statistic, resamples, seed)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return as_interval(low, high, level, used, speakers, drawn, seed, seeds)


def over_speakers_and_seeds(sides: Sequence[np.ndarray], statistic: Statistic = uar) -> Estimate:
    """Return the mean score over seeds of a configuration, or of one minus another, with its error over speakers and seeds.

    The variance is that of the jackknife over speakers, plus that over the seeds of each side; its degrees of freedom are
    Satterthwaite's. The speakers whom one model tests share its training: the spread over seeds is what shows how much.

    Shapes:
        - sides: one or two of ``(seed, speaker, class, class)`` counts, of the same speakers; 2 speakers and seeds or more

    Example:
        >>> rng = np.random.default_rng(0)
        >>> one, other = rng.integers(5, 15, size=(2, 3, 30, 4, 4)) + 40 * np.eye(4, dtype=int)
        >>> found = over_speakers_and_seeds([one, other])
        >>> abs(found.value) < 3 * found.error, found.degrees > 3
        (True, True)
    """
    value, left_out, variances, degrees = 0.0, np.zeros(sides[0].shape[1]), [], [sides[0].shape[1] - 1]
    for sign, counts in zip((1, -1), sides, strict=False):
        total = counts.sum(axis=1)
        scores = statistic(total)  # (seed,)
        value += sign * float(scores.mean())
        left_out += sign * statistic(total[:, None] - counts).mean(axis=0)
        variances.append(float(scores.var(ddof=1)) / len(scores))  # equals the jackknife of a mean
        degrees.append(len(scores) - 1)
    parts = np.array([jackknife_error(left_out, value) ** 2, *variances])
    total_variance = float(parts.sum())
    if total_variance == 0:
        return Estimate(value, 0.0, 1.0)
    return Estimate(value, total_variance**0.5, total_variance**2 / float((parts**2 / degrees).sum()))


def _pigeonhole(by_speaker: np.ndarray, statistic: Statistic, resamples: int, seed: int) -> np.ndarray:
    """Draw speakers and seeds with replacement and cross them: the mean score of each resample, ``(resample,)``."""
    speakers, seeds = by_speaker.shape[:2]
    drawn = np.random.default_rng(seed).integers(speakers, size=(resamples, speakers))
    scores = statistic(sums_of_drawn(drawn, by_speaker))  # (resample, seed)
    of_seeds = np.random.default_rng([seed, 1]).integers(seeds, size=(resamples, seeds))  # [.., 1]: not as speakers
    return np.asarray(np.take_along_axis(scores, of_seeds, axis=1).mean(axis=1))
