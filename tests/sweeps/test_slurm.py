"""A sweep on a SLURM cluster of one node, two jobs at a time: one is preempted, one killed, one fails."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from ser.evaluation import predictions
from ser.sweeps import job
from tests import forked
from tests.sweeps.cluster import ask, cluster, missing, until

pytest.importorskip("submitit")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"not installed, of SLURM: {missing()} (apt install slurm-wlm)"),
]
SMALL = ("protocol.folds=3", "trainer.max_epochs=24", "batch_size=8", "trainer.accelerator=cpu", "logger=csv")
SLURM = ("gpus_per_node=null", "cpus_per_task=1", "mem_gb=null", "array_parallelism=2")


class Swept(NamedTuple):
    """A sweep's jobs by their fold, what it said, and its exit code."""

    jobs: Mapping[int, Path]
    said: str
    code: int


def _begin(home: Path, *arguments: str, env: Mapping[str, str]) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "ser.train", "-m", *SMALL, "sweep.report=null", *arguments]
    env = {**env, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(line, cwd=home, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _job(home: Path, fold: int) -> Path | None:
    return next(home.glob(f"multirun/*/*-fold{fold}-*"), None)


def _epochs(home: Path, fold: int) -> int:
    file = (_job(home, fold) or home) / f"fold_{fold}" / "metrics.csv"
    return len(file.read_text().splitlines()) - 1 if file.exists() else 0


def _end(home: Path, process: "subprocess.Popen[str]") -> Swept:
    said = process.communicate(timeout=300)[1]
    return _swept(home, said, process.returncode)


def _swept(home: Path, said: str, code: int) -> Swept:
    jobs = {fold: folder for fold in (0, 1, 9) if (folder := _job(home, fold))}
    return Swept(jobs, said, code)


@pytest.fixture(scope="module")
def where(stores: Path, tiny_demo: Path) -> list[str]:
    return [f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}"]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, where: list[str]) -> Swept:
    """The jobs that do not fail, in one process."""
    home = tmp_path_factory.mktemp("here")
    line = ["ser.train", "-m", *SMALL, "sweep.report=null", *where, "fold=0,1"]
    done = forked.run(line, home, {**os.environ, "OMP_NUM_THREADS": "1"})
    return _swept(home, done.stderr, done.returncode)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, where: list[str]) -> Swept:
    """The sweep on the cluster, which wants back the node of fold 0; the process of fold 1 is killed."""
    home = tmp_path_factory.mktemp("cluster")
    launcher = [f"hydra.launcher.{each}" for each in SLURM]
    with cluster() as env:
        process = _begin(home, *where, "fold=0,1,9", "launcher=slurm", *launcher, env=env)
        until(lambda: _epochs(home, 1) > 1 or process.poll() is not None, 120)
        os.kill(job.read_record(_job(home, 1) or home).attempts[-1]["pid"], signal.SIGKILL)
        until(lambda: _epochs(home, 0) > 1, 120)
        (preempted,) = (name for name in ask(env, "squeue", "--array", "-h", "-o", "%i").split() if name.endswith("_0"))
        ask(env, "scancel", "--signal=TERM", preempted)  # what a cluster sends first, which is to stop nothing
        epochs = _epochs(home, 0)
        until(lambda: _epochs(home, 0) > epochs, 60)
        ask(env, "scancel", "--signal=USR2", preempted)
        return _end(home, process)


@pytest.mark.parametrize("fold", [0, 1])
def test_resumed_job_has_the_numbers_of_an_uninterrupted_one(swept: Swept, here: Swept, fold: int) -> None:
    one, other = (predictions.read_predictions(each.jobs[fold] / "predictions.parquet") for each in (here, swept))
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert len(job.read_record(swept.jobs[fold]).attempts) == 2
    log = (swept.jobs[fold] / "run.log").read_text()
    assert log.count("No checkpoint in") == 1, "the second attempt found one"


def test_job_record_states_why_it_stopped(swept: Swept) -> None:
    assert job.read_record(swept.jobs[0]).attempts[0]["reason"] == "stopped by its cluster"
    assert "ended" not in job.read_record(swept.jobs[1]).attempts[0], "nobody could write it"


def test_a_job_that_fails_stops_no_other(swept: Swept) -> None:
    assert swept.code == 1
    assert job.read_record(swept.jobs[9]).state == "failed"
    assert "2 of 3 jobs are done" in swept.said
    assert swept.said.count("for protocol=speaker_cv (changed) on this data; got 9") == 2, (
        "when it fails, and at the end"
    )
    assert "Traceback" not in swept.said


def test_srun_starts_the_processes_of_one_training(tmp_path: Path, where: list[str]) -> None:
    shared = ["trainer=ddp", "trainer.devices=2", *SMALL, "trainer.max_epochs=2", *where]
    line = [sys.executable, "-m", "ser.train", *shared]
    tables = []
    with cluster() as env:
        for name, command in (("here", line), ("srun", ["srun", "--ntasks-per-node=2", "--kill-on-bad-exit", *line])):
            done = subprocess.run(
                [*command, f"paths.run={tmp_path / name}"], env=env, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.count("Run folder: ") == 2, "one of them speaks, when it begins and at its end"
            tables.append(predictions.read_predictions(tmp_path / name / "predictions.parquet"))
    probabilities = [table.filter(like=predictions.PREFIX).to_numpy() for table in tables]
    np.testing.assert_allclose(*probabilities, atol=1e-5)  # a process of srun may have another number of threads
