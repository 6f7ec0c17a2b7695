"""Where numbers go while a command trains, beside the ``metrics.csv`` of every fold.

A file of ``conf/logger`` names a `Tracker` by ``_target_``. Your own tracker is one subclass and one such file.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from typing_extensions import override

from ser.errors import ConfigError, PrunedError
from ser.evaluation.measure import measure_in
from ser.runs.folder import RunFolder
from ser.runtime import distributed
from ser.runtime.instantiate import instantiate
from ser.runtime.phases import phase

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


class Tracker:
    """Report one training command, with all its folds, to a service. This base class reports nothing (``logger=csv``)."""

    def begin(self, settings: Mapping[str, Any], folder: Path, group: str, fingerprint: str) -> None:
        """Begin a training command.

        Args:
            settings: The whole configuration.
            folder: The run's; everything is written below it.
            group: What trackers put runs of a kind under, unless the configuration says.
            fingerprint: Of the recordings.
        """

    def loggers(self, folder: Path, fold: int, split_hash: str, stamps: Sequence[str]) -> "list[Logger]":
        """Return what Lightning logs a fold to.

        Args:
            folder: The fold's.
            fold: Its number.
            split_hash: Names who trains, tunes and tests.
            stamps: Words that its results must carry.
        """
        return []

    def results(self, folder: Path) -> None:
        """Send what a finished fold, or all folds together, left in a folder; it may have been sent before."""

    def end(self, exit_code: int) -> None:
        """End the command: nothing more follows."""

    def sweep(self, folder: Path, jobs: pd.DataFrame) -> None:
        """Send what a sweep ended with.

        Args:
            folder: The sweep's, with what its report wrote.
            jobs: One row a job.
        """


class TensorBoard(Tracker):
    """Event files in the folder of each fold."""

    def __init__(self) -> None:
        self._writers: dict[Path, Logger] = {}

    @override
    def loggers(self, folder: Path, fold: int, split_hash: str, stamps: Sequence[str]) -> "list[Logger]":
        from lightning.pytorch.loggers import TensorBoardLogger

        try:
            self._writers[folder] = TensorBoardLogger(folder, name="", version="tensorboard")
        except ModuleNotFoundError as error:
            raise ConfigError(
                "logger=tensorboard needs a package that is not installed: pip install 'ser[tensorboard]'."
            ) from error
        return [self._writers[folder]]

    @override
    def results(self, folder: Path) -> None:
        run = RunFolder(folder)
        if run.is_finished and folder in self._writers:
            self._writers.pop(folder).log_metrics(numbers_of(run.metrics))


@contextmanager
def tracked(settings: Mapping[str, Any], folder: Path, group: str, fingerprint: str) -> Iterator[Tracker]:
    """Track a training command while the block runs; of several processes, only the first tracks.

    Raises:
        ConfigError: If the logger is unknown, or its package is not installed.
    """
    reporter = instantiate(settings["logger"], Tracker) if distributed.process_rank() == 0 else Tracker()
    reporter.begin(settings, folder, group, fingerprint)
    exit_code = 1
    try:
        yield reporter
        exit_code = 0
    except PrunedError:
        exit_code = 0
        raise
    finally:
        with phase("report"):
            reporter.end(exit_code)


def numbers_of(summary: Mapping[str, Any]) -> dict[str, float]:
    """Return what trackers show of a ``metrics.json``: scores, their interval, the spread over folds."""
    measure = measure_in(summary)
    main = measure.key
    numbers = {name: summary[name] for name in (*measure.names, "cross_entropy") if name in summary}
    numbers |= {f"{main}_{end}": summary[f"{main}_interval"][end] for end in ("low", "high")}
    if summary["n_folds"] > 1:
        numbers |= {f"folds/{name}": summary["folds"][name] for name in (f"{main}_mean", f"{main}_sd")}
    return {f"test/{name}": number for name, number in numbers.items() if number is not None}
