"""CCC, correlation and error from sums: closed forms, two other implementations, and what speakers add up to."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torchmetrics.functional import concordance_corrcoef

from ser.errors import RunError
from ser.evaluation import agreement, predictions
from ser.evaluation.comparison import paired
from ser.evaluation.intervals import speaker_interval
from ser.evaluation.profile import profile
from ser.evaluation.summary import summarise


def numbers_table(error: float = 0.5, zero: float = 0.0, scale: float = 1.0) -> pd.DataFrame:
    """12 speakers in 3 folds with 8 utterances each, whose predictions are targets with noise."""
    rng = np.random.default_rng(0)
    target, noise = rng.normal(size=(96, 2)), np.random.default_rng(1).normal(size=(96, 2))
    i = np.arange(96)
    about = {"utterance": [f"x/{n}" for n in i], "corpus": "x", "speaker": [f"x/{n % 12:02}" for n in i]}
    table = pd.DataFrame({**about, "sex": np.where(i % 2, "male", "female"), "sentence": None, "fold": i % 12 // 4})
    for prefix, values in (("target", target), ("predicted", target + error * noise)):
        for name, column in zip(("arousal", "valence"), values.T, strict=True):
            table[f"{prefix}_{name}"] = zero + scale * column
    return table


def sums(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return agreement.moments(target, predicted).sum(axis=0)


def test_closed_forms() -> None:
    t = np.array([[-1.0], [1.0]])  # mean 0, variance 1
    assert agreement.ccc(sums(t, t)) == 1
    assert agreement.ccc(sums(t, -t)) == -1
    assert agreement.ccc(sums(t, t + 2)) == pytest.approx(2 / (1 + 1 + 4))
    assert agreement.ccc(sums(t, 3 * t)) == pytest.approx(2 * 3 / (1 + 9))
    assert agreement.ccc(sums(t, np.full_like(t, 5.0))) == 0
    assert agreement.pearson(sums(t, 3 * t + 2)) == pytest.approx(1)
    assert agreement.rmse(sums(t, t + 2)) == pytest.approx(2)
    constant = np.full_like(t, 0.1)
    assert np.isnan(agreement.ccc(sums(constant, constant)))
    assert np.isnan(agreement.pearson(sums(t, constant)))


def test_scores_equal_other_implementations() -> None:
    rng = np.random.default_rng(3)
    target = rng.normal(size=(40, 3))
    predicted = 0.6 * target + rng.normal(size=(40, 3)) + [0, 0.5, -1]
    found = sums(target, predicted)
    # torchmetrics divides variances by n - 1, which is this score of means that differ by sqrt(n / (n - 1)) more.
    apart = (predicted - target).mean(axis=0)
    further = predicted + apart * (np.sqrt(40 / 39) - 1)
    theirs = concordance_corrcoef(torch.from_numpy(further), torch.from_numpy(target))
    np.testing.assert_allclose(agreement.ccc_per_dimension(found), theirs.numpy())
    r = [stats.pearsonr(*columns).statistic for columns in zip(target.T, predicted.T, strict=True)]
    np.testing.assert_allclose(agreement.pearson_per_dimension(found), r)
    np.testing.assert_allclose(agreement.rmse_per_dimension(found), np.sqrt(((target - predicted) ** 2).mean(axis=0)))


def test_speakers_add_up_and_numbers_far_from_zero_lose_nothing() -> None:
    near, far = (predictions.moments_by_speaker(numbers_table(zero=zero))[1] for zero in (0.0, 1e6))
    assert len(near) == 12
    table = numbers_table()
    whole = sums(*(table[[f"{p}_arousal", f"{p}_valence"]].to_numpy() for p in ("target", "predicted")))
    np.testing.assert_allclose(agreement.ccc_per_dimension(near.sum(axis=0)), agreement.ccc_per_dimension(whole))
    np.testing.assert_allclose(agreement.ccc(far), agreement.ccc(near), atol=1e-7)


def test_interval_of_the_error_has_the_unit_of_the_numbers() -> None:
    one, large = (summarise(numbers_table(scale=scale)) for scale in (1.0, 1000.0))
    assert large["rmse"] == pytest.approx(1000 * one["rmse"])
    for end in ("low", "high"):
        assert large["rmse_interval"][end] == pytest.approx(1000 * one["rmse_interval"][end])
        assert large["ccc_interval"][end] == pytest.approx(one["ccc_interval"][end])
    assert one["rmse_interval"]["low"] < one["rmse"] < one["rmse_interval"]["high"]


@pytest.mark.parametrize("method", ["jackknife-t", "percentile"])
def test_interval_of_ccc_is_within_its_bounds(method: str) -> None:
    _, by_speaker = predictions.moments_by_speaker(numbers_table(error=3.0))
    found = speaker_interval(by_speaker, agreement.ccc, bounds=(-1.0, 1.0), method=method)  # type: ignore[arg-type]
    assert found.low is not None
    assert found.high is not None
    assert -1 < found.low < float(agreement.ccc(by_speaker.sum(axis=0))) < found.high < 1


def test_summary_has_every_dimension_their_mean_and_the_folds() -> None:
    found = summarise(numbers_table())
    each = [found["per_dimension"][name]["ccc"] for name in found["dimensions"]]
    assert found["dimensions"] == ["arousal", "valence"]
    assert found["ccc"] == pytest.approx(np.mean(each))
    assert found["folds"]["ccc_mean"] == pytest.approx(np.mean([fold["ccc"] for fold in found["folds"]["each"]]))
    assert (found["n_folds"], found["n_speakers"], found["n_utterances"]) == (3, 12, 96)
    assert "uar" not in found


def test_better_predictions_are_told_apart_by_a_paired_test() -> None:
    result = paired(numbers_table(error=0.1), numbers_table(error=2.0))
    assert result.difference == pytest.approx(result.one - result.other)
    assert result.p_value == result.smallest_p_value == 2.0**-11  # the better of each speaker, whatever is swapped
    assert result.interval.low is not None
    assert result.interval.low > 0
    assert paired(numbers_table(), numbers_table()).p_value == 1


def test_other_targets_cannot_be_compared() -> None:
    other = numbers_table()
    other.loc[3, "target_valence"] += 1
    with pytest.raises(RunError, match=r"The target_valences differ: utterance x/3"):
        paired(numbers_table(), other)


def test_profile_has_groups_but_no_probabilities() -> None:
    found = profile(numbers_table(), numbers_table())
    assert set(found) == {"groups", "fairness", "statistics"}
    assert {row["group"] for row in found["groups"]["sex"]} == {"female", "male"}
    gap = found["fairness"]["sex"]
    assert gap["gap"] == pytest.approx(gap["best"]["ccc"] - gap["worst"]["ccc"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"predicted_valence": np.nan}, "predicted_valence is not a finite number"),
        ({"target_arousal": np.inf}, "target_arousal is not a finite number"),
    ],
)
def test_table_without_a_number_is_refused(change: dict[str, float], told: str) -> None:
    with pytest.raises(RunError, match=told):
        predictions.check_predictions(numbers_table().assign(**change))


def test_table_without_a_target_is_refused() -> None:
    with pytest.raises(RunError, match="must have the columns target_valence; they are missing"):
        predictions.check_predictions(numbers_table().drop(columns="target_valence"))
