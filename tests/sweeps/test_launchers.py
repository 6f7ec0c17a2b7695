"""The same sweep here, in processes of joblib, under submitit and on a one-node Ray: the same jobs, the same numbers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf

from ser import command
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.runtime.conf_dir import conf_dir
from ser.sweeps import job

Launched = Callable[..., "tuple[dict[str, Path], str]"]


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory, stores: Path, tiny_demo: Path) -> Launched:
    """Run the sweep in a folder of its own; return its finished jobs by name, and what it printed."""

    def run(*arguments: str) -> tuple[dict[str, Path], str]:
        home = tmp_path_factory.mktemp("launched")
        small = ["protocol.folds=3", "trainer.max_epochs=1", "batch_size=8", "trainer.accelerator=cpu", "logger=csv"]
        where = [f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}", "sweep.report=null"]
        line = [sys.executable, "-m", "ser.train", "-m", *small, *where, "fold=0,9", *arguments]
        variables = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
        variables["RAY_worker_niceness"] = "0"  # its own is 15, which waits for every other test
        with subprocess.Popen(line, cwd=home, env=variables, stderr=subprocess.PIPE, text=True) as process:
            _, said = process.communicate()
        assert process.returncode == 1, said  # there is no fold 9
        assert "Traceback" not in said
        (sweep,) = (home / "multirun").iterdir()
        jobs = {path.parent.name: path.parent for path in sweep.glob("*/metrics.json")}
        trained_by = {attempt["pid"] for folder in jobs.values() for attempt in job.read_record(folder).attempts}
        assert (process.pid in trained_by) == (not arguments), "a launcher's jobs have processes of their own"
        return jobs, said

    return run


@pytest.fixture(scope="module")
def here(launched: Launched) -> dict[str, Path]:
    """The sweep in one process, job after job."""
    return launched()[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "options"),
    [
        ("joblib", ["hydra.launcher.n_jobs=2"]),
        ("submitit", []),
        ("ray", ["hydra.launcher.ray.init.num_cpus=2"]),
    ],
)
def test_every_launcher_gives_the_numbers_of_one_process(
    launched: Launched, here: dict[str, Path], launcher: str, options: list[str]
) -> None:
    pytest.importorskip(launcher)
    jobs, said = launched(f"launcher={launcher}", *options)
    assert jobs.keys() == here.keys()
    for name, folder in jobs.items():
        one, other = (predictions.read_predictions(path / "predictions.parquet") for path in (here[name], folder))
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        assert json.loads((folder / "metrics.json").read_text())["uar"] == job.read_record(folder).uar
    assert "1 of 2 jobs are done" in said
    assert "for protocol=speaker_cv (changed) on this data; got 9" in said


@pytest.mark.parametrize("file", sorted((Path(conf_dir()) / "launcher").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_launcher_s_file_names_an_engine(file: Path) -> None:
    assert OmegaConf.load(file)["defaults"][0]["override /hydra/launcher"]
    assert file.read_text().count("python -m") <= 1


@pytest.mark.parametrize(
    ("launcher", "extra"), [("joblib", "joblib"), ("slurm", "slurm"), ("submitit", "slurm"), ("ray", "ray")]
)
def test_a_launcher_that_is_not_installed_asks_for_its_package(
    monkeypatch: pytest.MonkeyPatch, launcher: str, extra: str
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=rf"launcher={launcher} needs a package that is not installed: pip install 'ser\[{extra}\]'"
    ):
        command.check_launcher(["-m", "fold=0,1", f"launcher={launcher}"])
    command.check_launcher(["-m", "fold=0,1"])


def test_each_launcher_names_its_package() -> None:
    assert {file.stem for file in (Path(conf_dir()) / "launcher").glob("*.yaml")} == set(command.LAUNCHERS)
    for package in set(command.LAUNCHERS.values()):
        pytest.importorskip(f"hydra_plugins.hydra_{package}_launcher")
