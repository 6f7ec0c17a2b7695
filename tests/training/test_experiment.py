"""A training from configuration to run folder, and resumed where it stopped."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.datamodules.buckets import LengthBuckets
from ser.errors import ConfigError, RunError
from ser.evaluation import predictions
from ser.protocols.stamps import SYNTHETIC
from ser.rescoring.recompute import recompute
from ser.training import experiment, fit
from tests import forked
from tests.conftest import Settings

FILES = {
    "audit.json",
    "card.html",
    "card.json",
    "config.yaml",
    "confusion_matrix.png",
    "dev_predictions.parquet",
    "fold_0",
    "machine.json",
    "metrics.json",
    "predictions.parquet",
    "profile.json",
    "run.log",
    "split.json",
}
FOLD_FILES = {
    "audit.json",
    "checkpoints",
    "dev_metrics.json",
    "dev_predictions.parquet",
    "environment.json",
    "metrics.csv",
    "metrics.json",
    "predictions.parquet",
    "split.json",
    "training_curves.png",
}


def train_until_the_third_epoch(config: dict[str, Any]) -> None:
    """Train as a process does that something ends when the third epoch begins."""
    set_epoch = LengthBuckets.set_epoch

    def stop_in_the_third_epoch(sampler: LengthBuckets, epoch: int) -> None:
        if epoch == 2:
            raise ProcessLookupError("stands for whatever ends a process")
        set_epoch(sampler, epoch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LengthBuckets, "set_epoch", stop_in_the_third_epoch)
        with pytest.raises(ProcessLookupError):
            experiment.train(config)


def metrics_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


ONE_EPOCH = "trainer.max_epochs=1"


@pytest.fixture(scope="module")
def finished(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch, to read only."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    return experiment.train(small_settings(ONE_EPOCH, f"paths.run={folder}"))


@pytest.fixture(scope="module")
def all_folds(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch in each of three folds, to read only."""
    folder = tmp_path_factory.mktemp("all_folds") / "run"
    return experiment.train(small_settings(ONE_EPOCH, "fold=all", f"paths.run={folder}"))


def copied(run: Path, to: Path) -> Path:
    """A run to write into, or to go on with."""
    return Path(shutil.copytree(run, to))


def test_a_run_writes_every_file_of_its_folder(finished: Path) -> None:
    folder = finished
    assert {path.name for path in folder.iterdir()} == FILES
    assert {path.name for path in (folder / "fold_0").iterdir()} == FOLD_FILES
    table = predictions.read_predictions(folder / "predictions.parquet")
    summary = metrics_of(folder)
    assert len(table) == summary["n_utterances"] == 12
    environment = json.loads((folder / "fold_0" / "environment.json").read_text())
    assert environment["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert (environment["seed"], environment["data"]) == (0, summary["run"]["fingerprint"])
    assert summary["run"]["stamps"] == ["synthetic speech"]
    assert summary["uar_interval"]["low"] <= summary["uar"] <= summary["uar_interval"]["high"]
    log = (folder / "run.log").read_text()
    assert "Fold 0, test: 12 utterances of 2 speakers" in log
    assert "36 clips here, 480 in the release" in log


def test_predictions_depend_on_the_seed_alone(settings: Settings, finished: Path) -> None:
    again, other = (experiment.train(settings(ONE_EPOCH, f"seed={seed}")) for seed in (0, 2**32 - 1))
    read = [
        predictions.probabilities(predictions.read_predictions(f / "predictions.parquet"))
        for f in (finished, again, other)
    ]
    np.testing.assert_array_equal(read[0], read[1])
    assert not np.allclose(read[0], read[2])
    assert metrics_of(other)["run"]["seed"] == 2**32 - 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["cnn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bilstm", "transformer"))]
)
def test_a_resumed_run_equals_one_that_was_not_stopped(settings: Settings, model: str, tmp_path: Path) -> None:
    chosen = (f"model={model}", "trainer.max_epochs=3", "augment=[heavy,warp,cutmix]")
    whole = experiment.train(settings(*chosen, f"paths.run={tmp_path / 'whole'}"))

    config = settings(*chosen)
    train_until_the_third_epoch(config)
    (stopped,) = Path("runs").iterdir()
    assert not (stopped / "metrics.json").exists()
    resumed = experiment.train({**config, "ckpt": "last"})
    assert resumed.resolve() == stopped.resolve()
    one, two = (predictions.read_predictions(folder / "predictions.parquet") for folder in (whole, resumed))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    history = pd.read_csv(resumed / "fold_0" / "metrics.csv")
    assert list(history["epoch"]) == [0, 1, 2]
    pd.testing.assert_frame_equal(history, pd.read_csv(whole / "fold_0" / "metrics.csv"), check_exact=True)


