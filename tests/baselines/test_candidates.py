"""Candidates: the settings that dev chooses among, equal class weights, and probabilities of every classifier."""

import logging
from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ser.baselines.candidates import Clips, combinations, fit_candidates, unconverged
from ser.errors import ConfigError
from ser.evaluation.metrics import cross_entropy
from tests.baselines.conftest import N_CLASSES

LOGISTIC = {"_target_": "sklearn.linear_model.LogisticRegression", "max_iter": 500}
RIDGE = {"scaler": "standard", "_target_": "sklearn.linear_model.RidgeClassifier", "alpha": 1.0}
SVM = {"_target_": "sklearn.svm.SVC"}
Pair = tuple[Clips, Clips]


def fitted(clips: Pair, settings: dict[str, Any], n_classes: int = N_CLASSES, **more: Any) -> Any:
    return fit_candidates([{"scaler": "standard", **settings}], *clips, n_classes, seed=0, **more)[0]


def test_every_combination_of_listed_settings_is_a_candidate(clusters: Pair) -> None:
    grid = combinations({"scaler": ["none", "robust"], **LOGISTIC, "C": [0.1, 1.0]})
    found = fit_candidates(grid, *clusters, N_CLASSES, seed=0)
    assert [one.settings for one in found] == [
        {"scaler": scaler, "C": c} for scaler in ("none", "robust") for c in (0.1, 1.0)
    ]


def test_number_of_threads_changes_nothing(clusters: Pair) -> None:
    grid = combinations(
        {"scaler": "none", "_target_": "sklearn.ensemble.RandomForestClassifier", "max_depth": [2, 3, 4]}
    )
    one, three = (fit_candidates(grid, *clusters, N_CLASSES, seed=0, threads=n) for n in (1, 3))
    assert [a.measured for a in one] == [b.measured for b in three]


def test_classes_have_equal_weight_whatever_their_number_of_clips(clusters: Pair) -> None:
    train, dev = clusters
    kept = np.flatnonzero((train.y != 0) | (np.arange(len(train.y)) < 15))
    few = Clips(train.x[kept], train.y[kept])
    ours = fitted((few, dev), LOGISTIC).fitted.outputs(dev.x)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500, class_weight="balanced"))
    np.testing.assert_allclose(np.exp(ours), theirs.fit(few.x, few.y).predict_proba(dev.x), atol=1e-6)
    lda = fitted((few, dev), {"_target_": "sklearn.discriminant_analysis.LinearDiscriminantAnalysis"})
    equal = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(priors=[1 / 3] * 3)).fit(few.x, few.y)
    np.testing.assert_allclose(np.exp(lda.fitted.outputs(dev.x)), equal.predict_proba(dev.x), atol=1e-12)


@pytest.mark.parametrize("kind", ["SVC", "LinearSVC"])
def test_decision_becomes_probabilities_by_a_temperature_that_dev_fits(clusters: Pair, kind: str) -> None:
    _, dev = clusters
    found = fitted(clusters, {"_target_": f"sklearn.svm.{kind}"}).fitted
    p = np.exp(found.outputs(dev.x))
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert (p.argmax(axis=1) == found.pipeline.decision_function(dev.x).argmax(axis=1)).all()
    losses = [cross_entropy(_softmax(found, dev, found.temperature * factor), dev.y) for factor in (0.8, 1.0, 1.25)]
    assert min(losses) == losses[1]


def _softmax(found: Any, dev: Clips, temperature: float) -> np.ndarray:
    scores = np.exp(found.pipeline.decision_function(dev.x) / temperature)
    return np.asarray(scores / scores.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("settings", [SVM, LOGISTIC], ids=["decision", "probabilities"])
def test_a_class_without_training_clips_gets_no_probability(clusters: Pair, settings: dict[str, Any]) -> None:
    train, dev = clusters
    moved = Clips(train.x, 2 * train.y), Clips(dev.x, np.where(dev.y == 0, 3, 2 * dev.y))  # 1 and 3 do not train
    p = np.exp(fitted(moved, settings, n_classes=6).fitted.outputs(dev.x))
    assert p.shape == (len(dev.y), 6)
    assert p[:, [1, 3, 5]].max() < 1e-15
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)


def test_two_classes_have_probabilities_of_both(clusters: Pair) -> None:
    two = tuple(Clips(part.x[part.y < 2], part.y[part.y < 2]) for part in clusters)
    found = fitted(two, SVM, n_classes=2).fitted  # type: ignore[arg-type]
    p = np.exp(found.outputs(two[1].x))
    assert ((p[:, 1] > 0.5) == (found.pipeline.decision_function(two[1].x) > 0)).all()


def test_a_classifier_that_stopped_early_is_known(clusters: Pair) -> None:
    assert unconverged(fitted(clusters, {**LOGISTIC, "max_iter": 1}).fitted)
    assert not unconverged(fitted(clusters, LOGISTIC).fitted)
    assert not unconverged(fitted(clusters, SVM).fitted)
    assert not unconverged(fitted(clusters, {**RIDGE, "max_iter": None}).fitted)
    assert not unconverged(fitted(clusters, RIDGE).fitted)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**SVM, "C": -1.0}, r"model\.estimator must be settings that fit these clips; got an error: .*'C' parameter"),
        ({**SVM, "scaler": "minmax"}, r"model\.scaler must be among standard, robust, quantile and none; got 'minmax'"),
        ({"_target_": "sklearn.svm.SVR"}, "SVR is not a ClassifierMixin"),
        ({**SVM, "c": 1}, "It takes: C, kernel"),
        ({"_target_": "nowhere_to_be.Found"}, "needs the package nowhere_to_be, which is not installed"),
    ],
)
def test_settings_that_cannot_be_used_are_an_error(clusters: Pair, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fitted(clusters, settings)


def test_more_neighbours_than_clips_are_left_out(clusters: Pair, caplog: pytest.LogCaptureFixture) -> None:
    train, dev = clusters
    grid = combinations(
        {"scaler": "none", "_target_": "sklearn.neighbors.KNeighborsClassifier", "n_neighbors": [5, len(train.y) + 1]}
    )
    with caplog.at_level(logging.WARNING, "ser"):
        assert [one.settings for one in fit_candidates(grid, train, dev, N_CLASSES, 0)] == [{"n_neighbors": 5}]
    assert [message.partition(":")[0] for message in caplog.messages] == ["A candidate is left out"]
    with pytest.raises(ConfigError, match="must be settings that fit these clips; got an error: Expected n_neighbors"):
        fit_candidates(grid[1:], train, dev, N_CLASSES, 0)
