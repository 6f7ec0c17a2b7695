"""The numbers of a run, recomputed from its table by other means."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, precision_recall_fscore_support

from ser.errors import RunError
from ser.evaluation.summary import differences, read_metrics, summarise, write_metrics


def _predicted(table: pd.DataFrame) -> pd.Series:
    return table.filter(regex="^p_").idxmax(axis=1).str.removeprefix("p_")


def test_summary_numbers_equal_scikit_learn(table: pd.DataFrame) -> None:
    summary = summarise(table)
    predicted = _predicted(table)
    assert (summary["n_utterances"], summary["n_speakers"], summary["n_folds"]) == (720, 24, 4)
    assert summary["uar"] == pytest.approx(balanced_accuracy_score(table["target"], predicted))
    assert summary["accuracy"] == pytest.approx((table["target"] == predicted).mean())
    assert summary["macro_f1"] == pytest.approx(f1_score(table["target"], predicted, average="macro"))
    ordered = table[sorted(c for c in table if c.startswith("p_"))]
    assert summary["cross_entropy"] == pytest.approx(log_loss(table["target"], ordered.to_numpy()))
    expected = precision_recall_fscore_support(table["target"], predicted, labels=summary["classes"])
    for i, name in enumerate(summary["classes"]):
        ours = summary["per_class"][name]
        assert [ours[k] for k in ("precision", "recall", "f1", "support")] == pytest.approx([e[i] for e in expected])


def test_folds_are_scored_separately_and_averaged(table: pd.DataFrame) -> None:
    by_fold = [
        balanced_accuracy_score(rows["target"], _predicted(rows)) for _, rows in table.groupby("fold", sort=True)
    ]
    folds = summarise(table)["folds"]
    assert [fold["uar"] for fold in folds["each"]] == pytest.approx(by_fold)
    assert [fold["n_speakers"] for fold in folds["each"]] == [6] * 4
    assert folds["uar_mean"] == pytest.approx(np.mean(by_fold))
    assert folds["uar_sd"] == pytest.approx(np.std(by_fold, ddof=1))


def test_one_fold_has_no_standard_deviation(table: pd.DataFrame) -> None:
    folds = summarise(table[table["fold"] == 2])["folds"]
    assert folds["uar_sd"] is None
    assert [fold["fold"] for fold in folds["each"]] == [2]


def test_interval_contains_uar_and_states_its_method(table: pd.DataFrame) -> None:
    summary = summarise(table, seed=4)
    interval = summary["uar_interval"]
    assert interval["low"] < summary["uar"] < interval["high"]
    assert (interval["method"], interval["speakers"], interval["seed"]) == ("jackknife-t", 24, 4)
    assert summarise(table[table["fold"] == 0])["uar_interval"]["caution"].startswith("6 speakers are too few")


def test_class_without_utterances_is_null_in_file(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    summary = summarise(table[table["target"] != "calm"])
    write_metrics(summary, path)
    text = path.read_text()
    assert "NaN" not in text
    assert json.loads(text)["per_class"]["calm"]["recall"] is None
    assert read_metrics(path) == summary


def test_row_order_changes_nothing(table: pd.DataFrame) -> None:
    assert differences(summarise(table), summarise(table.sample(frac=1, random_state=0))) == []


def test_file_is_identical_byte_for_byte(table: pd.DataFrame, tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    write_metrics(summarise(table), first)
    write_metrics(dict(reversed(summarise(table).items())), second)
    assert first.read_bytes() == second.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_differences_name_their_place(table: pd.DataFrame) -> None:
    old, new = summarise(table), summarise(table)
    new["per_class"]["sad"]["recall"] = 0.0
    new["folds"]["each"][1]["uar"] += 1e-12
    new["confusion"][0][2] += 1
    del new["macro_f1"]
    found = {d.path: (d.old, d.new) for d in differences(old, new)}
    assert set(found) == {"per_class.sad.recall", "confusion[0][2]", "macro_f1"}
    assert found["macro_f1"] == (old["macro_f1"], "absent")
    assert "folds.each[1].uar" in {d.path for d in differences(old, new, tolerance=0)}


def test_intervals_of_other_statistics_are_not_compared(table: pd.DataFrame) -> None:
    new, old = summarise(table), summarise(table)
    old["uar_interval"]["low"] = 0.0
    assert [d.path for d in differences(old, new)] == ["uar_interval.low"]
    del old["statistics"], old["uar_interval"]["seeds"]
    assert differences(old, new) == []
    old["per_class"]["sad"]["recall"] = 0.0
    assert [d.path for d in differences(old, new)] == ["per_class.sad.recall"]


@pytest.mark.parametrize(("old", "new"), [(None, 0.0), (0.0, None), (True, 1), ("a", ["a"]), ([1], [1, 2])])
def test_values_of_different_kinds_differ(old: object, new: object) -> None:
    assert len(differences({"x": old}, {"x": new}, tolerance=1)) == 1


def test_unreadable_summary_states_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    with pytest.raises(RunError, match="There is no"):
        read_metrics(path)
    path.write_text("{")
    with pytest.raises(RunError, match="must be JSON"):
        read_metrics(path)
    path.write_text("[]")
    with pytest.raises(RunError, match="must hold a JSON object; got list"):
        read_metrics(path)


def test_importing_evaluation_is_fast() -> None:
    heavy = "torch", "lightning", "sklearn", "matplotlib", "seaborn", "scipy.stats"
    code = (
        "import sys, ser.evaluation.metrics, ser.evaluation.summary, ser.report.plots, ser.report.tables;"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