def test_all_folds_test_every_utterance_once_and_finished_folds_are_not_repeated(
    settings: Settings, all_folds: Path
) -> None:
    config, folder = settings("fold=all", ONE_EPOCH), copied(all_folds, Path("runs", "all"))
    table = predictions.read_predictions(folder / "predictions.parquet")
    assert len(table) == 36
    assert table["utterance"].is_unique
    assert sorted(table["fold"].unique()) == [0, 1, 2]
    for fold in range(3):
        part = predictions.read_predictions(folder / f"fold_{fold}" / "predictions.parquet")
        here = table[table["fold"] == fold].reset_index(drop=True)
        pd.testing.assert_frame_equal(part, here, check_exact=True)
    (folder / "fold_1" / "metrics.json").unlink()
    before = {f: (folder / f"fold_{f}" / "metrics.json").stat().st_mtime_ns for f in (0, 2)}
    experiment.train({**config, "ckpt": "last"})
    assert before == {f: (folder / f"fold_{f}" / "metrics.json").stat().st_mtime_ns for f in (0, 2)}
    assert (folder / "fold_1" / "metrics.json").exists()


def test_evaluation_recomputes_the_same_numbers_from_predictions_and_from_checkpoints(
    all_folds: Path, tmp_path: Path, stores: Path
) -> None:
    folder = copied(all_folds, tmp_path / "run")
    recompute(folder, "corpora", str(stores))
    recompute(folder, "corpora", str(stores), rescore=True)


def test_evaluation_finds_a_changed_probability(finished: Path, tmp_path: Path, stores: Path) -> None:
    folder = copied(finished, tmp_path / "run")
    table = predictions.read_predictions(folder / "predictions.parquet")
    table.loc[3, ["p_angry", "p_sad"]] = [float(p) for p in table.loc[3, ["p_sad", "p_angry"]]]
    predictions.write_predictions(table, folder / "predictions.parquet")
    with pytest.raises(RunError, match="must hold the numbers that"):
        recompute(folder, "corpora", str(stores))
    with pytest.raises(RunError, match=table["utterance"][3]):
        recompute(folder, "corpora", str(stores), rescore=True)


def test_rescoring_refuses_other_data(settings: Settings, tiny_demo: Path, tmp_path: Path, stores: Path) -> None:
    other = tmp_path / "demo"
    other.mkdir()
    for clip in sorted(tiny_demo.iterdir()):
        (other / clip.name).symlink_to(clip.resolve())
    folder = experiment.train(settings("trainer.max_epochs=1", f"data.corpora.demo.root={other}"))
    next(iter(sorted(other.glob("*ang*")))).unlink()
    with pytest.raises(RunError, match="fingerprint"):
        recompute(folder, "corpora", str(stores), rescore=True)


def test_the_random_protocol_stamps_the_run_and_its_model(settings: Settings) -> None:
    folder = experiment.train(settings("protocol=random", "trainer.max_epochs=1"))
    stamp = "not speaker-independent (100 % of test clips by training speakers, 100 % with a sentence of training)"
    assert stamp in metrics_of(folder)["run"]["stamps"]
    assert ser.load(folder).stamps == (SYNTHETIC, stamp)


def test_resuming_without_a_run_is_refused(settings: Settings) -> None:
    with pytest.raises(RunError, match=r"ckpt=last: there is no run under .* to resume"):
        experiment.train({**settings(), "ckpt": "last"})


def test_resuming_from_a_checkpoint_that_was_cut_short_names_the_file(settings: Settings) -> None:
    config = settings("trainer.max_epochs=3")
    train_until_the_third_epoch(config)
    (last,) = Path("runs").glob("*/fold_0/checkpoints/last.ckpt")
    os.truncate(last, last.stat().st_size - 100)
    with pytest.raises(RunError, match=rf"{last.name} is damaged.* Delete it to start this fold"):
        experiment.train({**config, "ckpt": "last"})


