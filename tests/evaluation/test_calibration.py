"""Calibration against torchmetrics, scikit-learn, published formulas, and models calibrated by construction."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from ser.evaluation.calibration import (
    TEMPERATURES,
    apply_temperature,
    brier,
    ece,
    ece_debiased,
    fit_temperature,
    reliability,
    squared_error_debiased,
    top_class,
)
from ser.evaluation.metrics import cross_entropy


def calibrated(rng: np.random.Generator, n: int, n_classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and targets drawn from them: calibrated, whatever else."""
    p = rng.dirichlet(np.full(n_classes, 0.3), size=n)
    target = (p.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return p, np.minimum(target, n_classes - 1)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_ece_equals_torchmetrics(bins) -> None:
    p, target = calibrated(np.random.default_rng(0), 700)
    p = apply_temperature(p, 0.6)
    p = p[p.max(axis=1) < 1 - 1e-6]  # torchmetrics gives a confidence of 1 a bin of its own
    target = target[: len(p)]
    reference = multiclass_calibration_error(
        torch.from_numpy(p), torch.from_numpy(target), num_classes=6, n_bins=bins, norm="l1"
    )
    assert ece(p, target, bins) == pytest.approx(float(reference), abs=1e-6)  # torchmetrics counts in float32


def test_one_bin_gives_gap_between_mean_confidence_and_accuracy() -> None:
    p, target = calibrated(np.random.default_rng(1), 300)
    confidence, right = top_class(p, target)
    assert ece(p, target, bins=1) == pytest.approx(abs(confidence.mean() - right.mean()))


def test_debiased_error_of_equal_confidences_is_published_estimator() -> None:
    """Kumar et al., Definition 4.1: ``sum_b n_b / n ((s_b - y_b)^2 - y_b (1 - y_b) / (n_b - 1))``."""
    rng = np.random.default_rng(2)
    levels, n = np.array([0.55, 0.7, 0.85, 0.99]), 50
    confidence = np.repeat(levels, n)
    p = np.stack([confidence, 1 - confidence], axis=1)
    target = (rng.random(len(p)) > 0.7).astype(int)
    accuracy = (target == 0).reshape(4, n).mean(axis=1)
    published = np.mean((levels - accuracy) ** 2 - accuracy * (1 - accuracy) / (n - 1))
    assert squared_error_debiased(p, target, bins=4) == pytest.approx(published)


def test_plain_error_of_calibrated_model_is_biased_and_debiased_is_not() -> None:
    rng = np.random.default_rng(3)
    runs = [calibrated(rng, 500) for _ in range(400)]
    squares = np.array([squared_error_debiased(*run) for run in runs])
    error = squares.std(ddof=1) / np.sqrt(len(runs))  # Monte-Carlo
    assert abs(squares.mean()) < 3 * error
    plain, debiased = (np.mean([f(*run) for run in runs]) for f in (ece, ece_debiased))
    # A bin of 33 utterances with accuracy about 0.75 misses it by sqrt(2 / pi * 0.19 / 33) = 0.06 on average, less where
    # confidences are near 1; the root, 0 in half of the runs, is less than half of that.
    assert 0.03 < plain < 0.06
    assert debiased < plain / 2


def test_both_errors_find_overconfidence_of_a_tenth() -> None:
    rng = np.random.default_rng(4)
    confidence = rng.uniform(0.65, 0.95, size=100_000)
    target = (rng.random(len(confidence)) > confidence - 0.1).astype(int)
    p = np.stack([confidence, 1 - confidence], axis=1)
    assert ece(p, target) == pytest.approx(0.1, abs=0.005)  # standard error: sqrt(0.22 / 100 000) = 0.0015
    assert ece_debiased(p, target) == pytest.approx(0.1, abs=0.005)


def test_debiased_error_of_single_utterance_bins_is_undefined() -> None:
    p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    assert np.isnan(ece_debiased(p, np.zeros(3, dtype=int), bins=15))


def test_brier_score_equals_scikit_learn() -> None:
    p, target = calibrated(np.random.default_rng(5), 200)
    assert brier(p, target) == pytest.approx(brier_score_loss(target, p, labels=range(6), scale_by_half=False))
    assert brier(np.full((8, 8), 1 / 8), np.arange(8)) == pytest.approx(1 - 1 / 8)


def test_reliability_bins_are_equally_large_and_average_to_overall_accuracy() -> None:
    p, target = calibrated(np.random.default_rng(6), 1000)
    confidence, right = top_class(p, target)
    table = reliability(p, target, bins=15)
    assert table["count"].between(66, 67).all()
    assert table["count"].sum() == 1000
    assert table["confidence"].is_monotonic_increasing
    assert np.average(table["confidence"], weights=table["count"]) == pytest.approx(confidence.mean())
    assert np.average(table["accuracy"], weights=table["count"]) == pytest.approx(right.mean())


def test_equal_confidences_share_a_bin_whatever_the_row_order() -> None:
    rng = np.random.default_rng(7)
    confidence = rng.choice([0.6, 0.7, 0.8, 1.0], p=[0.1, 0.2, 0.3, 0.4], size=300)
    p, target = np.stack([confidence, 1 - confidence], axis=1), (rng.random(300) > confidence).astype(int)
    table = reliability(p, target)
    np.testing.assert_allclose(table["confidence"], [0.6, 0.7, 0.8, 1.0])
    shuffled = rng.permutation(300)
    assert squared_error_debiased(p, target) == pytest.approx(squared_error_debiased(p[shuffled], target[shuffled]))


@pytest.mark.parametrize("sharpened", [0.4, 1.0, 2.5])
def test_fitted_temperature_inverts_applied_temperature(sharpened) -> None:
    p, target = calibrated(np.random.default_rng(8), 20_000)
    temperature = fit_temperature(apply_temperature(p, sharpened), target)
    # Standard error of ln T: under 0.01 with 20 000 utterances, from the curvature of the loss.
    assert np.log(temperature) == pytest.approx(-np.log(sharpened), abs=0.03)


def test_temperature_is_inverse_slope_of_logistic_regression() -> None:
    rng = np.random.default_rng(9)
    log_odds = rng.normal(scale=3, size=2000)
    target = (rng.random(2000) < 1 / (1 + np.exp(-log_odds / 1.7))).astype(int)
    p = np.stack([1 / (1 + np.exp(log_odds)), 1 / (1 + np.exp(-log_odds))], axis=1)
    slope = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-9).fit(log_odds[:, None], target).coef_[0, 0]
    assert fit_temperature(p, target) == pytest.approx(1 / slope, rel=1e-4)


