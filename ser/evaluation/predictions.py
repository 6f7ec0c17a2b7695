"""The predictions table: one row per test utterance, the only source of every number, plot and comparison.

Columns, in order: ``utterance`` (an id such as ``ravdess/03-01-05-01-01-01-01``), ``corpus``, ``speaker``, ``sex``,
``sentence`` (these two may be missing), ``fold`` (integer), ``target`` (a class name); where the corpus has them ``age``
(years), ``race``, ``ethnicity``, and ``further_<name>`` for columns of a user's own table with few values (they may be
missing, too); then one float64 probability ``p_<class>`` per class in the order of the logits; and where listeners voted,
their share ``v_<class>`` for each (missing in the row of a clip for which no listener chose any of the classes).

Where models predict numbers, ``target`` is replaced by float64 ``target_<name>`` for each number, and the probabilities by
``predicted_<name>``, both in the unit of the corpus.
`read_predictions` and `write_predictions` refuse anything else.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd

from ser.corpora.manifest import FURTHER
from ser.errors import RunError
from ser.evaluation.agreement import moments_by_group
from ser.evaluation.metrics import confusion_by_group
from ser.runtime.files import replacing

COLUMNS = ("utterance", "corpus", "speaker", "sex", "sentence", "fold", "target")
MAY_BE_UNKNOWN = ("sex", "sentence")
"""Columns that may be missing in rows of corpora that do not state them."""
OPTIONAL = ("age", "race", "ethnicity")
PREFIX = "p_"
VOTES = "v_"
TARGET, PREDICTED = "target_", "predicted_"
REMEDY = "Score the run's checkpoint again to rewrite it."
SUM_TOLERANCE = 1e-5
"""How far a row's sum may be from 1: a float32 softmax over a few classes is within 1e-6."""


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a predictions table and `check_predictions` it.

    Raises:
        RunError: If there is no such file, it is not a parquet file, or its table does not pass.
    """
    if not path.is_file():
        raise RunError(
            f"There is no {path}. Finished runs have one; give the folder of a finished run, or train again."
        )
    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:  # pyarrow raises both
        raise RunError(f"{path} cannot be read as parquet ({error}). {REMEDY}") from error
    check_predictions(table, path)
    return table


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """`check_predictions` a predictions table, then write it whole or not at all.

    Raises:
        RunError: If the table does not pass.
    """
    check_predictions(table, path)
    with replacing(path) as unfinished:
        table.to_parquet(unfinished, index=False)


def check_predictions(table: pd.DataFrame, source: Path | str = "the predictions table") -> None:
    """Check what every later step relies on. Messages count rows from 0.

    Raises:
        RunError: If columns are missing or misplaced, a value is missing or out of range, a row of probabilities
            does not sum to 1, or an utterance occurs twice in one fold.
    """
    _check_columns(table, source)
    if table.empty:
        raise RunError(f"{source} must have rows; got none. {REMEDY}")
    for column in (c for c in COLUMNS if c not in MAY_BE_UNKNOWN and c in table):
        _refuse(table[column].isna(), table, source, f"{column} is missing")
    if not pd.api.types.is_integer_dtype(table["fold"]):
        raise RunError(f"{source}: fold must be an integer; got {table['fold'].dtype}. {REMEDY}")
    names = classes(table)
    if is_numeric(table):
        _check_numbers(table, source)
    else:
        _refuse(~table["target"].isin(names), table, source, f"target is not one of {', '.join(names)}")
        _check_probabilities(table, source)
    _refuse(table.duplicated(["fold", "utterance"]), table, source, "this utterance occurs twice in its fold")


def is_numeric(table: pd.DataFrame) -> bool:
    """Whether the table has predicted numbers instead of probabilities."""
    return any(str(c).startswith(PREDICTED) for c in table.columns)


def classes(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the names of the classes, or of the numbers, in the order of the model's outputs.

    Example:
        >>> classes(pd.DataFrame(columns=[*COLUMNS, "p_sad", "p_angry"]))
        ('sad', 'angry')
        >>> classes(pd.DataFrame(columns=["speaker", "target_arousal", "predicted_arousal"]))
        ('arousal',)
    """
    prefix = PREDICTED if is_numeric(table) else PREFIX
    return tuple(str(c).removeprefix(prefix) for c in table.columns if str(c).startswith(prefix))


