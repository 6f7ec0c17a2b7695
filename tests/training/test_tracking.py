"""Trackers: online only where a key is set up, never a hang; one run a command, whole however often it was stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.errors import ConfigError, RunError
from ser.runs.folder import RunFolder
from ser.training import experiment, tracking, wandb_run
from ser.training.tracking import Tracker
from ser.training.wandb_run import WandB
from tests import forked
from tests.conftest import Settings
from tests.offline_wandb import Offline, offline
from tests.training.test_experiment import train_until_the_third_epoch

CURVES = ("train_loss", "dev_loss", "dev_uar", "lr")


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_a_run_is_offline_without_a_key() -> None:
    assert wandb_run.mode() == "offline"


def test_a_run_is_online_with_a_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert wandb_run.mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_run.mode() == "offline"


def test_a_login_file_counts_for_its_own_server_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine api.wandb.ai\n  login user\n  password " + "0" * 40 + "\n")
    (tmp_path / "netrc").chmod(0o600)
    assert wandb_run.mode() == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert wandb_run.mode() == "offline"


def test_a_damaged_login_file_is_no_login(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine\nmachine\n{")
    assert wandb_run.mode() == "offline"


@pytest.mark.slow
def test_a_run_is_offline_if_the_server_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: nothing listens
    monkeypatch.setattr(wandb_run, "INIT_SECONDS", 5)
    began = time.monotonic()
    run = WandB("ser", group="group").start(tmp_path, "name", {"seed": 0})
    wandb_run.finish_wandb(run, tmp_path)
    assert time.monotonic() - began < 120, "it hung"
    assert "cannot be reached" in caplog.text
    assert offline(tmp_path).run.run_group == "group"


class Notebook(Tracker):
    """A tracker of one's own."""

    def __init__(self, title: str) -> None:
        self.title, self.told = title, [title]

    def results(self, folder: Path) -> None:
        self.told.append(folder.name)


def test_a_custom_tracker_is_a_class_and_its_settings(settings: Settings, tmp_path: Path) -> None:
    logger = {"_target_": f"{__name__}.Notebook", "title": "mine"}
    with tracking.tracked({**settings(), "logger": logger}, tmp_path, "group", "data") as mine:
        mine.results(tmp_path)
    assert isinstance(mine, Notebook)
    assert mine.told == ["mine", tmp_path.name]


@pytest.mark.parametrize(
    ("logger", "words"),
    [
        ({"_target_": "ser.training.tracking.Mlflow"}, "has no Mlflow"),
        ({"_target_": "no_such_package.Tracker"}, "needs the package no_such_package, which is not installed"),
        ({"_target_": "ser.models.cnn.CNN"}, "is not a Tracker"),
        (
            {"_target_": "ser.training.wandb_run.WandB", "project": "x", "artifacts": ["plots"]},
            "split, card, checkpoint; got plots",
        ),
        ({"_target_": "ser.training.wandb_run.WandB", "project": "x", "entitiy": "y"}, "entitiy"),
    ],
)
def test_a_wrong_logger_is_named(settings: Settings, tmp_path: Path, logger: dict[str, Any], words: str) -> None:
    with (
        pytest.raises(ConfigError, match=words),
        tracking.tracked({**settings(), "logger": logger}, tmp_path, "group", "data"),
    ):
        pass


def test_the_default_logger_writes_nothing_without_a_login(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = settings("logger=default")
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it is an error
    with tracking.tracked(default, tmp_path / "run", "group", "data") as tracker:
        assert tracker.loggers(tmp_path / "run", 0, "a hash", ["a stamp"]) == []
        tracker.results(tmp_path / "run")
        tracker.sweep(tmp_path / "run", pd.DataFrame())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("variable", "value"), [("WANDB_API_KEY", "0" * 40), ("WANDB_MODE", "offline")])
