"""Intervals of calibration, ordering and means: a loop that leaves each speaker out of the table, and Student's interval."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import t

from ser.evaluation import beyond, calibration, metrics, predictions, selective
from ser.evaluation.intervals import Estimate, jackknife_interval
from tests.work import calls


@pytest.fixture
def scored(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities, some of them tied, targets and speakers; the speakers have different numbers of clips."""
    kept = table.sample(frac=0.6, random_state=1)
    p = np.round(predictions.probabilities(kept), 2)
    return p / p.sum(axis=1, keepdims=True), predictions.target_indices(kept), kept["speaker"].to_numpy(dtype=str)


@pytest.mark.parametrize(
    ("interval", "score", "bounds"),
    [
        (beyond.ece_interval, calibration.ece, (0.0, 1.0)),
        (beyond.brier_interval, calibration.brier, (0.0, 2.0)),
        (beyond.log_loss_interval, metrics.cross_entropy, (0.0, np.inf)),
        (beyond.aurc_interval, selective.aurc, (0.0, 1.0)),
    ],
)
def test_interval_equals_a_loop_over_tables_without_a_speaker(scored, interval, score, bounds) -> None:
    p, target, speaker = scored
    value, names = score(p, target), np.unique(speaker)
    left_out = np.array([score(p[speaker != name], target[speaker != name]) for name in names])
    n = len(names)
    error = np.sqrt((n - 1) / n * ((left_out - value) ** 2).sum())
    expected = jackknife_interval(Estimate(value, error, n - 1), n, bounds=bounds)
    found = interval(p, target, speaker)
    assert found.low < value < found.high
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.speakers, found.method) == (24, "jackknife-t")


def test_mean_of_equally_many_utterances_has_students_interval_on_the_logit_scale() -> None:
    values = np.random.default_rng(0).random((8, 5))
    each = values.mean(axis=1)
    half = t.ppf(0.975, 7) * each.std(ddof=1) / np.sqrt(8) / (each.mean() * (1 - each.mean()))
    found = beyond.mean_interval(values.ravel(), np.repeat(np.arange(8), 5))
    assert (found.low, found.high) == pytest.approx(expit(logit(each.mean()) + np.array([-half, half])))


def test_one_speaker_has_no_interval(scored) -> None:
    p, target, _ = scored
    for interval in (beyond.ece_interval, beyond.brier_interval, beyond.log_loss_interval, beyond.aurc_interval):
        found = interval(p, target, np.array(["a"] * len(p)))
        assert (found.low, found.high) == (None, None)
        assert found.caution.startswith("1 speaker: no interval")


def test_only_the_ordering_is_scored_speaker_by_speaker() -> None:
    """91 speakers and 7442 clips."""
    rng = np.random.default_rng(0)
    p, target, speaker = rng.dirichlet(np.ones(6), 7442), rng.integers(6, size=7442), np.arange(7442) % 91
    for interval in (beyond.ece_interval, beyond.brier_interval, beyond.log_loss_interval):
        interval(p, target, speaker)  # imports
        assert calls(lambda interval=interval: interval(p, target, speaker)) < 1000  # 300 measured
    assert calls(lambda: beyond.aurc_interval(p, target, speaker)) < 91 * 100  # 40 a speaker measured
