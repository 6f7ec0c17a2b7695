"""Results as plain JSON: of recordings, of segments, and of the events of a stream, with the same names in each."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ser.inference.columns import class_columns
from ser.inference.scorer import Scorer
from ser.inference.stream import Event

NOT_SHOWN = ("audio", "error")
"""Columns of a prediction that name the recording."""


def answers_of(table: pd.DataFrame, scorer: Scorer) -> list[dict[str, Any]]:
    """Return the rows of a prediction, or of segments, as plain JSON.

    Example:
        >>> from types import SimpleNamespace
        >>> table = pd.DataFrame({"audio": ["0"], "label": ["sad"], "angry": [0.2], "sad": [0.8], "flags": [[]]})
        >>> answers_of(table, SimpleNamespace(classes=("angry", "sad"), numeric=False))
        [{'label': 'sad', 'flags': [], 'probabilities': {'angry': 0.2, 'sad': 0.8}}]
    """
    return [answer_of(row, scorer) for row in table.to_dict("records")]


def answer_of(row: Mapping[Any, Any], scorer: Scorer) -> dict[str, Any]:
    """Return a row as plain JSON."""
    columns = class_columns(scorer.classes)
    values = {name: float(row[column]) for name, column in zip(scorer.classes, columns, strict=True)}
    answer = {str(name): _plain(value) for name, value in row.items() if name not in (*NOT_SHOWN, *columns)}
    known = all(map(np.isfinite, values.values()))
    return {**answer, "numbers" if scorer.numeric else "probabilities": values if known else None}


def event_of(event: Event, scorer: Scorer) -> dict[str, Any]:
    """Return an event of a stream as plain JSON: its type and its span in seconds, and its answer if it has one."""
    spans = {"type": event.kind, "start": event.start, "end": event.end}
    return spans if event.answer is None else {**spans, **answer_of(event.answer, scorer)}


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value
