"""`Sweep`: launch the jobs that are not done, watch them, and report them together."""

import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from rich.console import Console

from ser.comparison.report import Report
from ser.errors import SerError
from ser.protocols.plan import data_fingerprint, prepared
from ser.report.format import duration
from ser.runtime.composition import check, quoted
from ser.runtime.files import write_json
from ser.runtime.instantiate import instantiate
from ser.runtime.words import counted
from ser.sweeps import job, names
from ser.sweeps.board import POLL_SECONDS, Board, first_line, watched, where_time_went
from ser.training.experiment import settings_of
from ser.training.tracking import Tracker

SAID: Mapping[job.State, str] = {
    "done": "done already",
    "failed": "failed before",
    "interrupted": "interrupted",
    "running": "running elsewhere",
}
UNSAID: Mapping[job.State, str] = {
    "waiting": "it has not begun",
    "running": "another process runs it",
    "interrupted": "its process died",
}
"""Why a job is not done, where its record gives no reason."""
DEATHS = 2
"""How often the process of a job may die before the sweep gives the job up."""


class Planned(NamedTuple):
    """A job before it is launched.

    Attributes:
        data: Fingerprint of its recordings; empty where they are not available.
        test: Whether it scores its test speakers.
        latency: Whether it times its model.
    """

    folder: Path
    overrides: tuple[str, ...]
    data: str
    test: bool
    latency: bool

    @property
    def state(self) -> job.State:
        """The state of the job on the present recordings."""
        return job.state_of(self.folder, self.data, test=self.test, latency=self.latency)


