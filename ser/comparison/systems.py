"""Run folders into systems: a system is what runs share that differ in seed and fold only.

The single-fold runs of a system are pooled over their folds, a table of predictions a seed, as a ``fold=all`` run has it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.summary import read_metrics
from ser.runs.folder import RunFolder
from ser.runs.identity import identity, model_name

SCORED_ON = ("data", "audio", "labels", "protocol", "strict")
"""Settings that say what a system is scored on: part of what it is, but not of its name."""
ABOUT = ("stamps", "corpora", "labels", "protocol", "splits", "fingerprint", "seed", "train_seconds")
"""What metrics.json must say of a run."""
REMEDY = "Train it again, or give other folders."
VALUE_SHOWN = 24
"""Characters of a setting's value in a system's name."""


@dataclass(frozen=True)
class Run:
    """A finished run, or the runs of the folds of one system and seed, pooled.

    Attributes:
        folders: Where it is.
        config: What it was trained with.
        about: What its metrics.json says of it.
        table: Its predictions.
        splits: The split hash of each fold.
        parameters: Of one of its models, if a metrics.json says.
        seconds: That training took.
    """

    folders: tuple[Path, ...]
    config: Mapping[str, Any]
    about: Mapping[str, Any]
    table: pd.DataFrame
    splits: Mapping[int, str]
    parameters: int | None
    seconds: float

    @property
    def system(self) -> str:
        """What it shares with the other runs of its system."""
        return _system(self.config)

    @property
    def data(self) -> tuple[str, str, tuple[str, ...]]:
        """What must be the same for a comparison, besides the splits: fingerprint, labels, classes."""
        return self.about["fingerprint"], self.about["labels"], predictions.classes(self.table)


def find(folders: Iterable[Path]) -> tuple[list[Run], list[str]]:
    """Read the runs in and below some folders.

    Returns:
        The runs, in the order of the folders and of their names, and a note on each unfinished one.

    Raises:
        RunError: If a folder is not there, a run is damaged, or there is no run at all.
    """
    runs, notes, seen = [], [], set()
    folders = list(folders)
    for start in folders:
        if not start.is_dir():
            raise RunError(f"There is no folder {start}. Give folders that hold runs, such as runs or multirun/...")
        for folder in _walk(start):
            if folder.resolve() in seen:
                continue
            seen.add(folder.resolve())
            if (folder / "metrics.json").is_file():
                runs.append(read_run(folder))
            else:
                done = len(list(folder.glob("fold_*/metrics.json")))
                notes.append(f"{folder}: not finished" + (f", {done} of its folds are" if done else ""))
    if not runs:
        unfinished = f"; {len(notes)} are unfinished" if notes else ""
        raise RunError(
            f"There is no finished run (a folder with a metrics.json) below {', '.join(map(str, folders))}{unfinished}. "
            "Train one with python -m ser.train, or give another folder."
        )
    return runs, notes


def read_run(folder: Path) -> Run:
    """Read a finished run; the folder of one fold of a ``fold=all`` run takes its configuration from above it.

    Raises:
        RunError: If a file lacks or is not what a run leaves.
    """
    run = RunFolder(folder)
    config, about, table, at = run.config, run.about, run.predictions, run.whole.path
    if lacking := [key for key in ABOUT if key not in about]:
        raise RunError(f"{folder}/metrics.json does not say the run's {', '.join(lacking)}. {REMEDY}")
    if "_target_" not in config.get("model", {}) or "corpora" not in config.get("data", {}):
        raise RunError(f"{at}/config.yaml names no model or no corpora: it is not what training leaves. {REMEDY}")
    if set(run.splits) != set(table["fold"].unique()):
        folds = table["fold"].nunique()
        raise RunError(f"{folder} has predictions of {folds} folds, but {len(run.splits)} split hashes. {REMEDY}")
    return Run((folder,), config, about, table, run.splits, _parameters(folder, about), float(about["train_seconds"]))


def join_folds(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Join the folds of each system and seed into one run.

    Where runs repeat a fold, the one of more folds stays, then the later one: a new run of a setting replaces the old.

    Returns:
        The joined runs, in the order in which their systems were found, and a note on each run that another replaces.
    """
    kept: dict[tuple[Any, ...], list[Run]] = {(run.system, run.data, run.about["seed"]): [] for run in runs}
    notes = []
    last_first = list(runs)[::-1]
    for run in sorted(last_first, key=lambda run: -len(run.splits)):
        parts = kept[run.system, run.data, run.about["seed"]]
        if same := [part for part in parts if {*part.splits.values()} & {*run.splits.values()}]:
            notes.append(f"{run.folders[0]}: {same[0].folders[0]} has the same configuration, seed and fold")
        else:
            parts.append(run)
    return [_joined(sorted(parts, key=lambda run: min(run.splits))) for parts in kept.values()], notes


