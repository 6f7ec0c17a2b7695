"""The same command again runs what is missing, failed, stopped or changed, and nothing else."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from filelock import FileLock

from ser.sweeps import job
from ser.sweeps.names import commands_of
from ser.sweeps.sweep import DEATHS
from tests.sweeps.conftest import Begun, record

Sweep = Callable[..., int]
Folder = Callable[[], Path]


def seeds(begun: Begun) -> list[int]:
    return [settings["seed"] for settings in begun]


def jobs(folder: Path) -> dict[int, Path]:
    """By seed."""
    return {int(file.parent.name.split("-seed")[1].split("-")[0]): file.parent for file in folder.glob("*/job.json")}


@pytest.mark.slow
def test_every_combination_runs_once_and_none_again(sweep: Sweep, begun: Begun, folder: Folder) -> None:
    assert sweep("seed=0,1", "model=cnn,bilstm") == 0
    assert sorted((s["seed"], s["model"]["_target_"].split(".")[-1]) for s in begun) == [
        (0, "BiLSTM"), (0, "CNN"), (1, "BiLSTM"), (1, "CNN")
    ]  # fmt: skip
    assert all(settings["ckpt"] == "last" for settings in begun)
    assert sweep("model=cnn,bilstm", "seed=0,1") == 0, "the order of overrides is nothing"
    assert len(begun) == 4
    (command,) = commands_of(folder())
    assert set(command["jobs"]) == {path.name for path in folder().iterdir() if path.is_dir()}
    for path in folder().glob("*/job.json"):
        known = json.loads(path.read_text())
        assert known["state"] == "done"
        assert len(known["attempts"]) == 1
        assert known["dev_uar"] == pytest.approx(0.1 + (0.1 if "-seed1-" in path.parent.name else 0))


@pytest.mark.slow
def test_a_job_that_fails_is_kept_with_its_reason_and_tried_again(
    sweep: Sweep, begun: Begun, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=666,0,777") == 1
    assert seeds(begun) == [666, 0, 777], "one failure does not stop the others"
    error = capsys.readouterr().err
    assert [line[:12] for line in error.splitlines() if line.startswith("[")] == [
        "[1/3] failed", "[2/3] done  ", "[3/3] failed"
    ]  # fmt: skip
    assert "Seed 666 is refused." in error
    assert "ZeroDivisionError: float division by zero" in error
    assert "1 of 3 jobs are done" in error
    assert "Where the time" not in error, "a training that counts nothing has no table"
    assert "Traceback" not in error
    found = {seed: job.read_record(path) for seed, path in jobs(folder()).items()}
    assert {seed: known.state for seed, known in found.items()} == {666: "failed", 0: "done", 777: "failed"}
    assert found[666].reason == "Seed 666 is refused.\nTake another."
    assert sweep("seed=666,0,777") == 1
    assert seeds(begun) == [666, 0, 777, 666, 777]
    assert len(job.read_record(jobs(folder())[666]).attempts) == 2


@pytest.mark.slow
def test_ctrl_c_stops_the_sweep_and_the_same_command_resumes_it(
    sweep: Sweep, begun: Begun, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=0,888,1") == 130
    assert seeds(begun) == [0, 888]
    assert "Resume with the same command." in capsys.readouterr().err
    assert job.read_record(jobs(folder())[888]).state == "interrupted"
    assert sweep("seed=0,888,1") == 130
    assert seeds(begun) == [0, 888, 888]
    assert "1 done already, 1 interrupted" in capsys.readouterr().err


def test_a_killed_job_is_run_again(sweep: Sweep, begun: Begun, folder: Folder) -> None:
    assert sweep("seed=0,1") == 0
    there = jobs(folder())
    known = json.loads((there[1] / "job.json").read_text())
    record(there[1], **{**known, "state": "running"})
    shutil.rmtree(there[1] / "fold_0")
    (there[1] / "metrics.json").unlink()
    assert sweep("seed=0,1") == 0
    assert seeds(begun) == [0, 1, 1]
    assert len(job.read_record(there[1]).attempts) == 2


def test_a_job_whose_model_was_not_timed_is_timed_when_that_is_asked(
    sweep: Sweep, begun: Begun, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser.inference.latency.latency", lambda checkpoint: 0.25)
    assert sweep("seed=0") == 0
    for _ in range(2):
        assert sweep("seed=0", "sweep.latency=true") == 0
    assert job.read_record(jobs(folder())[0]).latency == 0.25
    assert seeds(begun) == [0, 0], "once more, which leaves a finished run as it is"


def test_invalid_job_record_is_reported_in_a_sentence(
    sweep: Sweep, begun: Begun, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=0") == 0
    file = jobs(folder())[0] / "job.json"
    file.write_text("{")
    assert sweep("seed=0") == 2
    assert f"{file} is not the record of a job. Delete it" in capsys.readouterr().err
    file.unlink()
    assert sweep("seed=0") == 0
    assert seeds(begun) == [0, 0]


def test_a_job_that_another_process_runs_is_left_to_it(
    sweep: Sweep, begun: Begun, folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("seed=0,1") == 0
    path = jobs(folder())[1]
    known = json.loads((path / "job.json").read_text())
    record(path, **{**known, "state": "running"})
    hold = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()"
    line = [sys.executable, "-c", hold, str(path / job.LOCK)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert sweep("seed=0,1") == 1, "not done yet"
        other.communicate("")
    assert seeds(begun) == [0, 1]
    said = capsys.readouterr().err
    assert "1 running elsewhere" in said
    assert f"Not done: {path.name}: another process runs it" in said


def test_other_recordings_put_a_job_aside_and_run_it_again(
    sweep: Sweep, begun: Begun, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep("seed=0,1") == 0
    path = jobs(folder())[1]
    known = json.loads((path / "job.json").read_text())
    record(path, **{**known, "fingerprint": "of other recordings"})
    assert sweep("seed=0,1") == 0
    assert seeds(begun) == [0, 1, 1]
    assert job.read_record(path).fingerprint == known["fingerprint"]
    (aside,) = (folder() / job.REPLACED).iterdir()
    assert json.loads((aside / "job.json").read_text())["fingerprint"] == "of other recordings"
    assert (aside / "metrics.json").exists()


def test_deleted_results_are_had_again(sweep: Sweep, begun: Begun, folder: Folder) -> None:
    assert sweep("seed=0,1") == 0
    shutil.rmtree(jobs(folder())[0])
    assert sweep("seed=0,1") == 0
    assert seeds(begun) == [0, 1, 0]


@pytest.mark.slow
def test_sweep_resumes_from_its_folder_and_accepts_more_jobs(sweep: Sweep, begun: Begun, folder: Folder) -> None:
    assert sweep("seed=0,1", "batch_size=8") == 0
    assert sweep(f"sweep.resume={folder()}") == 0
    assert seeds(begun) == [0, 1]
    assert sweep(f"sweep.resume={folder()}", "seed=0,1,2") == 0
    assert seeds(begun) == [0, 1, 2]
    assert begun[2]["batch_size"] == 8
    assert [len(each["jobs"]) for each in commands_of(folder())] == [2, 3]


def test_resume_refuses_a_folder_without_a_sweep(
    sweep: Sweep, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep(f"sweep.resume={tmp_path}") == 2
    assert "sweep.resume must be the folder of a sweep; got" in capsys.readouterr().err


@pytest.mark.slow
def test_where_a_sweep_runs_and_logs_does_not_make_it_another(sweep: Sweep, begun: Begun, folder: Folder) -> None:
    assert sweep("seed=0,1") == 0
    assert sweep("seed=0,1", "logger=wandb", "workers=0", "hydra.job.chdir=false") == 0
    assert len(begun) == 2
    assert folder().name.endswith(folder().name.rpartition("-")[2])


def test_one_job_for_the_same_settings_said_twice(sweep: Sweep, begun: Begun) -> None:
    assert sweep("seed=0,0", "batch_size=32,32") == 0
    assert len(begun) == 1


def test_a_launcher_whose_worker_dies_is_started_again(
    sweep: Sweep, begun: Begun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As joblib's is, which stops the whole sweep when the system kills one of its processes."""
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    launch, deaths = BasicLauncher.launch, []

    def dying(launcher: Any, overrides: list[list[str]], initial_job_idx: int) -> Any:
        if len(deaths) < DEATHS - 1:
            deaths.append(launch(launcher, overrides[:1], initial_job_idx))
            raise RuntimeError("A worker process was terminated.")
        return launch(launcher, overrides, initial_job_idx)

    monkeypatch.setattr(BasicLauncher, "launch", dying)
    assert sweep("seed=0,1,2") == 0
    assert seeds(begun) == [0, 1, 2]
    assert "A worker process was terminated." in capsys.readouterr().err


