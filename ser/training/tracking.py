"""Where numbers go while a command trains, beside the ``metrics.csv`` of every fold: Weights & Biases or TensorBoard."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.errors import ConfigError, PrunedError
from ser.runs import folder as run_folder
from ser.runtime import distributed
from ser.runtime.phases import phase
from ser.training import wandb_run

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

ARTIFACTS = {"split": "split.json", "card": "card.json", "checkpoint": "checkpoints/best.ckpt"}
"""Files of a run's folder, by what a user calls them; those of the folds, where only they have them."""


class Tracker:
    """What is told of one training command, all its folds together; this one tells nobody (``logger=csv``)."""

    def loggers(self, folder: Path, fold: int, split_hash: str, stamps: Sequence[str]) -> "list[Logger]":
        """What Lightning logs a fold to.

        Args:
            folder: The fold's.
            fold: Its number.
            split_hash: Names who trains, tunes and tests.
            stamps: Words that its results must carry.
        """
        return []

    def results(self, folder: Path) -> None:
        """Tell what a finished fold, or all of them together, left in a folder; it may have been told before."""

    def end(self, exit_code: int) -> None:
        """Nothing more is to come."""


@contextmanager
def tracked(settings: Mapping[str, Any], folder: Path, group: str, fingerprint: str) -> Iterator[Tracker]:
    """Track a training command while the block runs; of several processes, the first alone tells.

    Args:
        settings: The whole configuration.
        folder: The run's; everything is written below it.
        group: What trackers put runs of a kind under, unless the configuration says.
        fingerprint: Of the recordings.

    Raises:
        ConfigError: If the logger is unknown, or its package is not installed.
    """
    tracker = _chosen(settings, folder, group, fingerprint) if distributed.process_rank() == 0 else Tracker()
    exit_code = 1
    try:
        yield tracker
        exit_code = 0
    except PrunedError:
        exit_code = 0
        raise
    finally:
        with phase("report"):
            tracker.end(exit_code)


def _chosen(settings: Mapping[str, Any], folder: Path, group: str, fingerprint: str) -> Tracker:
    name = settings["logger"]["name"]
    if name == "csv":
        return Tracker()
    if name == "tensorboard":
        return _TensorBoard()
    if name == "wandb":
        return _WandB(settings, folder, group, fingerprint)
    raise ConfigError(f"logger.name is one of csv, tensorboard, wandb, not {name!r}.")


class _TensorBoard(Tracker):
    """Event files in the folder of each fold."""

    def __init__(self) -> None:
        self._writers: dict[Path, Logger] = {}

    def loggers(self, folder: Path, fold: int, split_hash: str, stamps: Sequence[str]) -> "list[Logger]":
        """Lightning's own."""
        from lightning.pytorch.loggers import TensorBoardLogger

        try:
            self._writers[folder] = TensorBoardLogger(folder, name="", version="tensorboard")
        except ModuleNotFoundError as error:
            raise ConfigError("logger=tensorboard needs its package: pip install 'ser[tensorboard]'.") from error
        return [self._writers[folder]]

    def results(self, folder: Path) -> None:
        """The test numbers of a fold, once."""
        if (summary := _read(folder / "metrics.json")) and folder in self._writers:
            self._writers.pop(folder).log_metrics(_numbers(summary))


