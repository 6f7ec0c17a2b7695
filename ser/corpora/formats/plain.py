"""One file: CSV in any of its dialects, JSON lines, Parquet or Excel.

Columns may have the names of nkululeko (``file``, ``speaker``, ``gender``, ``emotion``, ``start`` and ``end`` as
``0 days 00:00:01.5``) and of other toolkits; `ser.corpora.columns` says which.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from ser.corpora.formats.rows import Place, Rows
from ser.errors import BadCorpusError

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def plain_rows(path: Path, name: str = "") -> Rows | None:
    """Read a file; its kind is told by its suffix, and is CSV without one.

    Args:
        path: The file.
        name: What places call it; empty in a table of one file.

    Raises:
        BadCorpusError: If an Excel file cannot be read because a package is not installed.
    """
    if not path.is_file():
        return None
    kind = path.suffix.lower()
    if kind in (".parquet", ".pq"):
        return _frame(path, name, Rows("Parquet", path.parent), first=1)
    if kind in (".xlsx", ".xlsm"):
        return _frame(path, name, Rows("Excel", path.parent), first=2)
    found = Rows("JSON lines" if kind in (".jsonl", ".ndjson", ".json") else "CSV", path.parent)
    text = decoded(path.read_bytes(), name, found)
    if text is not None:
        (_json_lines if found.format == "JSON lines" else _csv)(text, name, found)
    return found


def decoded(content: bytes, name: str, found: Rows) -> str | None:
    """Return the text of a file without its byte order mark; ``None`` with a problem for each line that is not UTF-8."""
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        if utf16:
            found.problems.append((Place(name, 0), "not the UTF-16 that its first bytes promise; save it as UTF-8"))
        for line, part in enumerate(content.split(b"\n"), start=1):
            try:
                part.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                if not utf16:
                    wrong = f"byte 0x{part[error.start]:02x} is not UTF-8; save the table as UTF-8"
                    found.problems.append((Place(name, line), wrong))
        return None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        found.problems.append((Place(name, line), "a zero byte; this is not a table of text"))
        return None
    return text


def _csv(text: str, name: str, found: Rows) -> None:
    lines = text.splitlines()
    header = next((line for line in lines if line.strip()), "")
    delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader([header], delimiter=d), [])))
    found.decimal_comma = delimiter != ","
    found.format = f"CSV, separated by {DELIMITERS[delimiter]}"
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = 0
    try:
        for values in reader:
            line, before = before + 1, reader.line_num
            if not any(value.strip() for value in values):
                continue
            if not found.columns:
                _take_columns(values, Place(name, line), found)
            elif len(values) != len(found.columns):
                found.problems.append(
                    (Place(name, line), f"{len(values)} fields; the first line names {len(found.columns)} columns")
                )
            else:
                found.rows.append(
                    (Place(name, line), dict(zip(found.columns, (v.strip() for v in values), strict=True)))
                )
    except csv.Error as error:
        found.problems.append((Place(name, before + 1), f"not a row of a table ({error})"))


def _take_columns(names: Sequence[str], place: Place, found: Rows) -> None:
    columns = tuple(name.strip().lower() for name in names)
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        found.problems.append((place, f"the column {twice[0]} is there twice"))
    found.columns = columns


def _json_lines(text: str, name: str, found: Rows) -> None:
    columns: dict[str, None] = {}
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            row = json.loads(part)
        except ValueError as error:
            found.problems.append((Place(name, line), f"not JSON ({error}); write one object a line"))
            continue
        if not isinstance(row, Mapping):
            found.problems.append((Place(name, line), f"a {type(row).__name__}; write one object a line"))
            continue
        values = {str(key).strip().lower(): _text(value) for key, value in row.items()}
        columns |= dict.fromkeys(values)
        found.rows.append((Place(name, line), values))
    found.columns = tuple(columns)
    found.rows = [(place, {column: row.get(column, "") for column in columns}) for place, row in found.rows]


def _frame(path: Path, name: str, found: Rows, first: int) -> Rows:
    """Read what pandas reads; ``first`` is the number of the first row."""
    import pandas as pd

    try:
        table = pd.read_parquet(path) if first == 1 else pd.read_excel(path, dtype=object)
    except ImportError as error:
        raise BadCorpusError(
            f"data.file must be CSV, JSON lines or Parquet while openpyxl is not installed; got {path}. Save it as CSV, "
            "or pip install 'ser[excel]'."
        ) from error
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        found.problems.append(
            (Place(name, 0), f"it cannot be read ({' '.join(str(error).split()) or type(error).__name__})")
        )
        return found
    _take_columns([str(column) for column in table.columns], Place(name, 1), found)
    for number, values in enumerate(table.itertuples(index=False, name=None), start=first):
        row = dict(zip(found.columns, map(_text, values), strict=True))
        if any(row.values()):  # a sheet may have empty rows
            found.rows.append((Place(name, number), row))
    return found


def _text(value: Any) -> str:
    """Return a value as the text that a CSV would have; empty for a missing one."""
    if not isinstance(value, str) and str(value) in ("None", "nan", "<NA>", "NaT"):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