@pytest.mark.slow
def test_sweep_waits_for_jobs_that_outlive_their_launcher(
    sweep: Sweep, begun: Begun, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the jobs of a cluster's array do, when the process of one of them dies."""
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    launch, held = BasicLauncher.launch, []

    def stopping(launcher: Any, overrides: list[list[str]], initial_job_idx: int) -> Any:
        launch(launcher, overrides, initial_job_idx)
        path = jobs(folder())[1]
        done = json.loads((path / "job.json").read_text())
        record(path, **{**done, "state": "running"})
        held.append(FileLock(path / job.LOCK, thread_local=False))
        held[0].acquire()

        def end() -> None:
            record(path, **done)
            held[0].release()

        Timer(1.5, end).start()
        raise RuntimeError("A job has died.")

    monkeypatch.setattr(BasicLauncher, "launch", stopping)
    assert sweep("seed=0,1") == 0
    assert seeds(begun) == [0, 1]
    assert not held[0].is_locked


@pytest.mark.slow
def test_an_absent_corpus_fails_its_own_jobs(sweep: Sweep, begun: Begun, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("data=demo,crema", "paths.corpora=/nowhere") == 1
    assert [list(settings["data"]["corpora"]) for settings in begun] == [["demo"]]
    assert "CREMA-D is not at /nowhere/crema" in capsys.readouterr().err


def test_the_report_has_the_finished_jobs(sweep: Sweep, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("seed=0,666", report="{_target_: tests.sweeps.reports.Names}") == 1
    (line,) = (folder() / "names.txt").read_text().splitlines()
    assert "-seed0-" in line


def test_a_sweep_is_planned_and_watched_without_torch() -> None:
    modules = "ser.sweeps.sweep ser.sweeps.search hydra_plugins.ser_sweepers.grid hydra_plugins.ser_sweepers.search"
    code = f"""
import importlib, sys
for module in {modules.split()}:
    importlib.import_module(module)
print(sorted({{"torch", "lightning", "optuna", "pandas"}} & set(sys.modules)))
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() in ("[]", "['pandas']")
