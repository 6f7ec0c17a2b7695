"""Whether two methods are equal within a margin, and whether the better one is better in almost every training.

Sources: two one-sided tests: Schuirmann, 1987, https://doi.org/10.1007/BF01068419; almost stochastic order: del Barrio,
Cuesta-Albertos and Matrán, 2018, https://arxiv.org/abs/1705.01788, and for neural networks Dror, Shlomov and Reichart,
2019, https://doi.org/10.18653/v1/P19-1266.
"""

import numpy as np

from ser.evaluation.intervals import Bounds, Statistic, difference_over_speakers
from ser.evaluation.metrics import uar
from ser.evaluation.seeds import over_speakers_and_seeds


def equivalence(
    one: np.ndarray,
    other: np.ndarray,
    margin: float,
    statistic: Statistic = uar,
    *,
    bounds: Bounds = (0.0, 1.0),
) -> float:
    """Return the p-value of a test that two methods differ by ``margin`` or more: small where they are equal within it.

    It is the larger p-value of two one-sided t-tests, against ``-margin`` and ``margin``, over speakers and seeds: below 0.05
    where the 90 % interval of `ser.evaluation.comparison.method_difference` lies within the margin. Where a side has one seed
    the tests are over speakers alone, and the result is of these weights, not of the methods.

    Args:
        one: ``(seed, speaker, class, class)`` counts, 2 speakers or more.
        other: The same of the other method, of the same speakers.
        margin: Of the score: 0.02 is 2 points of UAR.
        statistic: Any score within ``bounds``.
        bounds: Lowest and highest value that the score can take.

    Raises:
        ValueError: If ``margin`` is out of range, or there is 1 speaker.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> one, other = rng.integers(5, 15, size=(2, 5, 90, 4, 4)) + 40 * np.eye(4, dtype=int)
        >>> equivalence(one, other, margin=0.05) < 0.05, equivalence(one, other, margin=0.0001) < 0.05
        (True, False)
    """
    speakers, widest = one.shape[1], bounds[1] - bounds[0]
    if not 0 < margin < widest:
        raise ValueError(f"margin must be above 0 and below {widest:g}; got {margin}.")
    if speakers < 2:
        raise ValueError(f"one and other must have at least 2 speakers; got {speakers}.")
    from scipy.stats import t  # late: scipy.stats takes half a second to import

    several = min(len(one), len(other)) > 1
    means = one.mean(axis=0), other.mean(axis=0)
    found = over_speakers_and_seeds([one, other], statistic) if several else difference_over_speakers(*means, statistic)
    if found.error == 0:  # the interval is that of speakers who are all alike: see `alike_interval`
        return float(((widest - margin) / max(widest - abs(found.value), widest - margin)) ** speakers / 2)
    return float(
        t.sf((margin - abs(found.value)) / found.error, found.degrees)
    )  # the nearer of the two margins decides


def almost_stochastic_order(
    one: np.ndarray, other: np.ndarray, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> float:
    """Return an upper bound on how far ``one`` is from being better at every quantile of its trainings: epsilon-min.

    0: better at each quantile; 0.5: as often worse as better; 1: worse at each. Dror et al. call ``one`` better below 0.5.
    The violation ratio is the share of the squared distance between the two quantile functions where ``other`` is above;
    the bound subtracts a normal quantile of its bootstrap error.

    Shapes:
        - one, other: ``(seed,)`` scores, higher is better

    Raises:
        ValueError: If a side has fewer than 2 scores.

    Example:
        >>> almost_stochastic_order(np.array([0.7, 0.8, 0.75]), np.array([0.5, 0.6, 0.55]))
        0.0
    """
    if min(len(one), len(other)) < 2:
        raise ValueError(f"one and other must have at least 2 scores each; got {len(one)} and {len(other)}.")
    from scipy.stats import norm

    n, m = len(one), len(other)
    ratio, scale, rng = violation_ratio(one, other), (n * m / (n + m)) ** 0.5, np.random.default_rng(seed)
    drawn = [violation_ratio(rng.choice(one, n), rng.choice(other, m)) for _ in range(resamples)]
    spread = float(np.std(scale * (np.array(drawn) - ratio)))
    return float(np.clip(ratio - spread / scale * norm.ppf(1 - level), 0.0, 1.0))


def violation_ratio(one: np.ndarray, other: np.ndarray) -> float:
    """Return the share of the squared distance between two quantile functions where ``other`` is above ``one``.

    Example:
        >>> violation_ratio(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
        0.5
    """
    edges = np.union1d(np.arange(1, len(one) + 1) / len(one), np.arange(1, len(other) + 1) / len(other))
    middle = edges - np.diff(edges, prepend=0.0) / 2  # of the steps of both quantile functions
    first, second = (np.sort(x)[np.minimum((middle * len(x)).astype(np.int64), len(x) - 1)] for x in (one, other))
    squared = np.diff(edges, prepend=0.0) * (first - second) ** 2
    total = float(squared.sum())
    return float(squared[second > first].sum() / total) if total > 0 else 0.5
