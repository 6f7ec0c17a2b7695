"""Sweeps whose jobs take no time: a training that writes what a sweep reads of one."""

import copy
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ser.errors import ConfigError
from ser.sweeps import job
from ser.sweeps.names import JOBS
from ser.train import main

Begun = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def quick_composition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose the same overrides once; a sweep does for its plan, for its launcher and when it is repeated."""
    composed: dict[Any, DictConfig] = {}
    compose = ConfigLoaderImpl.load_configuration

    def once(self: ConfigLoaderImpl, config_name: str, overrides: list[str], *rest: Any, **named: Any) -> DictConfig:
        key = (Path.cwd(), config_name, *overrides, *rest, *sorted(named.items()))
        if key not in composed:
            composed[key] = compose(self, config_name, overrides, *rest, **named)
        return copy.deepcopy(composed[key])

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", once)


@pytest.fixture
def dev_uar_of() -> Callable[[Mapping[str, Any]], float]:
    """The UAR on dev speakers of a training that takes no time, from its settings."""
    return lambda settings: 0.1 + settings["seed"] / 10


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, dev_uar_of: Callable[[Mapping[str, Any]], float]) -> Begun:
    """The settings of the trainings that began; ``seed=666`` fails, ``seed=777`` fails otherwise, ``seed=888`` is stopped."""
    seen: Begun = []

    def trained(settings: dict[str, Any], *, terminal: bool) -> Path:
        seen.append(settings)
        folder = Path(settings["paths"]["run"])
        assert json.loads((folder / job.RECORD).read_text())["state"] == "running"
        if settings["seed"] == 666:
            raise ConfigError("Seed 666 is refused.\nTake another.")
        if settings["seed"] == 777:
            raise ZeroDivisionError("float division by zero")
        if settings["seed"] == 888:
            raise KeyboardInterrupt
        (folder / "fold_0").mkdir(exist_ok=True)
        about = {"dev_uar": dev_uar_of(settings), "parameters": 7}
        (folder / "fold_0" / "dev_metrics.json").write_text(json.dumps({"uar": 0.5, "run": about}))
        if settings["test"]:
            (folder / "metrics.json").write_text(
                json.dumps(
                    {
                        "uar": 0.4 - settings["seed"] / 10,
                        "uar_interval": {"low": None, "caution": None},
                        "run": {"stamps": []},
                    }
                )
            )
        return folder

    monkeypatch.setattr(job, "train", trained)
    return seen


@pytest.fixture
def sweep(
    tmp_path: Path, stores: Path, tiny_demo: Path, monkeypatch: pytest.MonkeyPatch, begun: Begun
) -> Iterator[Callable[..., int]]:
    """``sweep("seed=0,1")``: the command in this process, with no report; its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SER_STORES", str(stores))

    def run(*arguments: str, report: str = "null") -> int:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        resumed = any(argument.startswith("sweep.resume") for argument in arguments)
        tiny = [] if any(a.startswith("data=") for a in arguments) else [f"+data.corpora.demo.root={tiny_demo}"]
        command = [] if resumed else ["-m", *tiny, "fold=all", "logger=csv"]
        line = ["train", *command, f"sweep.report={report}", *arguments]
        monkeypatch.setattr(sys, "argv", line)
        try:
            main()
        except SystemExit as left:
            return int(left.code or 0)
        return 0

    yield run
    GlobalHydra.instance().clear()


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[], Path]:
    """The folder of the only sweep."""

    def only() -> Path:
        (found,) = (file.parent for file in tmp_path.glob(f"multirun/*/{JOBS}"))
        return found

    return only


def record(folder: Path, **known: Any) -> Mapping[str, Any]:
    """Write a job's record as another process would have left it."""
    attempt = {"began": time.time() - 60, "host": "elsewhere", "pid": 1}
    whole = {
        "state": "waiting",
        "overrides": [],
        "fingerprint": "",
        "attempts": [attempt],
        "uar": None,
        "dev_uar": None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / job.RECORD).write_text(json.dumps(whole | known))
    return whole | known