class _WandB(Tracker):
    """One run for all folds: ``dev_uar`` of a run with one, ``fold_2/dev_uar`` of one with several.

    Whatever is sent is read from the folder's files, so that a run that was stopped, killed or begun offline lacks nothing
    and says nothing twice when it is gone on with. The run begins when there is something to tell.

    Args:
        settings: The whole configuration.
        folder: The run's.
        group: See `tracked`.
        fingerprint: Of the recordings.
    """

    def __init__(self, settings: Mapping[str, Any], folder: Path, group: str, fingerprint: str) -> None:
        self.config, self.settings, self.folder, self.group = settings["logger"], settings, folder, group
        self.fingerprint = fingerprint
        self._run: Any = None
        self._splits: dict[str, str] = {}
        self._sent: dict[str, int] = {}
        if unknown := sorted(set(self.config["artifacts"]) - set(ARTIFACTS)):
            raise ConfigError(f"logger.artifacts are some of {', '.join(ARTIFACTS)}, not {', '.join(unknown)}.")

    def loggers(self, folder: Path, fold: int, split_hash: str, stamps: Sequence[str]) -> "list[Logger]":
        """One that sends the rows of ``metrics.csv`` as they come."""
        from ser.training.callbacks import EpochLogger

        self._know(fold, split_hash, stamps)
        self._epochs(folder)
        return [EpochLogger(lambda: self._epochs(folder))]

    def results(self, folder: Path) -> None:
        """Epochs, numbers and pictures of a fold; numbers, pictures, the predictions and artifacts of the whole."""
        if dev := _read(folder / "dev_metrics.json"):
            self._know(dev["run"]["fold"], dev["run"]["split_hash"], dev["run"]["stamps"])
            self._epochs(folder)
        if not (summary := _read(folder / "metrics.json")):
            return
        run, prefix = self._begun(summary["run"]["stamps"]), self._prefix(folder)
        numbers = {f"{prefix}{name}": number for name, number in _numbers(summary).items()}
        if run.resumed and all(run.summary.get(name) == number for name, number in numbers.items()):
            return  # the server has them
        run.summary.update(numbers)
        run.log({f"{prefix}{name}": media for name, media in self._media(folder).items()})
        if folder == self.folder:
            self._artifacts()

    def end(self, exit_code: int) -> None:
        """End the run, so that the next job of a sweep begins its own."""
        if self._run is not None:
            wandb_run.end(self._run, self.folder, exit_code)

    def _begun(self, stamps: Sequence[str]) -> Any:
        """The run, with some tags more."""
        if self._run is None:
            kind = run_folder.run_name(self.settings)
            fold = "" if self.settings["fold"] == "all" else f"-fold{self.settings['fold']}"
            self._run = wandb_run.begin(
                self.config,
                self.folder,
                name=self.folder.name if self.folder.name.startswith(kind) else kind + fold,
                group=self.group,
                job_type=self.config["job_type"] or kind,
                settings={**json.loads(run_folder.identity(self.settings)), "fingerprint": self.fingerprint},
                stamps=stamps,
            )
        tags = tuple(self._run.tags or ())
        if more := [tag for tag in dict.fromkeys(map(wandb_run.tag, stamps)) if tag not in tags]:
            self._run.tags = (*tags, *more)
        return self._run

    def _know(self, fold: int, split_hash: str, stamps: Sequence[str]) -> None:
        """Put a fold's split among the settings."""
        if (known := {**self._splits, f"fold_{fold}": split_hash}) != self._splits:
            self._splits = known
            self._begun(stamps).config.update({"split_hash": known}, allow_val_change=True)

    def _epochs(self, folder: Path) -> None:
        """Send the rows of a fold's ``metrics.csv`` that were not sent, each name over the epochs of that fold."""
        from ser.training.callbacks import MEASURED

        run, prefix = self._begun(()), self._prefix(folder)
        if prefix not in self._sent:
            run.define_metric(f"{prefix}epoch")
            for name in MEASURED:
                run.define_metric(f"{prefix}{name}", step_metric=f"{prefix}epoch")
            last = run.summary.get(f"{prefix}epoch") if run.resumed else None
            self._sent[prefix] = 0 if last is None else int(last) + 1
        rows = _history(folder)
        if len(rows) < self._sent[prefix]:  # started over, with smaller batches
            self._sent[prefix] = 0
        for row in rows[self._sent[prefix] :]:
            run.log({f"{prefix}{name}": value for name, value in row.items()})
        self._sent[prefix] = len(rows)

    def _prefix(self, folder: Path) -> str:
        return "" if folder == self.folder else f"{folder.name}/"

    def _media(self, folder: Path) -> dict[str, Any]:
        """Pictures of a folder, and the predictions once, where they are all."""
        import wandb

        from ser.evaluation import predictions

        whole = folder == self.folder
        pictures = {name: folder / f"{name}.png" for name in ("training_curves", *["confusion_matrix"] * whole)}
        media: dict[str, Any] = {name: wandb.Image(str(file)) for name, file in pictures.items() if file.exists()}
        if whole:
            media["predictions"] = wandb.Table(dataframe=predictions.read_predictions(folder / "predictions.parquet"))
        return media

    def _artifacts(self) -> None:
        import wandb

        for kind in self.config["artifacts"]:
            artifact = wandb.Artifact(f"{self._run.name}-{kind}".replace("+", "-"), type=kind)
            own = self.folder / ARTIFACTS[kind]
            for file in [own] if own.exists() else sorted(self.folder.glob(f"fold_*/{ARTIFACTS[kind]}")):
                artifact.add_file(str(file), name=file.relative_to(self.folder).as_posix())
            self._run.log_artifact(artifact)


def _read(file: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def _history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a fold so far."""
    file = folder / "metrics.csv"
    table = pd.read_csv(file) if file.exists() else pd.DataFrame()
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _numbers(summary: Mapping[str, Any]) -> dict[str, float]:
    """What trackers show of a ``metrics.json`` (`ser.evaluation.summary`): scores, their interval, the spread over folds."""
    numbers = {name: summary[name] for name in ("uar", "accuracy", "macro_f1", "cross_entropy")}
    numbers |= {f"uar_{end}": summary["uar_interval"][end] for end in ("low", "high")}
    if summary["n_folds"] > 1:
        numbers |= {f"folds/{name}": summary["folds"][name] for name in ("uar_mean", "uar_sd")}
    return {f"test/{name}": number for name, number in numbers.items() if number is not None}