def names(systems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name systems: the model, and the settings in which systems of the same model differ.

    What they are scored on is no part of it; two that differ only in that have the same name.

    Example:
        >>> cnn, lstm = {"_target_": "ser.models.cnn.CNN"}, {"_target_": "ser.models.bilstm.BiLSTM"}
        >>> names([{"model": cnn}, {"model": lstm}])
        ['cnn', 'bilstm']
        >>> names([{"model": cnn, "loss": {"label_smoothing": value}} for value in (0.1, 0.0)])
        ['cnn, label_smoothing=0.1', 'cnn, label_smoothing=0']
    """
    kept = [{key: value for key, value in system.items() if key not in SCORED_ON} for system in systems]
    models = [model_name(system["model"]) for system in systems]
    named = []
    for model, system in zip(models, kept, strict=True):
        paths = _differing([other for m, other in zip(models, kept, strict=True) if m == model])
        keys = [path[-1] if [p[-1] for p in paths].count(path[-1]) == 1 else ".".join(path) for path in paths]
        settings = (f"{key}={_shown(system, path)}" for key, path in zip(keys, paths, strict=True))
        named.append(", ".join([model, *settings]))
    return named


def _walk(folder: Path) -> Iterator[Path]:
    """Runs, finished or not, at or below a folder; what is in a run is not looked at."""
    if (folder / "metrics.json").is_file() or (folder / "config.yaml").is_file():
        yield folder
        return
    below = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(below, key=lambda path: (not path.name.isdigit(), path.name.zfill(9))):  # 2 before 10
        yield from _walk(path)


def _parameters(folder: Path, about: Mapping[str, Any]) -> int | None:
    """Of one model; a ``fold=all`` run says it in the metrics of its folds."""
    below = (read_metrics(file).get("run", {}) for file in sorted(folder.glob("fold_*/metrics.json")))
    found = [int(each["parameters"]) for each in (about, *below) if "parameters" in each]
    return found[0] if found else None


def _system(config: Mapping[str, Any]) -> str:
    """A configuration but for seed and fold."""
    return identity({key: value for key, value in config.items() if key not in ("seed", "fold")})


def _joined(parts: Sequence[Run]) -> Run:
    splits = {fold: split for part in parts for fold, split in part.splits.items()}
    table = pd.concat([part.table for part in parts], ignore_index=True)
    folders = tuple(folder for part in parts for folder in part.folders)
    return replace(parts[0], folders=folders, table=table, splits=splits, seconds=sum(part.seconds for part in parts))


def _differing(values: Sequence[Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Where settings differ; what has another class or name differs as a whole."""
    if all(value == values[0] for value in values):
        return []
    alike = all(isinstance(value, Mapping) and value for value in values)
    if alike and len({(value.get("_target_"), value.get("name")) for value in values}) == 1:
        keys = dict.fromkeys(key for value in values for key in value)
        return [found for key in keys for found in _differing([value.get(key) for value in values], (*path, key))]
    return [path]


def _shown(system: Mapping[str, Any], path: Sequence[str]) -> str:
    value: Any = system
    for key in path:
        value = value.get(key)
    if isinstance(value, Mapping):
        value = value.get("name") or _last(value.get("_target_", "")) or "+".join(value) or None
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= VALUE_SHOWN else text[: VALUE_SHOWN - 1] + "…"


def _last(target: str) -> str:
    return target.rpartition(".")[2].lower()