def answer_columns(names: Sequence[str], *, numeric: bool) -> list[str]:
    """Return the columns of a model's answers."""
    return [(PREDICTED if numeric else PREFIX) + name for name in names]


def target_columns(table: pd.DataFrame) -> list[str]:
    """Return ``target``, or ``target_<name>`` for each number."""
    return [TARGET + name for name in classes(table)] if is_numeric(table) else ["target"]


def further_groups(table: pd.DataFrame) -> list[str]:
    """Return the further columns that a table can be grouped by.

    Example:
        >>> further_groups(pd.DataFrame(columns=[*COLUMNS, "further_language", "p_sad", "p_angry"]))
        ['further_language']
    """
    return [str(c) for c in table.columns if str(c).startswith(FURTHER)]


def target_indices(table: pd.DataFrame) -> np.ndarray:
    """Return the position of each row's target in `classes`, ``(utterance,)`` integers.

    Example:
        >>> target_indices(pd.DataFrame({"target": ["sad", "angry"], "p_angry": [0.3, 0.6], "p_sad": [0.7, 0.4]}))
        array([1, 0])
    """
    position = {name: i for i, name in enumerate(classes(table))}
    return np.asarray(table["target"].map(position).to_numpy(dtype=np.int64))


def probabilities(table: pd.DataFrame) -> np.ndarray:
    """Return the probabilities, or the predicted numbers, ``(utterance, class)`` in float64.

    Example:
        >>> probabilities(pd.DataFrame({"target": ["sad"], "p_angry": [0.25], "p_sad": [0.75]}))
        array([[0.25, 0.75]])
    """
    return np.asarray(table[answer_columns(classes(table), numeric=is_numeric(table))].to_numpy(dtype=np.float64))


