"""The rows of a table as text, each with its place.

What is wrong with a file is collected rather than raised, so that all of it can be listed at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ser.runtime.words import counted


class Place(NamedTuple):
    """Where something is: a file, empty where the table has only one, and a line of it; 0 is all of it.

    Example:
        >>> str(Place("", 3)), str(Place("utt2spk", 2))
        ('line 3', 'utt2spk line 2')
    """

    file: str
    line: int

    def __str__(self) -> str:
        return " ".join(filter(None, (self.file, f"line {self.line}" if self.line else "")))


Problem = tuple[Place, str]
"""A place, and a sentence on what is wrong there."""
SHOWN = 20
"""Problems that a list shows."""


@dataclass
class Rows:
    """The rows of a table.

    Attributes:
        format: What the format is called.
        folder: Where relative paths begin.
        columns: Names in lower case, in the order of the file.
        rows: The place of each row, and its text by column; empty where there is none.
        problems: What is wrong with the files themselves.
        decimal_comma: Whether numbers may be written with a comma, as beside semicolons.
    """

    format: str
    folder: Path
    columns: tuple[str, ...] = ()
    rows: list[tuple[Place, dict[str, str]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    decimal_comma: bool = False


def one_table(format_: str, folder: Path, parts: Iterable[Rows]) -> Rows:
    """Return the rows of several files as those of one table, with every column in each."""
    found = Rows(format_, folder)
    for part in parts:
        found.columns = tuple(dict.fromkeys([*found.columns, *part.columns]))
        found.rows += part.rows
        found.problems += part.problems
        found.decimal_comma |= part.decimal_comma
    found.rows = [(place, {column: row.get(column, "") for column in found.columns}) for place, row in found.rows]
    return found


def listed(path: Path, problems: Sequence[Problem]) -> str:
    """Return the message that lists what is wrong with a table."""
    ordered = sorted(problems, key=lambda problem: problem[0])
    lines = [f"  {place}: {text}" if str(place) else f"  {text}" for place, text in ordered[:SHOWN]]
    more = [f"  and {len(ordered) - SHOWN} more"] if len(ordered) > SHOWN else []
    return "\n".join(
        [
            f"data.file must be a table in which every row can be used; got {path} with {counted(len(ordered), 'problem')}:",
            *lines,
            *more,
            "Correct them and run the command again; nothing was decoded.",
        ]
    )