def test_a_folder_of_runs_that_cannot_be_written_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mkdir, runs = Path.mkdir, tmp_path / "locked"

    def refuse(self: Path, *arguments: Any, **options: Any) -> None:  # the file system; root may write anywhere
        if runs in (self, *self.parents):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match=rf"paths\.runs and paths\.run must be writable; got no permission for {runs}"):
        experiment.train(settings(f"paths.runs={runs}"))


def test_a_folder_that_holds_another_run_is_refused(settings: Settings, finished: Path, tmp_path: Path) -> None:
    copied(finished, tmp_path / "run")
    with pytest.raises(ConfigError, match="finished run"):
        experiment.train(settings("trainer.max_epochs=1", f"paths.run={tmp_path / 'run'}"))
    (tmp_path / "run" / "metrics.json").unlink()
    with pytest.raises(RunError, match="another configuration: seed is 0 there and 1 here"):
        experiment.train(settings("trainer.max_epochs=1", "seed=1", f"paths.run={tmp_path / 'run'}"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fold=first", r"fold must be 0, 1, \.\.\., all or final; got 'first'"),
        ("loss.class_weights=equal", "class_weights must be balanced"),
        ("fold=true", "fold must be"),
        ("seed=1.5", "seed must be an integer from 0 to 4294967295; got 1.5"),
        ("trainer.max_epochs=0", "trainer.max_epochs must be an integer of 1 or more; got 0"),
        ("ckpt=first", "ckpt must be last or null; got 'first'"),
        ("selection.by=test_uar", "selection.by must be one of dev_uar, dev_loss"),
    ],
)
def test_wrong_value_is_named(settings: Settings, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment.train(settings(override))


@pytest.mark.slow
def test_a_killed_run_resumes_with_equal_predictions(settings: Settings, tiny_demo: Path, stores: Path) -> None:
    """SIGKILL, so nothing is cleaned up; then the same command with ckpt=last."""
    command = [sys.executable, "-m", "ser.train", f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}"]
    command += ["protocol.folds=3", "trainer.max_epochs=6", "batch_size=8", "logger=csv", "trainer.accelerator=cpu"]
    command += ["callbacks.early_stopping=null", "trainer.enable_progress_bar=false"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        if any(Path("runs").glob("*/fold_0/checkpoints/last.ckpt")):
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert process.returncode == -signal.SIGKILL
    (stopped,) = Path("runs").iterdir()
    assert not (stopped / "metrics.json").exists()
    for more in ("ckpt=last", "paths.run=whole"):
        forked.run([*command[2:], more], Path.cwd(), environment).check_returncode()
    one, two = (predictions.read_predictions(folder / "predictions.parquet") for folder in (stopped, Path("whole")))
    pd.testing.assert_frame_equal(one, two, check_exact=True)


def test_a_training_that_diverges_names_the_epoch(settings: Settings) -> None:
    with pytest.raises(RunError, match="diverged in epoch 1"):
        experiment.train(settings("optimizer.lr=1e20", "trainer.gradient_clip_val=null"))


@pytest.mark.slow
def test_ctrl_c_says_how_to_resume(settings: Settings, tiny_demo: Path, stores: Path) -> None:
    command = [sys.executable, "-m", "ser.train", f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}"]
    command += ["protocol.folds=3", "trainer.max_epochs=1000", "batch_size=8", "logger=csv", "trainer.accelerator=cpu"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while process.poll() is None and not any(Path("runs").glob("*/fold_0/checkpoints/last.ckpt")):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith("Interrupted. No partial files were left. Resume with the same command plus ckpt=last.\n")
    assert "Traceback" not in said
    (run,) = Path("runs").iterdir()
    assert not list(run.rglob(".*")), "unfinished files"


def test_metrics_name_merged_and_dropped_emotions(settings: Settings) -> None:
    folder = experiment.train(settings("labels=four", "labels.merge.sad=neutral", "trainer.max_epochs=1"))
    about = metrics_of(folder)["run"]
    assert about["labels"] == "four; target: intended; merged: sad into neutral; dropped: disgust, fear"


def test_the_log_has_the_traceback_of_an_unforeseen_error(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("unforeseen")

    monkeypatch.setattr(fit, "_fit", fail)
    with pytest.raises(ZeroDivisionError):
        experiment.train(settings())
    (log,) = Path("runs").glob("*/run.log")
    assert "Traceback" in log.read_text()


@pytest.mark.slow
def test_a_run_that_stopped_early_resumes_without_training(settings: Settings) -> None:
    config = settings("trainer.max_epochs=20", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-9")
    folder = experiment.train(config)
    before = predictions.read_predictions(folder / "predictions.parquet")
    epochs = pd.read_csv(folder / "fold_0" / "metrics.csv")
    assert len(epochs) < 20, "it did not stop early"
    (folder / "fold_0" / "metrics.json").unlink()
    assert experiment.train({**config, "ckpt": "last"}).resolve() == folder.resolve()
    pd.testing.assert_frame_equal(
        predictions.read_predictions(folder / "predictions.parquet"), before, check_exact=True
    )
    pd.testing.assert_frame_equal(pd.read_csv(folder / "fold_0" / "metrics.csv"), epochs, check_exact=True)


def test_resuming_a_finished_run_changes_no_checkpoint(settings: Settings, finished: Path) -> None:
    config, folder = settings(ONE_EPOCH), copied(finished, Path("runs", "finished"))
    before = {path: path.stat().st_mtime_ns for path in folder.glob("fold_0/checkpoints/*")}
    experiment.train({**config, "ckpt": "last"})
    assert {path: path.stat().st_mtime_ns for path in folder.glob("fold_0/checkpoints/*")} == before


@pytest.mark.slow
def test_a_run_resumes_in_a_folder_that_was_moved(settings: Settings, tmp_path: Path) -> None:
    """The best epoch so far is known by its score, not by the path it was saved under."""
    config = settings("trainer.max_epochs=3", f"paths.run={tmp_path / 'whole'}")
    whole = experiment.train(config)
    train_until_the_third_epoch({**config, "paths": {**config["paths"], "run": str(tmp_path / "there")}})
    (tmp_path / "there").rename(tmp_path / "here")
    moved = experiment.train({**config, "ckpt": "last", "paths": {**config["paths"], "run": str(tmp_path / "here")}})
    one, two = (predictions.read_predictions(folder / "predictions.parquet") for folder in (whole, moved))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    scores = [
        torch.load(folder / "fold_0" / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
        for folder in (whole, moved)
    ]
    best = [next(state for key, state in s.items() if key.startswith("Best")) for s in scores]
    assert best[0]["best_model_score"] == best[1]["best_model_score"]
    assert Path(best[1]["best_model_path"]).parent.parent == tmp_path / "here" / "fold_0"


def test_resuming_ignores_folders_that_are_not_runs(settings: Settings, finished: Path) -> None:
    config, folder = settings(ONE_EPOCH), copied(finished, Path("runs", "finished"))
    for number, text in enumerate(("{}", "[1, 2]", "a: [", "")):
        (Path("runs") / f"foreign{number}").mkdir()
        (Path("runs") / f"foreign{number}" / "config.yaml").write_text(text)
    assert experiment.train({**config, "ckpt": "last"}) == folder


def test_selection_by_dev_loss_keeps_the_epoch_of_least_loss(settings: Settings) -> None:
    folder = experiment.train(settings("selection.by=dev_loss", "trainer.max_epochs=4", "optimizer.lr=0.02"))
    history, about = pd.read_csv(folder / "fold_0" / "metrics.csv"), metrics_of(folder)["run"]
    best = int(history["dev_loss"].argmin())
    assert about["best_epoch"] == history["epoch"][best]
    assert about["dev_uar"] == pytest.approx(history["dev_uar"][best])
    dev = predictions.read_predictions(folder / "fold_0" / "dev_predictions.parquet")
    loss = -np.log([row[f"{predictions.PREFIX}{row['target']}"] for _, row in dev.iterrows()]).mean()
    assert loss == pytest.approx(history["dev_loss"][best], abs=1e-4), "the kept weights are those of that epoch"
