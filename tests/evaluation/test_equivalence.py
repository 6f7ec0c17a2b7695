"""Equality within a margin, and almost stochastic order: scipy's t-test, closed forms, simulated levels."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from benchmarks.interval_coverage import SETTINGS, with_seeds
from ser.evaluation import metrics
from ser.evaluation.comparison import method_difference
from ser.evaluation.equivalence import almost_stochastic_order, equivalence, violation_ratio


def _one_seed_twice(rng: np.random.Generator) -> np.ndarray:
    """``(side, seed, speaker, class, class)``: equal seeds, so that speakers alone count."""
    right = rng.integers(8, 13, size=(2, 1, 12, 2)).repeat(2, axis=1)
    counts = np.zeros((*right.shape, 2))
    counts[..., [0, 1], [0, 1]], counts[..., [0, 1], [1, 0]] = right, 20 - right
    return counts


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("margin", [0.02, 0.05, 0.1])
def test_equivalence_is_the_larger_of_two_one_sided_t_tests(margin: float, seeds: int) -> None:
    one, other = _one_seed_twice(np.random.default_rng(0))[:, :seeds]
    each = metrics.uar(one[0]), metrics.uar(other[0])
    above = ttest_rel(each[0] + margin, each[1], alternative="greater").pvalue
    below = ttest_rel(each[0] - margin, each[1], alternative="less").pvalue
    assert equivalence(one, other, margin) == pytest.approx(max(above, below))


def test_methods_are_equal_where_the_90_percent_interval_lies_within_the_margin() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        one, other = np.split(with_seeds(rng, 24, 6, SETTINGS[1], folds=5), 2)
        interval, _ = method_difference(one, other, level=0.9)
        within = -0.03 < interval.low <= interval.high < 0.03
        assert (equivalence(one, other, 0.03) < 0.05) == within


@pytest.mark.parametrize("margin", [0.05, 0.09, 0.2, 0.3])
@pytest.mark.parametrize("speakers", [4, 12, 24])
def test_models_whose_speakers_are_all_alike_are_equal_where_their_interval_lies_within_the_margin(
    margin: float, speakers: int
) -> None:
    counts = np.tile(np.array([[9, 1], [3, 7]]), (2, 2, speakers, 1, 1))
    interval, _ = method_difference(*counts, level=0.9)
    assert (equivalence(*counts, margin) < 0.05) == (-margin < interval.low <= interval.high < margin)


def test_difference_as_large_as_the_margin_is_not_equal() -> None:
    both = np.array([[[10, 0], [0, 10]], [[8, 2], [0, 10]]])  # 10 points apart for every speaker
    one, other = np.tile(both[:, None, None], (1, 1, 6, 1, 1))
    assert equivalence(one, other, 0.05) == 0.5
    assert equivalence(one, other, 0.1) == pytest.approx(0.5)


def test_margin_must_lie_within_the_scores_and_speakers_must_be_two() -> None:
    one, other = _one_seed_twice(np.random.default_rng(0))
    with pytest.raises(ValueError, match="margin must be above 0 and below 1; got 0"):
        equivalence(one, other, 0)
    with pytest.raises(ValueError, match="at least 2 speakers; got 1"):
        equivalence(one[:, :1], other[:, :1], 0.1)


def test_violation_ratio_of_two_normals_equals_its_integral() -> None:
    rng = np.random.default_rng(2)
    one, other = 0.5 + 2 * rng.normal(size=100_000), rng.normal(size=100_000)
    z = rng.normal(size=400_000)  # quantile functions 0.5 + 2 z and z
    apart = 0.5 + z
    expected = (apart[apart < 0] ** 2).sum() / (apart**2).sum()
    assert violation_ratio(one, other) == pytest.approx(expected, abs=0.01)
    assert violation_ratio(one, other) + violation_ratio(other, one) == pytest.approx(1)


@pytest.mark.slow
def test_order_of_clear_and_of_equal_trainings() -> None:
    better, worse = np.array([0.70, 0.72, 0.74]), np.array([0.60, 0.62, 0.64, 0.66])
    assert almost_stochastic_order(better, worse) == 0
    assert almost_stochastic_order(worse, better) == 1
    rng = np.random.default_rng(3)
    found = [almost_stochastic_order(*rng.normal(size=(2, 5)), resamples=200) < 0.5 for _ in range(100)]
    assert np.mean(found) < 0.2  # few seeds: the bound is of a normal approximation
    with pytest.raises(ValueError, match="at least 2 scores each; got 1 and 3"):
        almost_stochastic_order(better[:1], better)