def test_the_default_logger_uses_a_key_or_a_mode(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    assert wandb_run.mode(offline=False) == ("online" if variable == "WANDB_API_KEY" else "offline")


def curves(run: Offline, prefix: str = "") -> pd.DataFrame:
    """What a run has of a fold, as the fold's ``metrics.csv`` has it."""
    assert all(run.axes[f"{prefix}{name}"] == f"{prefix}epoch" for name in CURVES)
    return pd.DataFrame({name: run.column(f"{prefix}{name}") for name in ("epoch", *CURVES)})


def assert_whole(run: Offline, folder: Path, prefix: str = "") -> None:
    """Every epoch of a fold once."""
    pd.testing.assert_frame_equal(curves(run, prefix), pd.read_csv(folder / "metrics.csv"))


@pytest.mark.slow
def test_all_folds_are_one_run_with_the_pooled_result_as_summary(settings: Settings) -> None:
    folder = experiment.train(settings("fold=all", "logger=wandb", "logger.artifacts=[split,card,checkpoint]"))
    assert len(list(folder.rglob("*.wandb"))) == 1
    run = offline(folder)
    assert (run.exit_code, run.run.display_name, set(run.run.tags)) == (0, folder.name, {"synthetic speech"})
    for fold in range(3):
        assert_whole(run, folder / f"fold_{fold}", f"fold_{fold}/")
        score = json.loads((folder / f"fold_{fold}" / "metrics.json").read_text())["uar"]
        assert run.summary[f"fold_{fold}/test/uar"] == score
    stored = json.loads((folder / "metrics.json").read_text())
    expected = {name: stored[name] for name in ("uar", "accuracy", "macro_f1", "cross_entropy")}
    expected |= {"folds/uar_mean": stored["folds"]["uar_mean"], "folds/uar_sd": stored["folds"]["uar_sd"]}
    assert {name: run.summary[f"test/{name}"] for name in expected} == expected
    media = ["predictions", "confusion_matrix", *(f"fold_{fold}/training_curves" for fold in range(3))]
    assert [sum(f"{name}/_type" in row for row in run.rows) for name in media] == [1] * 5
    (table,) = run.folder.glob("files/media/table/predictions*.json")
    assert len(json.loads(table.read_text())["data"]) == 36
    assert {"split", "card", "checkpoint"} <= set(run.artifacts)
    assert list(run.config["split_hash"].values()) == list(stored["run"]["splits"].values())


@pytest.mark.slow
def test_the_default_logger_shortens_long_stamps_to_tags(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = experiment.train(settings("logger=default", "protocol=random", "trainer.max_epochs=1"))
    assert max(map(len, RunFolder(folder).about["stamps"])) > 64
    run = offline(folder)
    assert set(run.run.tags) == {"synthetic speech", "not speaker-independent"}
    assert len(list(tmp_path.rglob("*.wandb"))) == 1


@pytest.mark.parametrize("text", ["not tested: " + "an emotion, " * 20, "x" * 65, "word " * 13])
def test_every_tag_fits_into_64_characters(text: str) -> None:
    assert 1 <= len(wandb_run.tag(text)) <= 64


@pytest.mark.slow
def test_the_names_of_a_single_fold_have_no_prefix(settings: Settings) -> None:
    folder = experiment.train(settings("logger=wandb"))
    run = offline(folder)
    assert_whole(run, folder / "fold_0")
    assert run.summary["test/uar"] == json.loads((folder / "metrics.json").read_text())["uar"]
    assert not [name for row in run.rows for name in row if name.startswith("fold_")]


@pytest.mark.slow
def test_logged_settings_do_not_depend_on_the_folder(settings: Settings, tmp_path: Path) -> None:
    runs = []
    for name in ("here", "there"):
        config = settings("logger=wandb", "trainer.max_epochs=1", f"paths.run={tmp_path / name}")
        experiment.train({**config, "ckpt": "last" if name == "there" else None})
        runs.append(offline(tmp_path / name))
    assert runs[0].config == runs[1].config
    assert runs[0].run.run_id != runs[1].run.run_id
    assert str(tmp_path) not in json.dumps(runs[0].config)
    assert runs[0].config["model"]["_target_"] == "ser.models.cnn.CNN"
    assert runs[0].config["fingerprint"]
    other = experiment.train(settings("logger=wandb", "trainer.max_epochs=1", "batch_size=9"))
    differ = {key for key, value in offline(other).config.items() if runs[0].config[key] != value}
    assert differ == {"batch_size"}


@pytest.mark.slow
def test_a_resumed_run_keeps_its_id_and_history(settings: Settings) -> None:
    config = settings("logger=wandb", "trainer.max_epochs=4")
    train_until_the_third_epoch(config)
    (folder,) = Path("runs").iterdir()
    stopped = offline(folder)
    assert (stopped.exit_code, stopped.column("epoch")) == (1, [0, 1])
    experiment.train({**config, "ckpt": "last"})
    run = offline(folder)
    assert (run.exit_code, run.run.run_id) == (0, stopped.run.run_id)
    assert run.column("epoch") == [0, 1, 2, 3]
    assert_whole(run, folder / "fold_0")


@pytest.mark.slow
def test_a_resumed_run_keeps_its_finished_folds(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    config = settings("fold=all", "logger=wandb", "trainer.max_epochs=1")
    train = experiment.fit_fold

    def stop_at_the_last_fold(now: Any, folder: Path, *more: Any) -> None:
        if folder.name == "fold_2":
            raise RunError("stands for whatever ends a process")
        train(now, folder, *more)

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "fit_fold", stop_at_the_last_fold)
        with pytest.raises(RunError):
            experiment.train(config)
    (folder,) = Path("runs").iterdir()
    before = offline(folder).run.run_id
    for _ in range(2):
        experiment.train({**config, "ckpt": "last"})
        run = offline(folder)
        assert run.run.run_id == before
        for fold in range(3):
            assert_whole(run, folder / f"fold_{fold}", f"fold_{fold}/")
        assert {f"fold_{fold}/test/uar" for fold in range(3)} | {"test/uar"} <= set(run.summary)


@pytest.mark.slow
def test_a_killed_run_resumes_under_the_same_id(settings: Settings, tiny_demo: Path, stores: Path) -> None:
    """SIGKILL: what W&B had not written yet is lost, and a file that is cut short would stop `wandb sync`."""
    command = [sys.executable, "-m", "ser.train", f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}"]
    command += ["protocol.folds=3", "trainer.max_epochs=6", "batch_size=8", "trainer.accelerator=cpu"]
    command += ["callbacks.early_stopping=null", "trainer.enable_progress_bar=false", "paths.run=run", "logger=wandb"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not Path("run/fold_0/checkpoints/last.ckpt").exists():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    known = json.loads(Path("run/wandb_run.json").read_text())["id"]
    done = forked.run([*command[2:], "ckpt=last"], Path.cwd(), os.environ)
    assert done.returncode == 0, done.stderr
    run = offline(Path("run"))
    assert (run.run.run_id, run.exit_code) == (known, 0)
    assert_whole(run, Path("run/fold_0"))


@pytest.mark.slow
def test_a_run_of_an_agent_has_the_id_of_the_agent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "agents01")
    run = WandB("ser").start(tmp_path, "name", {})
    wandb_run.finish_wandb(run, tmp_path)
    assert offline(tmp_path).run.run_id == "agents01"
