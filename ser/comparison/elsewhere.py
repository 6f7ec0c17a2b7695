"""Predictions from elsewhere: a table that anyone's script made, as a run beside those of the same split.

The table is a CSV or Parquet file with a row for each test utterance: its id in ``utterance``, and either a ``label``, or one
probability per class in columns of their names (``angry`` or ``p_angry``). A column ``fold`` is needed only where an
utterance is tested in several folds. Targets, speakers and folds are those of a finished run of the same split.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.measure import measure_of
from ser.protocols.stamps import ADAPTATIONS, ELSEWHERE, LABELS_ONLY, OF_FOREIGN
from ser.runs.folder import AUDIT, SPLIT, RunFolder, fold_folder, write_config
from ser.runs.identity import safe
from ser.runs.results import write_fold, write_results
from ser.runtime.files import write_json
from ser.runtime.words import and_more

SUFFIXES = (".csv", ".parquet")
OF_DATA = ("audio", "data", "labels", "protocol", "strict", "audit", "seed", "fold")
"""Settings of a run that say what it was scored on."""
ABOUT = (
    "corpora",
    "trained_on",
    "tested_on",
    "labels",
    "protocol",
    "folds",
    "splits",
    "fingerprint",
    "without_listening",
    "seed",
)
ROUNDED = 1e-2
"""How far a row of probabilities, which may be rounded, may sum from 1; it is divided by its sum."""


def adopt(file: Path, runs: Sequence[RunFolder], folder: Path) -> RunFolder:
    """Write a table of predictions as a run: its predictions, metrics, card and pictures.

    Args:
        file: See the module.
        runs: Finished runs, one of them of the split that the predictions were made on.
        folder: Where to write.

    Raises:
        RunError: If the table cannot be read, or fits none of the runs; the message lists all that does not fit the one
            that it fits best.
    """
    given = _read(file)
    classes_known = [run for run in runs if not measure_of(run.predictions).numeric]
    if not classes_known:
        raise RunError(
            f"{file} needs a finished run of the same split beside it, whose targets and speakers it takes; got none. Train "
            "one, such as python -m ser.train model=lda fold=all, with the same data, labels and protocol."
        )
    fits = [(_problems(given, run.predictions), run) for run in classes_known]
    (problems, _), run = min(fits, key=lambda fit: fit[0][1])
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise RunError(f"{file} must fit the test utterances of {run.path}; got\n{lines}\nCorrect the table.")
    _write(file.stem, given, run, folder)
    return RunFolder(folder)


def _read(file: Path) -> pd.DataFrame:
    """Return the table with ``utterance`` as text, and ``fold`` if it has one."""
    try:
        table = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype={"utterance": str})
    except (OSError, ValueError) as error:
        raise RunError(f"{file} must be a CSV or Parquet file; it cannot be read: {error}") from error
    if "utterance" not in table or table.empty:
        raise RunError(
            f"{file} must have a column utterance, and a row for each test clip; got {len(table)} rows with the columns "
            f"{and_more([str(column) for column in table.columns], 8)}."
        )
    return table.assign(utterance=table["utterance"].astype(str))


def _problems(given: pd.DataFrame, expected: pd.DataFrame) -> tuple[list[str], int]:
    """List what does not fit a run's predictions, and count the rows that do not."""
    keys, names = _keys(given), predictions.classes(expected)
    ids, wanted = (set(map(tuple, table[keys].to_numpy().tolist())) for table in (given, expected))
    twice = given.loc[given.duplicated(keys), "utterance"].astype(str).tolist()
    several = [] if "fold" in keys else expected.loc[expected.duplicated("utterance"), "utterance"].tolist()
    found = {
        "ids that are not test clips": sorted(str(key[0]) for key in ids - wanted),
        "test clips that are missing": sorted(str(key[0]) for key in wanted - ids),
        "clips that occur twice": twice,
        "clips that are tested in several folds, which need a column fold": several,
    }
    problems = [f"{what} ({len(some)}): {and_more(some)}" for what, some in found.items() if some]
    problems += _of_answers(given, names)
    return problems, sum(map(len, found.values()))


def _of_answers(given: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """List what is wrong with the labels or the probabilities."""
    columns = _columns(given, names)
    if "label" in given and not any(columns):
        strange = sorted(set(given["label"].astype(str)) - set(names))
        return [f"labels other than {', '.join(names)}: {and_more(strange)}"] if strange else []
    if absent := [name for name, column in zip(names, columns, strict=True) if column is None]:
        return [f"no column of the probabilities of {', '.join(absent)}, and no column label"]
    values = given[columns].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    wrong = ~((values >= 0) & (values <= 1)).all(axis=1) | ~(np.abs(values.sum(axis=1) - 1) <= ROUNDED)
    where = and_more(given.loc[wrong, "utterance"].astype(str).tolist())
    what = "clips whose probabilities are not between 0 and 1, or do not sum to 1"
    return [f"{what} ({int(wrong.sum())}): {where}"] if wrong.any() else []


def _columns(given: pd.DataFrame, names: Sequence[str]) -> list[str | None]:
    """Return the column of each class."""
    return [next((c for c in (predictions.PREFIX + name, name) if c in given), None) for name in names]


def _keys(given: pd.DataFrame) -> list[str]:
    return ["utterance", "fold"] if "fold" in given else ["utterance"]


def _write(stem: str, given: pd.DataFrame, run: RunFolder, folder: Path) -> None:
    settings: dict[str, Any] = {key: run.settings[key] for key in OF_DATA if key in run.settings}
    write_config(folder, {**settings, "model": {"_target_": "elsewhere", "name": safe(stem)}, "paths": {}})
    names, keys = predictions.classes(run.predictions), _keys(given)
    columns = _columns(given, names)
    labels_only = not any(columns)
    for fold in run.folds:
        table = fold.predictions
        (number,) = fold.splits
        rows = table[keys].merge(given, on=keys, how="left", validate="one_to_one")
        if labels_only:
            values = np.eye(len(names))[[names.index(str(label)) for label in rows["label"]]]
        else:
            values = rows[columns].to_numpy(dtype=np.float64)
        below = fold_folder(folder, number)
        write_json(fold.split_file, below / SPLIT)
        write_json(fold.audit or [], below / AUDIT)
        of_run = (*ADAPTATIONS.values(), *OF_FOREIGN, ELSEWHERE, LABELS_ONLY)
        stamps = [stamp for stamp in fold.about["stamps"] if not stamp.startswith(of_run)]
        about = {key: fold.about[key] for key in ABOUT if key in fold.about}
        about["stamps"] = [*stamps, ELSEWHERE, *([LABELS_ONLY] if labels_only else [])]
        answers = predictions.with_probabilities(table, values / values.sum(axis=1, keepdims=True))
        write_fold(RunFolder(below), answers, None, {**about, "train_seconds": 0.0})
    write_results(RunFolder(folder), (run.card or {}).get("left_out") or [])