class Sweep:
    """The jobs of one command."""

    def __init__(self, config: DictConfig, hydra_context: HydraContext, launcher: Launcher) -> None:
        self.config, self.loader, self.launcher = config, hydra_context.config_loader, launcher
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()
        with read_write(config), open_dict(config):  # jobs are composed anew, each by its own overrides
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(self.folder))}")
            config.hydra.sweep.dir = str(self.folder)
        self.command = names.jobs_command(config.hydra.overrides.task)
        self.console = Console(stderr=True)
        self.planned: list[Planned] = []
        self._data: dict[str, str] = {}

    def plan(self, batch: Sequence[Sequence[str]]) -> list[Planned]:
        """Compose jobs, and prepare the recordings that they share, once.

        Returns:
            One plan for each, the same for the same configuration. ``sweep.json`` lists them, and the jobs of other commands
            with this folder.
        """
        plans = [self._compose(overrides) for overrides in batch]
        if not self.planned:
            self._say_what_starts_anew(plans)
        self.planned = list({plan.folder: plan for plan in (*self.planned, *plans)}.values())
        jobs = {plan.folder.name: list(plan.overrides) for plan in self.planned}
        others = [each for each in names.commands_of(self.folder) if each["command"] != self.command]
        write_json([*others, {"command": self.command, "jobs": jobs}], self.folder / names.JOBS)
        return plans

    def launch(self, plans: Sequence[Planned], heading: str = "Sweep") -> Sequence[JobReturn]:
        """Run the jobs that are not done, and watch them. A job whose process dies is launched once more."""
        jobs = list({plan.folder: plan for plan in plans}.values())
        states = {plan.folder: plan.state for plan in jobs}
        done = [plan.folder for plan in jobs if states[plan.folder] == "done"]
        todo = [plan for plan in jobs if states[plan.folder] not in ("done", "running")]
        board = Board([plan.folder for plan in jobs], before=done)
        self._say_what_is_there(heading, states)
        returns: list[JobReturn] = []
        stopped = False
        with watched(board, self.console):
            for _ in range(DEATHS):
                if not todo:
                    break
                try:
                    returns += self.launcher.launch([list(plan.overrides) for plan in todo], initial_job_idx=0)
                except Exception as error:  # of the launcher: those of jobs are in what it returns
                    self.say(f"The launcher stopped: {type(error).__name__}: {first_line(str(error))}")
                    stopped = True
                while stopped and any(plan.state == "running" for plan in todo):  # a cluster goes on without it
                    time.sleep(POLL_SECONDS)
                todo = [plan for plan in todo if plan.state in ("waiting", "interrupted")]
        return returns

    def finish(self) -> None:
        """Print the outcome of every job, and write the sweep's report; exit with 1 if a job is not done."""
        records = {plan.folder: job.read_record(plan.folder) for plan in self.planned}
        done = [plan.folder for plan in self.planned if plan.state == "done"]
        for plan in self.planned:
            if plan.folder not in done:
                reason = first_line(records[plan.folder].reason) or UNSAID.get(plan.state, plan.state)
                self.say(f"Not done: {plan.folder.name}: {reason}")
                self.say(f"  {' '.join(plan.overrides)}")
        total = duration(sum(records[folder].seconds for folder in done))
        self.say(f"{len(done)} of {len(self.planned)} jobs are done, in {total}: {self.folder}")
        if spent := where_time_went([records[folder] for folder in done]):
            self.console.print(spent)
        if done:
            self.report([*done, *self._of_others()])
        if len(done) < len(self.planned):
            sys.exit(1)

    def report(self, runs: Sequence[Path]) -> None:
        """Write the report that ``sweep.report`` names."""
        if self.config.sweep.report is not None:
            report = instantiate(OmegaConf.to_container(self.config.sweep.report, resolve=True), Report)  # type: ignore[arg-type]
            report.write(self.folder, runs)
        logger = OmegaConf.to_container(self.config.logger, resolve=True)
        instantiate(logger, Tracker).sweep(self.folder, self.table())  # type: ignore[arg-type]

    def table(self) -> pd.DataFrame:
        """Return the outcome of every job, one a row."""
        rows = []
        for plan in self.planned:
            record = job.read_record(plan.folder)
            known = {"job": plan.folder.name, "state": record.state, "attempts": len(record.attempts)}
            measure = record.measure
            known |= {"seconds": record.seconds, measure.dev: record.dev_score}
            known |= {measure.key: getattr(record, measure.key)}
            rows.append({**known, "reason": first_line(record.reason), "overrides": " ".join(plan.overrides)})
        return pd.DataFrame(rows)

    def _of_others(self) -> list[Path]:
        """Return the finished jobs of other commands with this folder."""
        mine = {plan.folder.name for plan in self.planned}
        theirs = {name for each in names.commands_of(self.folder) for name in each["jobs"]} - mine
        return [self.folder / name for name in sorted(theirs) if job.read_record(self.folder / name).state == "done"]

    def settings(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Return the plain settings of a job with these overrides."""
        composed = self._composed(overrides)
        task = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
        return settings_of(task)

    def _composed(self, overrides: Sequence[str]) -> DictConfig:
        composed = self.loader.load_sweep_config(self.config, list(overrides))
        check(composed, "train", overrides)
        return composed

    def _compose(self, overrides: Sequence[str]) -> Planned:
        composed = self._composed(overrides)
        folder = self.folder / str(OmegaConf.select(composed, "hydra.sweep.subdir"))
        scored = bool(composed.test), bool(composed.sweep.latency)
        return Planned(folder, tuple(overrides), self._fingerprint(composed), *scored)

    def _fingerprint(self, config: DictConfig) -> str:
        """Return the fingerprint of a job's recordings; empty where they are not available, which the job itself reports."""
        parts = {key: OmegaConf.to_container(config[key], resolve=True) for key in ("data", "audio", "paths")}
        settings: dict[str, Any] = {**parts, "strict": config.strict}
        key = repr(settings)
        if key not in self._data:
            try:
                self._data[key] = data_fingerprint(prepared(settings).values())
            except SerError:
                self._data[key] = ""
        return self._data[key]

    def _say_what_starts_anew(self, plans: Sequence[Planned]) -> None:
        """Name what an earlier version has run of this command, whose folders or settings had other names."""
        if self.folder.name == (name := names.sweep_name(self.command)):
            same = sorted(self.folder.parent.glob(f"*-{name.rpartition('-')[2]}/{names.JOBS}"))
            for file in same:
                if file.parent != self.folder:
                    self.say(f"An earlier version ran this command in {file.parent}, which is left as it is.")
        now = {plan.folder.name: list(plan.overrides) for plan in plans}
        known = [each["jobs"] for each in names.commands_of(self.folder) if each["command"] == self.command]
        renamed = [name for jobs in known for name, its in jobs.items() if name not in now and its in now.values()]
        if renamed:
            count = counted(len(renamed), "job")
            self.say(
                f"The defaults of {count} have changed, as of {renamed[0]}: starting anew; the old folders are kept."
            )

    def _say_what_is_there(self, heading: str, states: Mapping[Path, job.State]) -> None:
        there = Counter(SAID[state] for state in states.values() if state in SAID)
        known = ", ".join(f"{count} {said}" for said, count in there.items())
        count = counted(len(states), "job")
        self.say(f"{heading}: {count}{f' ({known})' if known else ''}, in {self.folder}")

    def say(self, text: str) -> None:
        """Print a line for whoever watches."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)
