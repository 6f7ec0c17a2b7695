"""Risk and coverage: a worked example, naive loops, all orders of tied rows, the bounds at both ends."""

import math
from itertools import permutations

import numpy as np
import pandas as pd
import pytest

from ser.evaluation.selective import aurc, e_aurc, e_aurc_normalised, risk_at, risk_coverage, thresholds
from ser.models.calibration import Calibration


def two_classes(confidence, right) -> tuple[np.ndarray, np.ndarray]:
    confidence = np.asarray(confidence, dtype=float)
    return np.stack([confidence, 1 - confidence], axis=1), 1 - np.asarray(right, dtype=int)


def naive_aurc(right: np.ndarray) -> float:
    """Of answers in order, the most confident first."""
    return float(np.mean([1 - np.mean(right[:k]) for k in range(1, len(right) + 1)]))


def test_risk_coverage_worked_example() -> None:
    p, target = two_classes([0.6, 0.9, 0.8, 0.7], [True, True, False, True])
    curve = risk_coverage(p, target)
    np.testing.assert_allclose(curve["coverage"], [0.25, 0.5, 0.75, 1.0])
    np.testing.assert_allclose(curve["risk"], [0, 1 / 2, 1 / 3, 1 / 4])
    assert aurc(p, target) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert e_aurc(p, target) == pytest.approx((1 / 2 + 1 / 3) / 4)  # at best, the error comes last: 1/4 / 4


def test_curve_equals_a_naive_loop_and_ends_at_the_error_rate() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(5), size=200)
    target = rng.integers(5, size=200)
    right = (p.argmax(axis=1) == target)[np.argsort(-p.max(axis=1))]
    assert aurc(p, target) == pytest.approx(naive_aurc(right))
    assert risk_coverage(p, target)["risk"].iloc[-1] == pytest.approx(1 - right.mean())


def test_ties_count_as_the_mean_over_their_orders() -> None:
    p, target = two_classes([0.9, 0.7, 0.7, 0.7, 0.6], [True, True, False, False, True])
    tied = [naive_aurc(np.array([True, *order, True])) for order in permutations([True, False, False])]
    assert aurc(p, target) == pytest.approx(np.mean(tied))
    assert aurc(p[::-1], target[::-1]) == pytest.approx(aurc(p, target))


def test_no_order_of_the_same_errors_beats_the_best_order() -> None:
    right = np.array([True, True, False, True, False, True])
    orders = [naive_aurc(np.array(order)) for order in set(permutations(right.tolist()))]
    p, target = two_classes(np.linspace(0.9, 0.6, 6), right)
    assert e_aurc(p, target) == pytest.approx(naive_aurc(right) - min(orders))
    assert min(orders) == pytest.approx(naive_aurc(np.sort(right)[::-1]))
    # A random order has, on average over all of them, the error rate at each coverage.
    at_random = np.mean([naive_aurc(np.array(o)) for o in permutations(right.tolist())])
    assert at_random == pytest.approx(1 - right.mean())
    assert e_aurc_normalised(p, target) == pytest.approx((naive_aurc(right) - min(orders)) / (at_random - min(orders)))


def test_normalised_excess_is_0_for_best_order_1_for_random_and_more_for_worse() -> None:
    right = np.repeat([True, False], [70, 30])
    falling = np.linspace(0.99, 0.55, 100)
    assert e_aurc_normalised(*two_classes(falling, right)) == pytest.approx(0, abs=1e-12)
    assert e_aurc_normalised(*two_classes(np.full(100, 0.8), right)) == pytest.approx(1)
    assert e_aurc_normalised(*two_classes(falling[::-1], right)) > 1.5
    assert np.isnan(e_aurc_normalised(*two_classes(falling, np.ones(100, dtype=bool))))


def test_best_order_converges_to_published_integral() -> None:
    """Geifman et al., 2019, equation 5: the best AURC of error rate r tends to ``r + (1 - r) ln(1 - r)``."""
    right = np.repeat([True, False], [7000, 3000])
    best = aurc(*two_classes(np.linspace(0.99, 0.55, 10_000), right))
    assert best == pytest.approx(0.3 + 0.7 * np.log(0.7), abs=1e-4)  # a sum of 10 000 terms for an integral


def test_risk_at_coverage_is_that_of_the_first_k_reaching_it() -> None:
    curve = pd.DataFrame({"coverage": np.arange(1, 11) / 10, "risk": np.arange(10) / 100})
    assert risk_at(curve, 0.3) == pytest.approx(0.02)  # 3 / 10 is not quite 0.3 in binary
    assert risk_at(curve, 0.31) == pytest.approx(0.03)
    assert risk_at(curve, 1.0) == pytest.approx(0.09)
    with pytest.raises(ValueError, match="coverage must be above 0 and at most 1; got 80"):
        risk_at(curve, 80)


@pytest.mark.parametrize("seed", range(5))
def test_no_lower_threshold_keeps_a_risk(seed: int) -> None:
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(4), size=80).round(2)  # rounded: many are equally confident
    target = np.where(random.random(80) < 0.6, p.argmax(axis=1), random.integers(4, size=80))
    confidence, wrong = p.max(axis=1), p.argmax(axis=1) != target
    found = Calibration(1.0, 0.9, 0.9, tuple(thresholds(p, target)))
    assert [row[0] for row in found.curve] == sorted({row[0] for row in found.curve})

    def risk_from(least: float) -> float:
        return float((wrong[confidence >= least].sum() + 1) / ((confidence >= least).sum() + 1))

    for percent in range(1, 100):
        allowed = [least for least in (0.0, *np.unique(confidence)) if risk_from(least) <= percent / 100 + 1e-12]
        assert found.least_confidence(percent / 100 + 1e-12) == min(allowed, default=math.inf)


def test_a_few_right_answers_promise_nothing() -> None:
    p = np.array([[0.99, 0.01]] * 8)
    assert thresholds(p, np.zeros(8, int)) == [(0.0, 1.0, 1 / 9)]
