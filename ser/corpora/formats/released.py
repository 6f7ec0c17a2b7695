"""A CSV that a corpus publishes, by the names of its columns."""

import csv
from collections.abc import Iterator
from pathlib import Path

from ser.errors import BadCorpusError


def released_rows(table: Path | None, columns: tuple[str, ...], title: str) -> Iterator[tuple[str, ...]]:
    """Yield some columns of a CSV that the corpus ``title`` publishes; nothing if there is no table.

    Raises:
        BadCorpusError: If a column is missing, or a row has another number of fields than the header.
    """
    if table is None:
        return
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = csv.reader(file)
        header = next(lines, [])
        if missing := [c for c in columns if c not in header]:
            raise BadCorpusError(
                f"{table} must have the columns {', '.join(columns)}; got none named {', '.join(missing)}. Replace it with "
                f"the table that {title} publishes."
            )
        at = [header.index(c) for c in columns]
        for line in filter(None, lines):
            if len(line) != len(header):
                raise BadCorpusError(
                    f"{table}, line {lines.line_num} must have {len(header)} columns; got {len(line)}. Replace it with the "
                    f"table that {title} publishes."
                )
            yield tuple(line[i] for i in at)
