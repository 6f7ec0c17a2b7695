"""Runs of version 0.1 load, predict, verify, compare and can be scored again."""

from pathlib import Path

import numpy as np
import pytest

import ser
from ser.comparison.leaderboard import compare
from ser.corpora.demo import Demo
from ser.errors import RunError
from ser.evaluation import predictions
from ser.rescoring.recompute import recompute
from ser.runs.folder import RunFolder
from ser.runs.verification import verify

RUNS = ["transformer", "cnn", "whisper"]


@pytest.mark.parametrize("name", RUNS)
def test_old_checkpoints_predict_what_the_run_predicted(version_0_1: Path, name: str) -> None:
    clips = {utterance.id: utterance.path for utterance in Demo().utterances()}
    fold = RunFolder(version_0_1 / name).folds[0]
    table = fold.predictions[::6]
    model = ser.load(fold.path)
    assert model.classes == predictions.classes(table)
    predicted = model.predict([clips[utterance] for utterance in table["utterance"]])[list(model.classes)]
    np.testing.assert_allclose(predicted, predictions.probabilities(table), atol=1e-5, rtol=0)


def test_an_old_run_of_one_fold_loads_and_one_of_several_names_them(version_0_1: Path) -> None:
    assert ser.load(version_0_1 / "transformer").stamps == ("synthetic speech",)
    with pytest.raises(RunError, match=r"holds 3 folds, .*cnn/fold_0, .*cnn/fold_1, .*cnn/fold_2"):
        ser.load(version_0_1 / "cnn")


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_old_runs_verify(version_0_1: Path, stores: Path, name: str) -> None:
    checks = verify(version_0_1 / name, stores=str(stores))
    assert [check for check in checks if check.ok is False] == []
    folds = [f"fold_{fold} checkpoint" for fold in range(3)] if name == "cnn" else ["checkpoint"]
    costly = ["statistics"] * (name == "whisper")
    assert [check.name for check in checks if check.ok is None] == [*folds, "corpus", "audit", *costly]
    fold = verify(version_0_1 / "cnn" / "fold_1", stores=str(stores))
    assert [check.name for check in fold if not check.ok] == ["checkpoint", "corpus", "audit"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_old_runs_are_scored_again(version_0_1: Path, stores: Path, name: str) -> None:
    recompute(version_0_1 / name, "corpora", str(stores), rescore=True)


def test_old_runs_are_compared(version_0_1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compare([version_0_1 / "transformer", version_0_1 / "whisper"], None, tmp_path / "out")
    shown = capsys.readouterr().out
    assert "transformer" in shown
    assert "whisper-tiny-random" in shown
    assert "set apart" not in shown


@pytest.mark.parametrize(
    ("name", "described"),
    [
        ("transformer", "demo, speaker_cv, transformer, UAR 16.7 % [16.7, 16.7]"),
        ("cnn", "demo, speaker_cv, cnn, UAR 17.3 % [16.1, 18.6]"),
        ("whisper", "demo, speaker_cv, whisper-tiny-random, UAR 31.8 % [18.8, 48.4]"),
    ],
)
def test_old_runs_are_described(version_0_1: Path, name: str, described: str) -> None:
    run = RunFolder(version_0_1 / name)
    assert repr(run) == f"RunFolder('{version_0_1 / name}': {described})"
    assert run.splits == {
        fold: split
        for fold, split in enumerate(("cabb320e6d0c1f8a", "7d2829e9b224194a", "157987d5d3f616c4"))
        if name == "cnn" or fold == 0
    }
    assert "/tmp/" not in str(run.config)
