"""Predictions from elsewhere: the page's own code makes a system of a comparison, and what does not fit is listed."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import ser
from ser.comparison.elsewhere import adopt
from ser.errors import RunError
from ser.evaluation import predictions
from ser.protocols.plan import planned
from ser.protocols.split_file import write_splits
from ser.protocols.stamps import ELSEWHERE, LABELS_ONLY
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from tests.runs.conftest import config_for, write_run

PAGE = Path(__file__).parents[2] / "docs" / "elsewhere.md"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, stores: Path) -> Path:
    """A run of all folds, to read only."""
    return write_run(tmp_path_factory.mktemp("reference") / "run", config_for(tiny_demo, stores), range(3))


@pytest.fixture
def mine(reference: Path) -> pd.DataFrame:
    """A table of probabilities of every test utterance of the run, in another order, under names of classes."""
    table = RunFolder(reference).predictions
    names = predictions.classes(table)
    p = np.random.default_rng(5).dirichlet(np.ones(len(names)), len(table)).round(3)
    return pd.DataFrame(p, columns=list(names)).assign(utterance=table["utterance"])[::-1]


def adopted(table: pd.DataFrame, reference: Path, folder: Path, name: str = "mine.csv") -> RunFolder:
    file = folder / name
    table.to_csv(file, index=False) if file.suffix == ".csv" else table.to_parquet(file)
    return adopt(file, [RunFolder(reference)], folder / "adopted")


@pytest.mark.slow
def test_the_code_of_the_page_makes_a_system_of_a_comparison(
    reference: Path, tiny_demo: Path, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").symlink_to(tiny_demo)
    plan = planned(config_for(tiny_demo, stores))
    write_splits(plan.splits, plan.labelled.manifest, tmp_path / "split.json", plan.protocol)
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    exec(compile(code, str(PAGE), "exec"), {})
    made = pd.read_csv("mine.csv")
    assert len(made) == 36
    table = ser.compare(reference, "mine.csv", out="comparison")
    row = table.set_index("system").loc["mine"]
    run = RunFolder(tmp_path / "comparison" / "elsewhere" / "mine")
    assert row["uar"] == run.metrics["uar"]
    assert ELSEWHERE in row["stamps"]
    assert ELSEWHERE in (run.path / "card.html").read_text()
    assert LABELS_ONLY not in run.about["stamps"]


def test_table_becomes_a_run_that_can_be_verified(mine: pd.DataFrame, reference: Path, tmp_path: Path) -> None:
    run = adopted(mine, reference, tmp_path, "mine.parquet")
    names = list(predictions.classes(run.predictions))
    given = mine.set_index("utterance").loc[run.predictions["utterance"], names].to_numpy()
    np.testing.assert_allclose(predictions.probabilities(run.predictions), given / given.sum(axis=1, keepdims=True))
    target = RunFolder(reference).predictions["target"]
    assert (run.predictions["target"] == target).all()
    right = np.array(names)[given.argmax(axis=1)] == target
    recalls = [right[target == name].mean() for name in names]
    assert run.metrics["uar"] == pytest.approx(np.mean(recalls))
    assert [check for check in verify(run.path) if check.ok is False] == []


def test_labels_alone_are_certain_and_stamped(mine: pd.DataFrame, reference: Path, tmp_path: Path) -> None:
    names = list(predictions.classes(RunFolder(reference).predictions))
    labels = pd.DataFrame({"utterance": mine["utterance"], "label": mine[names].idxmax(axis=1)})
    run = adopted(labels, reference, tmp_path)
    assert run.about["stamps"][-2:] == [ELSEWHERE, LABELS_ONLY]
    assert set(predictions.probabilities(run.predictions).ravel()) == {0.0, 1.0}


def test_all_problems_are_listed_at_once(mine: pd.DataFrame, reference: Path, tmp_path: Path) -> None:
    wrong = mine.reset_index(drop=True)
    first, second, third = wrong.loc[:2, "utterance"]
    wrong.loc[0, "utterance"] = "demo/nowhere"
    wrong.loc[1, "angry"] = 7.0
    with pytest.raises(RunError) as raised:
        adopted(pd.concat([wrong, wrong[2:3]]), reference, tmp_path)
    said = str(raised.value)
    assert "ids that are not test clips (1): demo/nowhere" in said
    assert f"test clips that are missing (1): {first}" in said
    assert f"clips that occur twice (1): {third}" in said
    assert f"clips whose probabilities are not between 0 and 1, or do not sum to 1 (1): {second}" in said
    assert not (tmp_path / "adopted").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[["utterance"]].assign(label="cross"), "labels other than angry, disgust, .*: cross"),
        (lambda t: t.drop(columns=["sad", "fear"]), "no column of the probabilities of fear, sad, and no column label"),
        (lambda t: t.drop(columns="utterance"), "must have a column utterance"),
        (lambda t: t.assign(fold=9), r"ids that are not test clips \(36\)"),
    ],
)
def test_tables_of_another_form_are_refused(
    mine: pd.DataFrame, reference: Path, tmp_path: Path, change: Any, words: str
) -> None:
    with pytest.raises(RunError, match=words):
        adopted(change(mine), reference, tmp_path)


def test_a_table_without_a_run_says_what_to_do(mine: pd.DataFrame, tmp_path: Path) -> None:
    mine.to_csv(tmp_path / "mine.csv")
    with pytest.raises(RunError, match=r"needs a finished run of the same split .* ser\.train model=lda fold=all"):
        ser.compare(tmp_path / "mine.csv")
