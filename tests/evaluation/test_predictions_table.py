"""The predictions table: what passes, what is refused, and what the message says."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.errors import RunError
from ser.evaluation import predictions


def test_table_survives_a_round_trip_to_disk(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "run" / "predictions.parquet"
    predictions.write_predictions(table, path)
    again = predictions.read_predictions(path)
    pd.testing.assert_frame_equal(again, table, check_exact=True)
    assert [file.name for file in path.parent.iterdir()] == ["predictions.parquet"]


def test_indices_and_probabilities_follow_logit_order(table: pd.DataFrame) -> None:
    names = predictions.classes(table)
    assert names == ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")
    assert [names[i] for i in predictions.target_indices(table)] == table["target"].tolist()
    columns = [f"p_{name}" for name in names]
    assert [f"p_{names[i]}" for i in predictions.predicted_indices(table)] == table[columns].idxmax(axis=1).tolist()
    np.testing.assert_array_equal(predictions.probabilities(table), table[columns].to_numpy())


def test_utterance_may_be_scored_in_two_folds(table: pd.DataFrame) -> None:
    predictions.check_predictions(pd.concat([table, table.assign(fold=table["fold"] + 4)]))


def _set(column: str, value: object, row: int = 3):
    def tamper(table: pd.DataFrame) -> pd.DataFrame:
        table = table.astype({column: object}) if isinstance(value, str) else table
        table.loc[row, column] = value
        return table

    return tamper


TAMPERED = {
    "column lost": (lambda t: t.drop(columns="speaker"), "must have the columns speaker"),
    "columns moved": (
        lambda t: t[[*t.columns[1:], t.columns[0]]],
        "columns utterance, .* in this order; got",
    ),
    "column added": (lambda t: t.assign(uar=0.9), "in this order; got .*, uar"),
    "one class": (
        lambda t: t.drop(columns=[c for c in t if c.startswith("p_") and c != "p_sad"]),
        "at least 2 columns of probabilities",
    ),
    "no rows": (lambda t: t.iloc[:0], "must have rows; got none"),
    "fold not an integer": (lambda t: t.assign(fold=t["fold"] + 0.5), "fold must be an integer; got float64"),
    "float32": (lambda t: t.astype({"p_sad": "float32"}), "p_sad must be float64; got float32"),
    "speaker missing": (_set("speaker", None), "row 3, utterance ravdess/.*: speaker is missing"),
    "unknown target": (_set("target", "bored"), "row 3, .*: target is not one of neutral, calm"),
    "not finite": (_set("p_sad", np.nan), "row 3, .*: p_sad is not a probability between 0 and 1: nan"),
    "negative": (_set("p_sad", -0.1), "row 3, .*: p_sad is not a probability between 0 and 1: -0.1"),
    "sum": (lambda t: t.assign(p_sad=t["p_sad"] * 0.999), "its probabilities sum to 0.9.*, not 1 .* such rows"),
    "utterance twice": (lambda t: pd.concat([t, t.iloc[[5]]]), "row 720, .*: this utterance occurs twice in its fold"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_tampered_table_is_refused_by_file_and_row(case: str, table: pd.DataFrame, tmp_path: Path) -> None:
    tamper, message = TAMPERED[case]
    path = tmp_path / "predictions.parquet"
    tampered = tamper(table)
    tampered.to_parquet(path, index=False)
    with pytest.raises(RunError, match=message) as refusal:
        predictions.read_predictions(path)
    assert str(refusal.value).startswith(str(path))


def test_refused_table_leaves_old_file_untouched(table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    predictions.write_predictions(table, path)
    before = path.read_bytes()
    with pytest.raises(RunError):
        predictions.write_predictions(table.assign(p_sad=2.0), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_missing_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    with pytest.raises(RunError, match=r"There is no .*predictions\.parquet"):
        predictions.read_predictions(path)
    path.write_text("utterance,target\n")
    with pytest.raises(RunError, match="cannot be read as parquet"):
        predictions.read_predictions(path)
