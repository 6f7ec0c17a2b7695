"""The smallest difference that a protocol sees: the power of Student's test, and a simulation of whole comparisons."""

import sys

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import nct, t

from ser.comparison.power import Protocol, Trainings, pseudo_values, simulated, smallest_difference, trainings_of
from ser.comparison.systems import find
from ser.errors import ConfigError
from ser.evaluation.measure import CLASSES
from ser.power import main
from tests.comparison.test_compare import Make, make, scored

__all__ = ["make"]


def test_many_speakers_without_a_share_of_the_training_need_what_students_test_needs() -> None:
    """A side's mean over 2 seeds has half the variance of a value; that over seeds is counted once more, so at most twice."""
    rng = np.random.default_rng(0)
    at_hand = Trainings(0.1 * rng.normal(size=(40, 400)), np.arange(400), CLASSES)
    found = smallest_difference(at_hand, Protocol(60, 60, 2))

    def power(difference: float) -> float:
        value, spread, degrees = simulated(at_hand, Protocol(60, 60, 2), 500, np.random.default_rng(1))
        return float(np.mean(value + difference > t.ppf(0.975, degrees) * spread))

    assert power(found) == pytest.approx(0.8, abs=0.06)  # three standard errors of 500
    plain = brentq(lambda d: nct.sf(t.ppf(0.975, 59), 59, d / np.sqrt(0.01 / 60)) - 0.8, 0, 1)
    assert plain < found < 2 * plain


def test_shared_trainings_bound_what_more_speakers_see() -> None:
    """In one fold all speakers share a training: with ever more of them, the spread of seeds remains."""
    rng = np.random.default_rng(1)
    values = 0.03 * rng.normal(size=(20, 1)) + 0.1 * rng.normal(size=(1, 50))
    at_hand = Trainings(values, np.zeros(50, dtype=int), CLASSES)
    few, many = (smallest_difference(at_hand, Protocol(speakers, 1, 5)) for speakers in (50, 500))
    degrees, error = 8, values.mean(axis=1).std(ddof=1) * np.sqrt(2 / 5)
    bound = brentq(lambda d: nct.sf(t.ppf(0.975, degrees), degrees, d / error) - 0.8, 0, 1)
    assert many == pytest.approx(few, rel=0.1)
    assert many == pytest.approx(bound, rel=0.1)
    assert smallest_difference(at_hand, Protocol(50, 1, 20)) < 0.6 * many


def test_mean_of_pseudo_values_is_the_score() -> None:
    table = scored(1.0, seed=0)
    value = float(CLASSES.statistic(CLASSES.by_speaker(table)[1].sum(axis=0)))
    assert pseudo_values(table, CLASSES).mean() == pytest.approx(value)  # speakers say equally much: no bias


def test_command_prints_the_difference(
    make: Make, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(3):
        make(str(seed), seed=seed)
    monkeypatch.setattr(sys, "argv", ["ser.power", str(tmp_path / "runs"), "--seeds", "3"])
    main()
    text = capsys.readouterr().out
    at_hand = trainings_of(find([tmp_path / "runs"])[0])
    assert f"UAR of {100 * smallest_difference(at_hand, Protocol(12, 3, 3)):.1f} points is found in 80.0 %" in text
    assert text.startswith("With 12 test speakers, 3 folds and 3 seeds a side, ")


def test_one_seed_or_two_systems_are_refused(make: Make, tmp_path) -> None:
    make("0")
    with pytest.raises(
        ConfigError, match=r"one system with two seeds or more, .* got 1 system and 1 seed in all\. Train"
    ):
        trainings_of(find([tmp_path / "runs"])[0])
    make("1", "bilstm.BiLSTM")
    with pytest.raises(ConfigError, match="got 2 systems"):
        trainings_of(find([tmp_path / "runs"])[0])


@pytest.mark.parametrize(
    ("protocol", "power", "message"),
    [
        (Protocol(24, 5, 1), 0.8, "seeds must be at least 2; got 1. With one seed, no test is of methods"),
        (Protocol(1, 5, 3), 0.8, "speakers must be at least 2; got 1"),
        (Protocol(24, 0, 3), 0.8, "folds must be at least 1; got 0"),
        (Protocol(24, 5, 3), 80, "power must be between 0 and 1; got 80"),
    ],
)
def test_protocols_out_of_range_are_refused(protocol: Protocol, power: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        smallest_difference(Trainings(np.zeros((2, 4)), np.zeros(4), CLASSES), protocol, power)
