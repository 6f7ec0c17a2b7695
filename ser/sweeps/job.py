"""A job of a sweep: one training, and its outcome in the file ``job.json`` of its folder.

A job runs where its launcher puts it: in this process, in another one, on another machine. A sweep knows a job only by that
file and the files of its run, so every launcher is watched, resumed and reported in the same way.
"""

import json
import logging
import os
import shutil
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from ser.errors import ConfigError, PrunedError, RunError, SerError
from ser.evaluation.measure import CLASSES, NUMBERS, Measure, measure_in
from ser.evaluation.summary import read_metrics
from ser.protocols.plan import data_fingerprint, prepared
from ser.report.format import writer
from ser.runs.folder import BEST, DEV_METRICS, METRICS
from ser.runtime import distributed, phases
from ser.runtime.devices import take_gpu
from ser.runtime.files import write_json
from ser.training import out_of_memory
from ser.training.experiment import settings_of, train

log = logging.getLogger(__name__)

State = Literal["waiting", "running", "interrupted", "failed", "pruned", "done"]
RECORD, LOCK = "job.json", ".lock"
CLAIM_SECONDS = 5.0
"""Longer than a process holds a job only to find out whether it is held."""
MEMBER = (
    "A sweep must be one process; got several, as torchrun and srun start them for one training. Start one: its jobs start "
    "their own processes with -m trainer=ddp, on SLURM with hydra.launcher.tasks_per_node=1."
)
REPLACED = "replaced"
"""Below a sweep's folder: runs on recordings that have changed since."""


@dataclass(frozen=True)
class Record:
    """The record of a job.

    Attributes:
        state: The outcome of its last attempt; also ``running`` where the process was killed (see `state_of`).
        attempts: ``began`` and ``ended`` in seconds since 1970, ``host``, ``pid``; ``reason`` of one that failed, ``seconds``
            by phase (`ser.runtime.phases`) of one that did not.
        uar, ccc: UAR of the test speakers, or CCC where they are scored by numbers, once it is done.
        dev_uar, dev_ccc: The same of the dev speakers at the chosen epochs, the mean over folds.
        latency: Seconds that its model takes for three seconds of speech, where a search needs it.
    """

    state: State = "waiting"
    overrides: tuple[str, ...] = ()
    fingerprint: str = ""
    attempts: tuple[Mapping[str, Any], ...] = ()
    uar: float | None = None
    dev_uar: float | None = None
    parameters: int | None = None
    latency: float | None = None
    ccc: float | None = None
    dev_ccc: float | None = None

    @property
    def measure(self) -> Measure:
        """What it is scored by."""
        return CLASSES if self.dev_ccc is None else NUMBERS

    @property
    def dev_score(self) -> float | None:
        """The score of the dev speakers, by which jobs are compared; ``None`` before it is done."""
        score: float | None = getattr(self, self.measure.dev)
        return score

    @property
    def dev_text(self) -> str:
        """The score of the dev speakers in words."""
        return f"dev {self.measure.name} {writer(self.measure)(self.dev_score)}"

    @property
    def reason(self) -> str | None:
        """Why the last attempt failed."""
        return self.attempts[-1].get("reason") if self.attempts else None

    def begun(self, overrides: tuple[str, ...]) -> "Record":
        """Return the record with another attempt, by this process."""
        attempt = {"began": time.time(), "host": socket.gethostname(), "pid": os.getpid()}
        return replace(self, state="running", overrides=overrides, attempts=(*self.attempts, attempt))

    def ended(
        self, state: State, reason: str | None = None, phases: Mapping[str, float] | None = None, **more: Any
    ) -> "Record":
        """Return the record with the end of the last attempt."""
        last = {**self.attempts[-1], "ended": time.time()} | ({} if reason is None else {"reason": reason})
        if phases is not None:
            last["seconds"] = {name: round(spent, 3) for name, spent in phases.items()}
        return replace(self, state=state, attempts=(*self.attempts[:-1], last), **more)

    @property
    def seconds(self) -> float:
        """The duration of its attempts, without those that were killed."""
        return sum(float(attempt["ended"] - attempt["began"]) for attempt in self.attempts if attempt.get("ended"))


def read_record(folder: Path) -> Record:
    """Return the record in a job's folder; an empty one where the job has not begun.

    Raises:
        RunError: If the file holds something else.
    """
    try:
        known = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return Record(**{**known, "overrides": tuple(known["overrides"]), "attempts": tuple(known["attempts"])})
    except FileNotFoundError:
        return Record()
    except (ValueError, TypeError, KeyError) as error:
        raise RunError(f"{folder / RECORD} is not the record of a job. Delete it to run the job again.") from error


