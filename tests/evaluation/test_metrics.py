"""Scores against scikit-learn and closed forms."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
)

from ser.evaluation import metrics

CASES = list(itertools.product(range(6), (1, 7, 200), (2, 4, 8)))


def _random(seed: int, n: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions; every other seed leaves the last class out of the target."""
    rng = np.random.default_rng(seed)
    target = rng.integers(max(1, n_classes - seed % 2), size=n)
    return target, np.where(rng.random(n) < 0.6, target, rng.integers(n_classes, size=n))


@pytest.mark.parametrize(("seed", "n", "n_classes"), CASES)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_scores_equal_scikit_learn(seed: int, n: int, n_classes: int) -> None:
    target, predicted = _random(seed, n, n_classes)
    counts = metrics.confusion(target, predicted, n_classes)
    every = list(range(n_classes))
    present = sorted(set(target.tolist()))

    np.testing.assert_array_equal(counts, confusion_matrix(target, predicted, labels=every))
    assert metrics.accuracy(counts) == pytest.approx(accuracy_score(target, predicted))
    assert metrics.uar(counts) == pytest.approx(
        recall_score(target, predicted, labels=present, average="macro", zero_division=0)
    )
    assert metrics.uar(counts) == pytest.approx(balanced_accuracy_score(target, predicted))
    assert metrics.macro_f1(counts) == pytest.approx(f1_score(target, predicted, average="macro"))
    for ours, theirs in ((metrics.recall_per_class, recall_score), (metrics.precision_per_class, precision_score)):
        np.testing.assert_allclose(
            ours(counts), theirs(target, predicted, labels=every, average=None, zero_division=np.nan)
        )
    occurs = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    np.testing.assert_array_equal(np.isnan(metrics.f1_per_class(counts)), ~occurs)
    np.testing.assert_allclose(
        metrics.f1_per_class(counts)[occurs],
        f1_score(target, predicted, labels=every, average=None, zero_division=0)[occurs],
    )


@pytest.mark.parametrize(("seed", "n", "n_classes"), CASES)
def test_cross_entropy_equals_scikit_learn(seed: int, n: int, n_classes: int) -> None:
    target, _ = _random(seed, n, n_classes)
    probabilities = np.random.default_rng(seed).dirichlet(np.full(n_classes, 0.5), size=n)
    expected = log_loss(target, probabilities, labels=list(range(n_classes)))
    assert metrics.cross_entropy(probabilities, target) == pytest.approx(expected)


def test_absent_class_does_not_lower_uar_but_its_false_alarms_lower_macro_f1() -> None:
    counts = metrics.confusion(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]), n_classes=4)
    assert metrics.uar(counts) == 0.75
    np.testing.assert_array_equal(np.isnan(metrics.recall_per_class(counts)), [False, False, True, True])
    np.testing.assert_array_equal(np.isnan(metrics.precision_per_class(counts)), [False, False, False, True])
    assert metrics.macro_f1(counts) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_predicting_one_class_gives_uar_at_chance() -> None:
    for n_classes in range(2, 9):
        target = np.repeat(np.arange(n_classes), [10 * (c + 1) for c in range(n_classes)])
        counts = metrics.confusion(target, np.zeros_like(target), n_classes)
        assert metrics.uar(counts) == pytest.approx(1 / n_classes)


@pytest.mark.parametrize(
    "score",
    [
        metrics.uar,
        metrics.accuracy,
        metrics.macro_f1,
        metrics.recall_per_class,
        metrics.precision_per_class,
        metrics.f1_per_class,
    ],
)
def test_batched_scores_equal_single_scores(score) -> None:
    batch = np.random.default_rng(1).integers(0, 3, size=(4, 5, 6, 6))
    batch[0, 0] = 0
    one_by_one = np.array([[score(matrix) for matrix in row] for row in batch])
    np.testing.assert_array_equal(score(batch), one_by_one)


def test_no_utterances_give_nan_without_a_warning(recwarn) -> None:
    nothing = np.array([], dtype=np.int64)
    counts = metrics.confusion(nothing, nothing, n_classes=3)
    assert all(np.isnan(score(counts)) for score in (metrics.uar, metrics.accuracy, metrics.macro_f1))
    assert np.isnan(metrics.cross_entropy(np.empty((0, 3)), nothing))
    assert not recwarn.list


def test_cross_entropy_of_uniform_and_certain_predictions() -> None:
    target = np.arange(4)
    assert metrics.cross_entropy(np.full((4, 4), 0.25), target) == pytest.approx(np.log(4))
    assert metrics.cross_entropy(np.eye(4), target) == 0
    assert metrics.cross_entropy(np.eye(4)[::-1], target) == pytest.approx(-np.log(np.finfo(np.float64).eps))


@pytest.mark.parametrize(
    ("target", "predicted", "message"),
    [
        (np.array([0, 3]), np.array([0, 1]), r"target must hold classes 0 to 2 \(n_classes=3\); got 3"),
        (np.array([0, 1]), np.array([0, -1]), r"predicted must hold classes 0 to 2 \(n_classes=3\); got -1"),
        (np.array([0.0, 1.0]), np.array([0, 1]), "target must be an .* array of integers; got float64"),
        (np.array([0, 1]), np.array([[0, 1]]), r"predicted must be an .* got int64 of shape \(1, 2\)"),
        (np.array([0, 1]), np.array([0]), "predicted must have one value per utterance, here 2; got 1"),
    ],
)
def test_confusion_names_the_wrong_argument(target, predicted, message) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.confusion(target, predicted, 3)


def test_scores_refuse_anything_but_confusion_matrices() -> None:
    with pytest.raises(ValueError, match=r"counts must have shape \(..., class, class\), .* got \(3,\)"):
        metrics.uar(np.array([1, 2, 3]))
    with pytest.raises(ValueError, match="counts must be at least 0; got -1"):
        metrics.accuracy(np.array([[1, -1], [0, 1]]))


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        (np.array([0.5, 0.5]), r"shape \(utterance, class\); got \(2,\)"),
        (np.array([[0.5, 0.5]]), "probabilities must have one row per target, here 2; got 1"),
        (np.array([[0.5, 0.5], [1.5, -0.5]]), r"probabilities must be in \[0, 1\]; got 1.5"),
        (np.array([[0.5, 0.5], [np.nan, 0.5]]), "got nan"),
    ],
)
def test_cross_entropy_names_the_wrong_argument(probabilities, message) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.cross_entropy(probabilities, np.array([0, 1]))
