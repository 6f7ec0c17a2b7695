"""Predictions of recordings for the terminal: a table, or a few lines a recording where a table has no room."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import takewhile
from math import isnan
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ser.inference.columns import class_columns
from ser.report.format import decimal, percent
from ser.report.tables import heading, simple_table

if TYPE_CHECKING:
    import pandas as pd

NAME, NAME_SHARE = 12, 0.4
"""Characters of a recording's name that a table has at least, and share of the width that it has at most; the last ones are
shown."""
WORDS = 12
"""Characters that flags and errors need; what is longer is folded."""
BETWEEN = 3
"""Characters between the columns of a table; there are two at each side of it."""


def predictions_table(
    table: "pd.DataFrame", classes: Sequence[str], stamps: Sequence[str], width: int = 80
) -> RenderableType:
    """Lay out predictions: the label and its probability, or the numbers, of each recording or segment.

    Args:
        table: A result of `ser.inference.batch.predict_files`.
        classes: The classes, or names of numbers, of the model.
        stamps: What no reader may overlook.
        width: Columns of the terminal. A name is cut at its beginning, and a number never.
    """
    labelled = "label" in table
    edges = [name for name in ("start", "end") if name in table]
    headings = [*edges, *(["label", "probability"] if labelled else classes)]
    rows = [_cells(row, edges, class_columns(classes), labelled) for row in table.to_dict("records")]
    names, words = _names(table), [_words(row) for row in table.to_dict("records")]
    numbers = sum(max(map(len, column)) + BETWEEN for column in zip(headings, *rows, strict=True))
    last = "error" if edges else "flags"
    longest = max(map(len, [*names, "recording"]))
    room = width - numbers - min(max(map(len, [*words, last])), WORDS) - BETWEEN - 4
    title = heading("Predictions", stamps)
    if room < min(longest, NAME):
        found = zip(names, rows, words, strict=True)
        return Group(title, *(_block(name, headings, row, said, labelled) for name, row, said in found))
    laid = simple_table(title, "recording", *headings, no_wrap=True)
    laid.columns[0].no_wrap = True
    if labelled:
        laid.columns[-2].justify = "left"
    laid.add_column(last, overflow="fold")
    for name, row, said in zip(names, rows, words, strict=True):
        laid.add_row(*map(Text, [_last(name, min(room, max(NAME, int(NAME_SHARE * width)))), *row, said]))
    return laid


def _cells(row: Mapping[Hashable, Any], edges: Sequence[str], columns: Sequence[str], labelled: bool) -> list[str]:
    """Return the times, and the label and its probability or the numbers, of a row."""
    times = ["" if isnan(row[edge]) else f"{row[edge]:.1f}" for edge in edges]
    values = [row[column] for column in columns]
    known = not any(map(isnan, values))
    if labelled:
        return [*times, *((str(row["label"]), percent(max(values))) if known else ("", ""))]
    return [*times, *(decimal(value) if known else "" for value in values)]


def _block(name: str, headings: Sequence[str], row: Sequence[str], said: str, labelled: bool) -> RenderableType:
    """Lay out a recording below its name: all in a line, or a number a line."""
    cells = dict(zip(headings, row, strict=True))
    times = f"{cells.pop('start')} to {cells.pop('end')} s" if cells.get("start") else ""
    facts = ["  ".join(cells.values())] if labelled else [f"{name} {cell}" for name, cell in cells.items() if cell]
    lines = [Text(text, overflow="fold") for text in (times, *facts, said) if text.strip()]
    return Group(Text(name, style="bold", overflow="fold"), Padding(Group(*lines), (0, 0, 0, 2)))


def _names(table: "pd.DataFrame") -> list[str]:
    """Return the names of the recordings, without the folders that all are in."""
    parts = [PurePath(name.encode(errors="replace").decode()).parts for name in table["audio"]]
    levels = zip(*(name[:-1] for name in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return [str(PurePath(*name[shared:])) for name in parts]


def _words(row: Mapping[Hashable, Any]) -> str:
    if row["error"]:
        return str(row["error"]).removeprefix(f"{row['audio']}: ")
    return ", ".join([*(["unsure"] if row.get("unsure") is True else []), *(row.get("flags") or ())])


def _last(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"…{name[1 - letters :]}"