def with_probabilities(table: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    """Return a table with other probabilities, or predicted numbers, ``(utterance, class)``.

    Example:
        >>> probabilities(with_probabilities(pd.DataFrame({"p_angry": [0.25], "p_sad": [0.75]}), np.array([[0.5, 0.5]])))
        array([[0.5, 0.5]])
    """
    columns = answer_columns(classes(table), numeric=is_numeric(table))
    return table.assign(**dict(zip(columns, values.T, strict=True)))


def votes(table: pd.DataFrame) -> np.ndarray | None:
    """Return the shares of votes, ``(utterance, class)``, NaN in rows without votes; ``None`` in a table without votes.

    Example:
        >>> votes(pd.DataFrame({"target": ["sad"], "p_sad": [0.75], "v_sad": [1.0]}))
        array([[1.]])
    """
    if not any(str(c).startswith(VOTES) for c in table.columns):
        return None
    return np.asarray(table[[VOTES + name for name in classes(table)]].to_numpy(dtype=np.float64))


def predicted_indices(table: pd.DataFrame) -> np.ndarray:
    """Return the most probable class, ``(utterance,)`` integers; the first in the order of the logits where several tie.

    Example:
        >>> predicted_indices(pd.DataFrame({"target": ["sad"], "p_angry": [0.25], "p_sad": [0.75]}))
        array([1])
    """
    return np.asarray(probabilities(table).argmax(axis=1))


def confusion_by_speaker(table: pd.DataFrame, names: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the speakers ``(speaker,)``, sorted, and one confusion matrix each ``(speaker, class, class)``.

    Args:
        table: See the module.
        names: The order of the classes; ``None`` is that of `classes`.

    Example:
        >>> table = pd.DataFrame({"speaker": ["b", "a"], "target": ["sad", "sad"]})
        >>> confusion_by_speaker(table.assign(p_angry=[0.25, 0.5], p_sad=[0.75, 0.5]))[1].tolist()
        [[[0, 0], [1, 0]], [[0, 0], [0, 1]]]
    """
    own = classes(table)
    position = np.array([(names or own).index(name) for name in own])
    target, predicted = position[target_indices(table)], position[predicted_indices(table)]
    return confusion_by_group(target, predicted, table["speaker"].to_numpy(dtype=str), len(own))


def moments_by_speaker(table: pd.DataFrame, names: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the speakers ``(speaker,)``, sorted, and the summed moments of each ``(speaker, dimension, 6)``.

    Args:
        table: See the module; its targets are numbers.
        names: The order of the dimensions; ``None`` is that of `classes`.
    """
    names = names or classes(table)
    target, predicted = (
        table[[prefix + name for name in names]].to_numpy(dtype=np.float64) for prefix in (TARGET, PREDICTED)
    )
    return moments_by_group(target, predicted, table["speaker"].to_numpy(dtype=str))


def in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table sorted by utterance and fold, as tables of the same test are compared row by row.

    Example:
        >>> in_order(pd.DataFrame({"utterance": ["b", "a"], "fold": [0, 1]}))["utterance"].tolist()
        ['a', 'b']
    """
    return table.sort_values(["utterance", "fold"], ignore_index=True)


def scale_of(table: pd.DataFrame) -> float:
    """Return the size beside which a difference between two answers is small: 1 for probabilities.

    Of numbers, it is the largest value of any, but at least 1.
    """
    if not is_numeric(table):
        return 1.0
    return max(1.0, float(table[target_columns(table)].abs().to_numpy().max()))


def _check_columns(table: pd.DataFrame, source: Path | str) -> None:
    columns, numeric = [str(c) for c in table.columns], is_numeric(table)
    required = [*COLUMNS[:-1], *target_columns(table)]
    if missing := [c for c in required if c not in columns]:
        raise RunError(f"{source} must have the columns {', '.join(missing)}; they are missing. {REMEDY}")
    if len(classes(table)) < 2 and not numeric:
        raise RunError(
            f"{source} must have at least 2 columns of probabilities ({PREFIX}<class>); got {len(classes(table))}. {REMEDY}"
        )
    if twice := sorted({c for c in columns if columns.count(c) > 1}):
        raise RunError(f"{source} must have each column once; got {', '.join(twice)} more than once. {REMEDY}")
    voted = any(c.startswith(VOTES) for c in columns)
    known = (*(c for c in OPTIONAL if c in columns), *further_groups(table))
    expected = [*required, *known, *answer_columns(classes(table), numeric=numeric)]
    expected += [VOTES + name for name in classes(table)] * voted
    if columns != expected:
        order = f"must have the columns {', '.join(expected)}, in this order; got {', '.join(columns)}"
        raise RunError(f"{source} {order}. {REMEDY}")


def _check_numbers(table: pd.DataFrame, source: Path | str) -> None:
    for column in (*target_columns(table), *answer_columns(classes(table), numeric=True)):
        if table[column].dtype != np.float64:
            raise RunError(f"{source}: {column} must be float64; got {table[column].dtype}. {REMEDY}")
        _refuse(~np.isfinite(table[column]), table, source, f"{column} is not a finite number")


def _check_probabilities(table: pd.DataFrame, source: Path | str) -> None:
    for name in classes(table):
        column = table[PREFIX + name]
        if column.dtype != np.float64:
            raise RunError(f"{source}: {PREFIX}{name} must be float64; got {column.dtype}. {REMEDY}")
        outside = ~np.isfinite(column) | (column < 0) | (column > 1)
        _refuse(outside, table, source, f"{PREFIX}{name} is not a probability between 0 and 1", PREFIX + name)
    total = pd.Series(probabilities(table).sum(axis=1), index=table.index)
    wrong = (total - 1).abs() > SUM_TOLERANCE
    if wrong.any():
        _fail(wrong, table, source, f"its probabilities sum to {total[wrong].iloc[0]:.6g}, not 1")
    if (shares := votes(table)) is not None:
        summed = pd.Series(shares.sum(axis=1), index=table.index)
        stray = (summed - 1).abs() > SUM_TOLERANCE
        _refuse(stray, table, source, "its shares of votes do not sum to 1")


def _refuse(wrong: pd.Series, table: pd.DataFrame, source: Path | str, what: str, value: str | None = None) -> None:
    if wrong.any():
        shown = "" if value is None else f": {table.loc[wrong, value].iloc[0]}"
        _fail(wrong, table, source, what + shown)


def _fail(wrong: pd.Series, table: pd.DataFrame, source: Path | str, what: str) -> NoReturn:
    row = int(np.flatnonzero(wrong.to_numpy())[0])
    more = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
    raise RunError(f"{source}, row {row}, utterance {table['utterance'].iloc[row]}: {what}{more}. {REMEDY}")
