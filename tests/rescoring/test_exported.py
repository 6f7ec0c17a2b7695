"""An exported model is scored on the test clips of the fold that it was exported from, beside the checkpoint."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from sklearn.metrics import recall_score

import ser
from ser.errors import RunError
from ser.report.format import MINUS
from ser.rescoring.exported import compare_exported
from ser.runs.folder import RunFolder
from tests.loudness import save_loudness
from tests.runs.conftest import config_for, write_run

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def run(tiny_demo: Path, stores: Path, tmp_path: Path) -> Path:
    """A run of three folds with random predictions."""
    config = {**config_for(tiny_demo, stores), "batch_size": 4}
    return write_run(tmp_path / "run", config, range(3))


def export_of(fold: Path, file: Path, classes: list[str]) -> Path:
    """Write a model that was exported from the checkpoint of a fold, as it says: loud clips are of the last class."""
    sha256 = hashlib.sha256((fold / "checkpoints" / "best.ckpt").read_bytes()).hexdigest()
    weights = [i - 1.5 for i in range(len(classes))]
    audio = json.dumps({"sample_rate": 16000, "trim_db": 30.0, "min_ms": 100.0})  # the run's
    return save_loudness(file, weights, labels=json.dumps(classes), checkpoint_sha256=sha256, audio=audio)


def test_scores_of_both_are_those_of_their_predictions(
    run: Path, tiny_demo: Path, stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fold = run / "fold_1"
    (fold / "checkpoints" / "best.ckpt").write_bytes(b"other weights")
    own = RunFolder(fold).predictions
    classes = [name.removeprefix("p_") for name in own.columns if name.startswith("p_")]
    file = export_of(fold, tmp_path / "model.onnx", classes)
    compare_exported(run, file, str(tiny_demo.parent), str(stores))
    paths = {f"demo/{path.stem}": path for path in tiny_demo.iterdir()}
    table = ser.load(file).predict([paths[name] for name in own["utterance"]])
    wanted = [
        100 * recall_score(own["target"], said, average="macro", labels=sorted(set(own["target"])), zero_division=0)
        for said in (table["label"], own[[f"p_{name}" for name in classes]].idxmax(axis=1).str.removeprefix("p_"))
    ]
    printed = capsys.readouterr().out
    found = re.search(r"UAR ([\d.]+) of model.onnx, ([\d.]+) of .*fold_1: ([^ ]+)", printed)
    assert found, printed
    assert [float(found[1]), float(found[2])] == pytest.approx(wanted, abs=0.051)
    assert float(found[3].replace(MINUS, "-")) == pytest.approx(wanted[0] - wanted[1], abs=0.051)
    moved = int((table["label"].to_numpy() != own[[f"p_{c}" for c in classes]].idxmax(axis=1).str[2:].to_numpy()).sum())
    assert f"{moved} clip" in printed


def test_model_of_another_checkpoint_is_refused(run: Path, tiny_demo: Path, stores: Path, tmp_path: Path) -> None:
    file = save_loudness(tmp_path / "model.onnx")
    with pytest.raises(RunError, match=r"exported must be a file from a checkpoint of .*; got model\.onnx"):
        compare_exported(run, file, str(tiny_demo.parent), str(stores))