def state_of(folder: Path, data: str, *, test: bool = True, latency: bool = False) -> State:
    """Return the state of a job on the present recordings.

    Returns:
        ``waiting`` also if it ran on other recordings or results are missing; ``interrupted`` also if its process was killed.
    """
    record = read_record(folder)
    if record.fingerprint != data:
        return "waiting"
    if record.state == "done":
        timed = not latency or record.latency is not None
        return "done" if timed and all(file.exists() for file in _results(folder, test)) else "waiting"
    if record.state != "running":
        return record.state
    with _claim(folder) as mine:
        return "interrupted" if mine else "running"


def run_job(config: DictConfig) -> float | None:
    """Run a job of a sweep, unless it is done or another process runs it.

    Returns:
        The UAR, or CCC, of its dev speakers; ``None`` if another process runs it.

    Raises:
        Exception: What ended the training; the record has it, too.
    """
    from hydra.core.hydra_config import HydraConfig

    if distributed.is_member():
        raise ConfigError(MEMBER)
    hydra = HydraConfig.get()
    folder = Path(hydra.runtime.output_dir)
    with _claim(folder, seconds=CLAIM_SECONDS) as mine:
        if not mine:
            return None
        job = read_record(folder).begun(tuple(hydra.overrides.task))
        try:
            settings = settings_of(config)
            settings["paths"]["run"], settings["ckpt"] = str(folder), "last"
            if "group" in settings["logger"]:
                settings["logger"]["group"] = settings["logger"]["group"] or folder.parent.name
            settings["trainer"]["enable_progress_bar"] = False  # the sweep shows its own
            if "joblib" in str(hydra.launcher.get("_target_")) and "strategy" not in settings["trainer"]:
                take_gpu()  # the other launchers give a job its GPUs
            data = data_fingerprint(prepared(settings).values())
            if state_of(folder, data, test=settings["test"], latency=settings["sweep"]["latency"]) == "done":
                return read_record(folder).dev_score
            if job.fingerprint not in ("", data):
                _put_aside(folder)
                job = Record(job.state, job.overrides, attempts=job.attempts[-1:])
            job = replace(job, fingerprint=data)
            _write(job, folder)
            with _freeing_memory(), phases.recorded() as seconds:
                train(settings, terminal=False)
        except (KeyboardInterrupt, SystemExit):
            # Submitit leaves by SystemExit, after it has put the job back into the cluster's queue.
            by = "its cluster" if "SUBMITIT_EXECUTOR" in os.environ else "hand"
            _write(job.ended("interrupted", f"stopped by {by}"), folder)
            raise
        except PrunedError as error:
            _write(job.ended("pruned", str(error)), folder)
            raise
        except Exception as error:
            reason = str(error) if isinstance(error, SerError) else f"{type(error).__name__}: {error}"
            _write(job.ended("failed", reason), folder)
            raise
        job = job.ended("done", phases=seconds, **_numbers(folder, settings))
        _write(job, folder)
        return job.dev_score


def _write(job: Record, folder: Path) -> None:
    write_json(asdict(job), folder / RECORD)


def _results(folder: Path, test: bool) -> list[Path]:
    """Return the files that a finished job has left."""
    dev = sorted(folder.glob(f"fold_*/{DEV_METRICS}")) or [folder / DEV_METRICS]
    return [*dev, *([folder / METRICS] if test else [])]


def _numbers(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers in the record of a finished job."""
    folds = [read_metrics(file) for file in _results(folder, test=False)]
    measure = measure_in(folds[0])
    numbers: dict[str, Any] = {measure.dev: float(sum(fold["run"][measure.dev] for fold in folds) / len(folds))}
    numbers["parameters"] = folds[0]["run"]["parameters"]
    if settings["sweep"]["latency"]:
        from ser.inference.latency import latency  # late: a sweep is planned and watched without torch

        numbers["latency"] = latency(_results(folder, test=False)[0].parent / BEST)
    if settings["test"]:
        numbers[measure.key] = read_metrics(folder / METRICS)[measure.key]
    return numbers


def _put_aside(folder: Path) -> None:
    """Move the results from other recordings into a folder beside the jobs."""
    for number in range(1, 1000):
        aside = folder.parent / REPLACED / f"{folder.name}-{number}"
        if not aside.exists():
            aside.mkdir(parents=True)
            for file in folder.iterdir():
                if file.name != LOCK:
                    shutil.move(file, aside / file.name)
            log.warning("The recordings have changed: the old results of %s are in %s now.", folder.name, aside)
            return


@contextmanager
def _freeing_memory() -> Iterator[None]:
    """Free all that a training held when the block ends, well or not.

    Hydra keeps the error of every job until the sweep ends, and a traceback keeps model, data and trainer alive.
    """
    try:
        yield
    except BaseException as error:
        cause: BaseException | None = error
        while cause is not None:
            traceback.clear_frames(cause.__traceback__)
            cause = cause.__cause__ or cause.__context__
        raise
    finally:
        if "torch" in sys.modules:
            out_of_memory.release()


@contextmanager
def _claim(folder: Path, seconds: float = 0.0) -> Iterator[bool]:
    """Hold a job for this process while the block runs; give ``False`` where another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()
