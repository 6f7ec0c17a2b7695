"""A CSV that a corpus publishes, by the names of its columns."""

import csv
from collections.abc import Iterator
from pathlib import Path

from ser.errors import BadCorpusError


def released_rows(table: Path | None, columns: tuple[str, ...], title: str) -> Iterator[tuple[str, ...]]:
    """Yield some columns of a CSV that the corpus ``title`` publishes; nothing if there is no table.

    Raises:
        BadCorpusError: If it is no CSV, a column is missing, or a row has another number of fields than the header.
    """
    if table is None:
        return
    remedy = f"Replace it with the table that {title} publishes."
    with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        lines = csv.reader(file)
        try:
            header = next(lines, [])
            if missing := [c for c in columns if c not in header]:
                told = f"{', '.join(columns)}; got none named {', '.join(missing)}"
                raise BadCorpusError(f"{table} must have the columns {told}. {remedy}")
            at = [header.index(c) for c in columns]
            for line in filter(None, lines):
                if len(line) != len(header):
                    told = f"{len(header)} columns; got {len(line)}"
                    raise BadCorpusError(f"{table}, line {lines.line_num} must have {told}. {remedy}")
                yield tuple(line[i] for i in at)
        except csv.Error as error:
            raise BadCorpusError(
                f"{table}, line {lines.line_num} must be a row of a CSV; got {error}. {remedy}"
            ) from error
