"""The profile: plain JSON with stable keys, fitted on dev fold by fold, the same numbers as its parts, quick."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from ser.errors import RunError
from ser.evaluation import calibration, conformal, groups, predictions, selective
from ser.evaluation.comparison import holm
from ser.evaluation.metrics import cross_entropy
from ser.evaluation.profile import profile
from ser.report.highlights import highlights
from tests.work import calls


def crema(n: int = 7442, n_speakers: int = 91, n_sentences: int = 12, seed: int = 0) -> pd.DataFrame:
    """A table of CREMA-D's size and columns."""
    rng = np.random.default_rng(seed)
    names = ("angry", "disgust", "fear", "happy", "neutral", "sad")
    index, who = rng.integers(6, size=n), np.arange(n) % n_speakers
    p = softmax(rng.normal(size=(n, 6)) + 2 * np.eye(6)[index])
    votes = rng.multinomial(10, softmax(2 * np.eye(6)[index])) / 10
    return pd.DataFrame(
        {
            "utterance": [f"crema/{i}" for i in range(n)],
            "corpus": "crema",
            "speaker": [f"crema/{s}" for s in who],
            "sex": np.array(["female", "male"])[who % 2],
            "sentence": [f"crema/{s}" for s in np.arange(n) // n_speakers % n_sentences],
            "fold": who % 5,
            "target": np.array(names)[index],
            "age": pd.array(20 + who * 50 // n_speakers, dtype="Int64"),
            "race": np.array(["African American", "Asian", "Caucasian"])[who % 3],
            "ethnicity": np.array(["Hispanic", "Not Hispanic"])[(who % 7 > 0).astype(int)],
            **{f"p_{name}": p[:, i] for i, name in enumerate(names)},
            **{f"v_{name}": votes[:, i] for i, name in enumerate(names)},
        }
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def heated(table: pd.DataFrame, temperature: dict[int, float]) -> pd.DataFrame:
    """The table with the probabilities of each fold at a temperature."""
    table, columns = table.copy(), [c for c in table.columns if c.startswith("p_")]
    for fold, t in temperature.items():
        rows = table["fold"] == fold
        table.loc[rows, columns] = calibration.apply_temperature(table.loc[rows, columns].to_numpy(), t)
    return table


def test_profile_is_complete_and_plain_json() -> None:
    result = profile(crema(2000), crema(1000, seed=1))
    assert set(result) == {"calibration", "selective", "conformal", "groups", "fairness", "soft", "statistics"}
    assert set(result["groups"]) == {"speaker", "sex", "corpus", "sentence", "age", "race", "ethnicity"}
    assert set(result["fairness"]) == {"speakers", "sex", "age", "race", "ethnicity"}  # one corpus: no gap
    assert [row["group"] for row in result["groups"]["age"]] == ["30 to 44", "45 to 59", "60 and over", "under 30"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    tested = [gap for name, gap in result["fairness"].items() if name != "speakers"]
    assert [gap["p_holm"] for gap in tested] == holm(np.array([gap["p_value"] for gap in tested])).tolist()


def test_profile_without_dev_or_votes_omits_their_parts(table) -> None:
    result = profile(table)
    assert set(result) == {"calibration", "selective", "groups", "fairness", "statistics"}
    assert set(result["groups"]) == {"speaker", "sex", "corpus", "sentence"}
    intervals = {f"{name}_interval" for name in ("ece", "brier", "log_loss")}
    assert set(result["calibration"]) == {"ece", "ece_debiased", "brier", "log_loss", "reliability", *intervals}


def test_profile_numbers_equal_their_modules(table) -> None:
    p, target = predictions.probabilities(table), predictions.target_indices(table)
    result = profile(table, seed=5)
    assert result["calibration"]["ece"] == calibration.ece(p, target)
    assert result["calibration"]["log_loss"] == cross_entropy(p, target)
    assert result["selective"]["e_aurc"] == selective.e_aurc(p, target)
    assert result["selective"]["risk_at"]["1.0"] == pytest.approx((p.argmax(axis=1) != target).mean())
    assert result["groups"]["sex"] == groups.by_group(table, "sex", seed=5)
    gap = groups.gaps(table, "sex", seed=5)
    assert result["fairness"]["sex"] == {**gap, "p_holm": gap["p_value"]}


def test_temperature_and_threshold_are_fitted_on_dev_of_the_same_fold(table) -> None:
    dev = heated(table.sample(frac=0.5, random_state=1), {0: 0.3, 1: 0.6, 2: 1.0, 3: 2.0})
    result = profile(table, dev)
    p, held = predictions.probabilities(table).copy(), np.zeros((len(table), 8), dtype=bool)
    for fold in range(4):
        tuning, rows = dev[dev["fold"] == fold], (table["fold"] == fold).to_numpy()
        probabilities, target = predictions.probabilities(tuning), predictions.target_indices(tuning)
        temperature = calibration.fit_temperature(probabilities, target)
        limit = conformal.threshold(probabilities, target)
        size = {"fold": fold, "n_dev": len(tuning)}
        assert result["calibration"]["temperatures"][fold] == {**size, "temperature": temperature}
        assert result["conformal"]["thresholds"][fold] == {**size, "threshold": limit}
        held[rows] = conformal.sets(p[rows], limit)
        p[rows] = calibration.apply_temperature(p[rows], temperature)
    target = predictions.target_indices(table)
    assert result["calibration"]["after"]["log_loss"] == pytest.approx(cross_entropy(p, target))
    assert result["calibration"]["after"]["brier"] == pytest.approx(calibration.brier(p, target))
    assert result["conformal"]["coverage"] == held[np.arange(len(table)), target].mean()


def test_targets_of_test_do_not_change_temperature_or_threshold(table) -> None:
    """What a leak would break."""
    dev = table.sample(frac=0.5, random_state=2)
    other = table.assign(target=table["target"].sample(frac=1, random_state=3).to_numpy())
    one, two = profile(table, dev), profile(other, dev)
    assert one["calibration"]["temperatures"] == two["calibration"]["temperatures"]
    assert one["conformal"]["thresholds"] == two["conformal"]["thresholds"]
    assert one["calibration"]["log_loss"] < two["calibration"]["log_loss"]


def test_temperature_per_fold_corrects_differently_overconfident_models() -> None:
    table = crema(6000)
    cumulated = predictions.probabilities(table).cumsum(axis=1)
    index = np.minimum((cumulated < np.random.default_rng(0).random((6000, 1))).sum(axis=1), 5)
    table["target"] = np.array(predictions.classes(table))[index]  # calibrated by construction
    sure = heated(table, {0: 0.3, 1: 0.5, 2: 0.7, 3: 1.0, 4: 1.5})
    half = np.random.default_rng(1).random(6000) < 0.5
    result = profile(sure[half].reset_index(drop=True), sure[~half])["calibration"]
    fitted = [row["temperature"] for row in result["temperatures"]]
    # 600 utterances a fold: the standard error of ln T is about 5 %.
    np.testing.assert_allclose(np.log(fitted), -np.log([0.3, 0.5, 0.7, 1.0, 1.5]), atol=0.2)
    assert result["after"]["ece"] < result["ece"] / 2
    assert result["after"]["log_loss"] < result["log_loss"]


def test_calibration_is_measured_inside_each_corpus_too() -> None:
    """Sure to 80 % everywhere, right in all clips of one corpus and in 60 % of the other: 0 together, 20 points in each."""
    answers = [("x", True)] * 10 + [("y", i < 6) for i in range(10)]
    rows = [
        {
            "utterance": f"{corpus}/{i}",
            "corpus": corpus,
            "speaker": f"{corpus}/{i % 2}",
            "sex": "female",
            "sentence": "s",
        }
        | {"fold": 0, "target": "angry" if right else "sad", "p_angry": 0.8, "p_sad": 0.2}
        for i, (corpus, right) in enumerate(answers)
    ]
    table = pd.DataFrame(rows)
    found = profile(table, table)
    assert found["calibration"]["ece"] == pytest.approx(0.0)
    assert {name: one["ece"] for name, one in found["calibration"]["corpora"].items()} == pytest.approx(
        {"x": 0.2, "y": 0.2}
    )
    shown = {name: value for name, value, _ in highlights(found)}
    without_intervals = re.sub(r" \[[^]]*]", "", shown["ECE inside each corpus"])
    assert without_intervals == "x 20.0 % (20.0 %), y 20.0 % (20.0 %)"
    alone = profile(table[table["corpus"] == "x"])
    assert "corpora" not in alone["calibration"]
    assert found["calibration"]["corpora"]["x"] == alone["calibration"]


def test_dev_must_have_folds_and_classes_of_test(table) -> None:
    with pytest.raises(RunError, match=r"no utterances of fold 1, 3, which its temperature is fitted"):
        profile(table, table[table["fold"] % 2 == 0])
    with pytest.raises(RunError, match=r"The dev predictions have the classes neutral, .*; the test"):
        profile(table, table.drop(columns="p_calm"))


def test_undefined_numbers_of_one_perfect_speaker_are_none(table) -> None:
    alone = table[table["speaker"] == "ravdess/01"].copy()
    alone[[c for c in table.columns if c.startswith("p_")]] = np.eye(8)[predictions.target_indices(alone)]
    result = profile(alone.reset_index(drop=True))
    json.dumps(result, allow_nan=False)
    assert result["selective"]["e_aurc_normalised"] is None
    assert result["fairness"]["speakers"]["uar_sd"] is None
    assert set(result["fairness"]) == {"speakers"}


def test_sentences_of_few_speakers_have_scores_but_no_intervals() -> None:
    rows = profile(crema(2800, n_speakers=2, n_sentences=200))["groups"]["sentence"]
    assert len(rows) == 200
    assert all(row["uar_interval"] is None and row["n_speakers"] == 2 for row in rows)


def test_profile_time_is_not_quadratic_in_clips() -> None:
    table, dev = crema(), crema(6000, seed=1)
    assert calls(lambda: profile(table, dev)) < 200 * len(table)  # 66 measured
