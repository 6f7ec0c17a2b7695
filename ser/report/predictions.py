"""Predictions of recordings, as a table for the terminal, 80 columns wide."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import takewhile
from math import isnan
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ser.report.format import decimal, percent
from ser.report.tables import WIDTH, heading, simple_table

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 34
"""Characters of a recording's name, of which the last ones are shown."""


def predictions_table(table: "pd.DataFrame", classes: Sequence[str], stamps: Sequence[str]) -> Table:
    """Lay out predictions: the label and its probability, or the numbers, of each recording or segment.

    Args:
        table: A result of `ser.inference.batch.predict_files`.
        classes: Its columns of probabilities, or of numbers.
        stamps: What no reader may overlook.
    """
    timed, labelled = "start" in table, "label" in table
    headings = ["recording", *(["start", "end"] if timed else []), *(["label", "probability"] if labelled else classes)]
    laid = simple_table(heading("Predictions", stamps), *headings, no_wrap=True)
    laid.width = WIDTH
    laid.columns[0].no_wrap = True
    if labelled:
        laid.columns[-2].justify = "left"
    laid.add_column("error" if timed else "flags", overflow="fold")
    names = [PurePath(name.encode(errors="replace").decode()).parts for name in table["audio"]]
    levels = zip(*(name[:-1] for name in names), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    for name, row in zip(names, table.to_dict("records"), strict=True):
        cells = [_last(str(PurePath(*name[shared:])))]
        cells += ["" if isnan(row[edge]) else f"{row[edge]:.1f}" for edge in ("start", "end") if timed]
        values = [row[column] for column in classes]
        known = not any(map(isnan, values))
        if labelled:
            cells += [row["label"], percent(max(values))] if known else ["", ""]
        else:
            cells += [decimal(value) if known else "" for value in values]
        laid.add_row(*map(Text, [*cells, _words(row)]))
    return laid


def _words(row: Mapping[Hashable, Any]) -> str:
    if row["error"]:
        return str(row["error"]).removeprefix(f"{row['audio']}: ")
    return ", ".join([*(["unsure"] if row.get("unsure") is True else []), *(row.get("flags") or ())])


def _last(name: str) -> str:
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"