def test_fitted_temperature_beats_a_grid_and_keeps_class_order() -> None:
    p, target = calibrated(np.random.default_rng(10), 400)
    p = apply_temperature(p, 0.5)
    scaled = apply_temperature(p, fit_temperature(p, target))
    grid = [log_loss(target, apply_temperature(p, t), labels=range(6)) for t in np.geomspace(0.1, 10, 200)]
    assert cross_entropy(scaled, target) <= min(grid) + 1e-6
    assert (scaled.argmax(axis=1) == p.argmax(axis=1)).all()


def test_temperature_is_finite_with_zero_probabilities() -> None:
    p = np.tile([1.0, 0.0], (10, 1))
    temperature = fit_temperature(p, np.repeat([0, 1], [9, 1]))
    # The log odds, ln(1 / eps), become ln 9.
    assert temperature == pytest.approx(-np.log(np.finfo(np.float64).eps) / np.log(9), rel=1e-4)
    np.testing.assert_allclose(apply_temperature(p, temperature)[0], [0.9, 0.1], rtol=1e-4)


def test_temperature_of_perfect_model_stays_in_range() -> None:
    temperature = fit_temperature(np.tile([0.8, 0.2], (5, 1)), np.zeros(5, dtype=int))
    assert TEMPERATURES[0] <= temperature < 2 * TEMPERATURES[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, t: ece(p, t, bins=0), "bins must be at least 1; got 0"),
        (lambda p, t: reliability(p, t, bins=-1), "bins must be at least 1; got -1"),
        (lambda p, t: brier(p, t[:1]), "probabilities must have one row per target, here 1; got 2"),
        (lambda p, t: fit_temperature(p[:0], t[:0]), "target must have at least 1 utterance"),
        (lambda p, t: apply_temperature(p, 0.0), "temperature must be above 0; got 0.0"),
    ],
)
def test_invalid_calibration_arguments_are_refused(call, message) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.full((2, 2), 0.5), np.array([0, 1]))
