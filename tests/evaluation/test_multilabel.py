"""Macro F1 of the classes heard: by hand, by scikit-learn, and where a class is never heard."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from ser.evaluation import soft
from ser.evaluation.intervals import Estimate, jackknife_error, jackknife_interval
from ser.evaluation.multilabel import above_equal_share, multilabel_f1, presence_by_speaker
from ser.report.highlights import highlights
from tests.evaluation.test_soft import draw, heard


def by_sklearn(p: np.ndarray, votes: np.ndarray) -> float:
    threshold = 1 / p.shape[1]
    return float(f1_score(votes > threshold, p > threshold, average="macro", zero_division=0))


def test_by_hand() -> None:
    votes = np.array([[0.6, 0.4, 0, 0], [0, 0.75, 0.25, 0], [0, 0, 0.3, 0.7]])  # a quarter of the votes is not enough
    p = np.array([[0.9, 0.1, 0, 0], [0.4, 0.6, 0, 0], [0, 0, 0.2, 0.8]])
    # angry: heard 1, predicted 2, both 1. happy: 2, 1, 1. neutral: 1, 0, 0. sad: 1, 1, 1.
    assert soft.summary(heard(p, votes))["multilabel_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0 + 1) / 4)


def test_scores_equal_those_of_scikit_learn() -> None:
    p, votes = draw(10)
    found = soft.summary(heard(p, votes))
    assert found["multilabel_f1"] == pytest.approx(by_sklearn(p, votes))
    constant = np.tile(votes.mean(axis=0), (len(votes), 1))
    assert found["multilabel_f1_of_mean_votes"] == pytest.approx(by_sklearn(constant, votes))
    assert soft.summary(heard(votes, votes))["multilabel_f1"] == 1


def test_interval_is_the_jackknife_over_speakers() -> None:
    p, votes = draw(11, n=60)
    table = heard(p, votes)
    found, speaker = soft.summary(table), table["speaker"].to_numpy(str)
    names = np.unique(speaker)
    left_out = np.array([by_sklearn(p[speaker != name], votes[speaker != name]) for name in names])
    value = by_sklearn(p, votes)
    expected = jackknife_interval(Estimate(value, jackknife_error(left_out, value), len(names) - 1), len(names))
    interval = found["multilabel_f1_interval"]
    assert (interval["low"], interval["high"]) == pytest.approx((expected.low, expected.high))
    assert interval["speakers"] == 12


@pytest.mark.parametrize("predicted", [0.0, 0.31])
def test_class_that_nobody_hears_counts_as_zero(predicted: float) -> None:
    _, votes = draw(12)
    votes[:, 0] = 0
    votes = (votes / votes.sum(axis=1, keepdims=True)).round(12)  # 2 of 8 is then a quarter, and no more
    p = np.column_stack([np.full(len(votes), predicted), (1 - predicted) * votes[:, 1:]])
    others = f1_score(votes[:, 1:] > 1 / 4, p[:, 1:] > 1 / 4, average="macro")
    assert by_sklearn(p, votes) == pytest.approx(others * 3 / 4)
    counts = presence_by_speaker(p, votes, np.full(len(p), "1"))
    assert multilabel_f1(counts[0]) == pytest.approx(others * 3 / 4)


@pytest.mark.parametrize("n_classes", range(2, 12))
def test_equal_probabilities_in_float32_predict_nothing(n_classes: int) -> None:
    exponentials = np.ones(n_classes, dtype=np.float32)
    assert not above_equal_share((exponentials / exponentials.sum()).astype(np.float64)).any()


def test_score_is_shown_where_a_profile_has_it() -> None:
    p, votes = draw(13)
    found = soft.summary(heard(p, votes))
    name, shown, meaning = list(highlights({"soft": found}))[-1]
    assert name == "Macro F1 of what listeners heard"
    assert shown.startswith(f"{100 * by_sklearn(p, votes):.1f} % [")
    assert "EMO-SUPERB" in meaning
    earlier = {key: value for key, value in found.items() if not key.startswith("multilabel")}
    assert [name for name, *_ in highlights({"soft": earlier})] == ["Listeners who would agree"]
