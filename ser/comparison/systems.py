"""Run folders into systems: a system is what runs share that differ in seed and fold only.

The runs of single folds are pooled over their folds, one table of predictions a seed, as a ``fold=all`` run has it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import RunError
from ser.evaluation import predictions
from ser.runs.folder import CONFIG, RunFolder
from ser.runs.identity import data_of, identity, model_name, safe, with_order
from ser.runtime.words import counted

SCORED_ON = ("data", "audio", "labels", "protocol", "strict")
"""Settings that say what a system is scored on: part of what it is, but not of its name."""
ABOUT = ("stamps", "corpora", "labels", "protocol", "splits", "fingerprint", "seed", "train_seconds")
"""What metrics.json must say of a run."""
REMEDY = "Train it again, or give other folders."
VALUE_SHOWN = 24
"""Characters of a setting's value in a system's name."""


@dataclass(frozen=True)
class Pooled:
    """A system trained with one seed: a run, or the runs of its folds, in the order of the folds."""

    runs: tuple[RunFolder, ...]

    @property
    def about(self) -> Mapping[str, Any]:
        """What the metrics.json of the first run says of it."""
        return self.runs[0].about

    @cached_property
    def corpora(self) -> str:
        """The corpora, and which trained and which tested where that is the same for all folds."""
        named = {data_of(run.about) for run in self.runs}
        return named.pop() if len(named) == 1 else "+".join(self.about["corpora"])

    @cached_property
    def table(self) -> pd.DataFrame:
        """The predictions of all folds."""
        return pd.concat([run.predictions for run in self.runs], ignore_index=True)

    @cached_property
    def splits(self) -> dict[int, str]:
        """The split hash of each fold."""
        return {fold: split for run in self.runs for fold, split in run.splits.items()}

    @cached_property
    def system(self) -> str:
        """The configuration but for seed and fold, as text: what the runs of a system share."""
        return identity({key: value for key, value in self.runs[0].config.items() if key not in ("seed", "fold")})

    @cached_property
    def data(self) -> tuple[str, str, tuple[str, ...]]:
        """What must be the same for a comparison, besides the splits: fingerprint, labels, classes."""
        return self.about["fingerprint"], self.about["labels"], predictions.classes(self.table)

    @property
    def parameters(self) -> int | None:
        """The parameters of one model, where a metrics.json has them."""
        every = [run.about for run in self.runs]
        every += [fold.about for run in self.runs for fold in run.folds if fold.is_finished]
        return next((int(about["parameters"]) for about in every if about.get("parameters")), None)

    @property
    def seconds(self) -> float:
        """The seconds that training took."""
        return sum(float(run.about["train_seconds"]) for run in self.runs)


def find_with_tables(paths: Iterable[Path], out: Path) -> tuple[list[Pooled], list[str]]:
    """Read the runs in and below some folders, and tables of predictions from elsewhere, which become runs in ``out``.

    Returns and raises: as `find`; a `RunError` too if a table does not fit a run.
    """
    from ser.comparison.elsewhere import adopt

    paths = list(paths)
    tables = [path for path in paths if path.is_file()]
    folders = [path for path in paths if path not in tables]
    runs, notes = find(folders) if folders or not tables else ([], [])
    known = [run for pooled in runs for run in pooled.runs]
    for table in tables:
        same = sum(earlier.stem == table.stem for earlier in tables[: tables.index(table)])
        name = safe(table.stem) + (f"_{same + 1}" if same else "")
        runs.append(Pooled((checked(adopt(table, known, out / name)),)))
    return runs, notes


def find(folders: Iterable[Path]) -> tuple[list[Pooled], list[str]]:
    """Read the runs in and below some folders.

    Returns:
        The runs, in the order of the folders and of their names, and a note on each unfinished one.

    Raises:
        RunError: If a folder does not exist, a run is damaged, or there is no run at all.
    """
    runs, notes, seen = [], [], set()
    folders = list(folders)
    for start in folders:
        if not start.is_dir():
            raise RunError(f"There is no folder {start}. Give folders that hold runs, such as runs or multirun/...")
        for run in _walk(start):
            if run.path.resolve() in seen:
                continue
            seen.add(run.path.resolve())
            if run.is_finished:
                runs.append(Pooled((checked(run),)))
            else:
                done = sum(fold.is_finished for fold in run.folds)
                folds = f", but {done} of its folds {'is' if done == 1 else 'are'}" if done else ""
                notes.append(f"{run.path}: not finished{folds}")
    if not runs:
        unfinished = f"; {len(notes)} {'is' if len(notes) == 1 else 'are'} unfinished" if notes else ""
        raise RunError(
            f"There is no finished run (a folder with a metrics.json) below {', '.join(map(str, folders))}{unfinished}. "
            "Train one with python -m ser.train, or give another folder."
        )
    return runs, notes


def checked(run: RunFolder) -> RunFolder:
    """Return a finished run whose files have all that a comparison needs.

    Raises:
        RunError: If a file is missing, damaged or incomplete.
    """
    about, config = run.about, run.config
    if missing := [key for key in ABOUT if key not in about]:
        raise RunError(
            f"{run.path}/metrics.json must have all facts about the run; got no {', '.join(missing)}. {REMEDY}"
        )
    if "_target_" not in config.get("model", {}) or "corpora" not in config.get("data", {}):
        raise RunError(f"{run.path}: config.yaml must name a model and corpora, as training leaves it. {REMEDY}")
    folds = sorted(int(fold) for fold in run.predictions["fold"].unique())
    if folds != sorted(run.splits):
        raise RunError(
            f"{run.path} has predictions of {counted(len(folds), 'fold')}, but split hashes of "
            f"{counted(len(run.splits), 'fold')}. {REMEDY}"
        )
    return run


def join_folds(found: Sequence[Pooled]) -> tuple[list[Pooled], list[str]]:
    """Join the folds of each system and seed.

    Where runs repeat a fold, the one of more folds stays, then the later one: a new run of a setting replaces the old.

    Returns:
        The joined runs, in the order in which their systems were found, and a note on each run that another replaces.
    """
    kept: dict[tuple[Any, ...], list[Pooled]] = {(run.system, run.data, run.about["seed"]): [] for run in found}
    notes = []
    last_first = list(found)[::-1]
    for run in sorted(last_first, key=lambda run: -len(run.splits)):
        parts = kept[run.system, run.data, run.about["seed"]]
        if same := [part for part in parts if {*part.splits.values()} & {*run.splits.values()}]:
            notes.append(f"{run.runs[0].path}: {same[0].runs[0].path} has the same configuration, seed and fold")
        else:
            parts.append(run)
    in_order = (sorted(parts, key=lambda part: min(part.splits)) for parts in kept.values())
    return [Pooled(tuple(run for part in parts for run in part.runs)) for parts in in_order], notes


def names(systems: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name systems: the model, and the settings in which systems of the same model differ.

    What they are scored on is not part of the name: two that differ only in that have the same one.

    Example:
        >>> cnn, lstm = {"_target_": "ser.models.cnn.CNN"}, {"_target_": "ser.models.bilstm.BiLSTM"}
        >>> names([{"model": cnn}, {"model": lstm}])
        ['cnn', 'bilstm']
        >>> names([{"model": cnn, "loss": {"label_smoothing": value}} for value in (0.1, 0.0)])
        ['cnn, label_smoothing=0.1', 'cnn, label_smoothing=0']
    """
    kept = [{key: value for key, value in with_order(system).items() if key not in SCORED_ON} for system in systems]
    models = [model_name(system["model"]) for system in systems]
    named = []
    for model, system in zip(models, kept, strict=True):
        paths = _differing([other for m, other in zip(models, kept, strict=True) if m == model])
        if ("augment",) in paths:  # written in their order
            paths = [path for path in paths if path != ("augment_order",)]
        keys = [path[-1] if [p[-1] for p in paths].count(path[-1]) == 1 else ".".join(path) for path in paths]
        settings = (f"{key}={_shown(system, path)}" for key, path in zip(keys, paths, strict=True))
        named.append(", ".join([model, *settings]))
    return named


def _walk(folder: Path) -> Iterator[RunFolder]:
    """Yield the runs, finished or not, at or below a folder; nothing inside a run is looked at."""
    run = RunFolder(folder)
    if run.is_finished or run.has(CONFIG):
        yield run
        return
    below = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    for path in sorted(below, key=lambda path: (not path.name.isdigit(), path.name.zfill(9))):  # 2 before 10
        yield from _walk(path)


def _differing(values: Sequence[Any], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return where settings differ; those of another class or name differ as a whole."""
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
        value = value.get("name") or value.get("_target_", "").rpartition(".")[2].lower() or "+".join(value) or None
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= VALUE_SHOWN else text[: VALUE_SHOWN - 1] + "…"
