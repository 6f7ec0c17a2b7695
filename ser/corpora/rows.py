"""The rows of a table in a file, as text with line numbers: CSV in any of its dialects, JSON lines, Parquet or Excel.

What is wrong with the file itself is collected rather than raised, so that a reader can list all of it at once.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from ser.errors import BadCorpusError

DELIMITERS = (",", ";", "\t", "|")


@dataclass
class Rows:
    """The rows of a table.

    Attributes:
        columns: Names in lower case, in the order of the file.
        rows: The line of each row, and its text by column; empty where there is none.
        problems: The line of each problem, 0 for one of the whole file, and a sentence.
        decimal_comma: Whether numbers may be written with a comma, as beside semicolons.
    """

    columns: tuple[str, ...] = ()
    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)
    decimal_comma: bool = False


def read_rows(path: Path) -> Rows:
    """Read a table; its kind is told by its suffix, and is CSV without one.

    Raises:
        BadCorpusError: If an Excel file cannot be read because a package is not installed.
    """
    kind = path.suffix.lower()
    if kind in (".parquet", ".pq"):
        return _frame(path, first=1)
    if kind in (".xlsx", ".xlsm"):
        return _frame(path, first=2)
    found = Rows()
    text = _decoded(path.read_bytes(), found)
    if text is not None:
        (_json_lines if kind in (".jsonl", ".ndjson", ".json") else _csv)(text, found)
    return found


def _decoded(content: bytes, found: Rows) -> str | None:
    """Return the text of a file without its byte order mark; ``None`` with a problem for each line that is not UTF-8."""
    utf16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError:
        if utf16:
            found.problems.append((0, "its text is not the UTF-16 that its first bytes promise; save it as UTF-8"))
        for line, part in enumerate(content.split(b"\n"), start=1):
            try:
                part.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                if not utf16:
                    wrong = f"byte 0x{part[error.start]:02x} is not UTF-8; save the table as UTF-8"
                    found.problems.append((line, wrong))
        return None
    if "\0" in text:
        found.problems.append((text[: text.index("\0")].count("\n") + 1, "a zero byte; this is not a table of text"))
        return None
    return text


def _csv(text: str, found: Rows) -> None:
    lines = text.splitlines()
    header = next((line for line in lines if line.strip()), "")
    delimiter = max(DELIMITERS, key=lambda d: len(next(csv.reader([header], delimiter=d), [])))
    found.decimal_comma = delimiter != ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    before = 0
    try:
        for values in reader:
            line, before = before + 1, reader.line_num
            if not any(value.strip() for value in values):
                continue
            if not found.columns:
                _take_columns(values, line, found)
            elif len(values) != len(found.columns):
                found.problems.append(
                    (line, f"{len(values)} fields; the first line names {len(found.columns)} columns")
                )
            else:
                found.rows.append((line, dict(zip(found.columns, (v.strip() for v in values), strict=True))))
    except csv.Error as error:
        found.problems.append((before + 1, f"not a row of a table ({error})"))


def _take_columns(names: Sequence[str], line: int, found: Rows) -> None:
    columns = tuple(name.strip().lower() for name in names)
    if twice := sorted({name for name in columns if name and columns.count(name) > 1}):
        found.problems.append((line, f"the column {twice[0]} is there twice"))
    found.columns = columns


def _json_lines(text: str, found: Rows) -> None:
    columns: dict[str, None] = {}
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        try:
            row = json.loads(part)
        except ValueError as error:
            found.problems.append((line, f"not JSON ({error}); write one object a line"))
            continue
        if not isinstance(row, Mapping):
            found.problems.append((line, f"a {type(row).__name__}; write one object a line"))
            continue
        values = {str(key).strip().lower(): _text(value) for key, value in row.items()}
        columns |= dict.fromkeys(values)
        found.rows.append((line, values))
    found.columns = tuple(columns)
    found.rows = [(line, {name: row.get(name, "") for name in columns}) for line, row in found.rows]


def _frame(path: Path, first: int) -> Rows:
    """Read what pandas reads; ``first`` is the number of the first row."""
    import pandas as pd

    found = Rows()
    try:
        table = pd.read_parquet(path) if first == 1 else pd.read_excel(path, dtype=object)
    except ImportError as error:
        raise BadCorpusError(
            f"data.file must be CSV, JSON lines or Parquet while openpyxl is not installed; got {path}. Save it as CSV, "
            "or pip install openpyxl."
        ) from error
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        found.problems.append((0, f"it cannot be read ({' '.join(str(error).split()) or type(error).__name__})"))
        return found
    _take_columns([str(name) for name in table.columns], 1, found)
    for number, values in enumerate(table.itertuples(index=False, name=None), start=first):
        found.rows.append((number, dict(zip(found.columns, map(_text, values), strict=True))))
    return found


def _text(value: Any) -> str:
    """Return a value as the text that a CSV would have; empty for a missing one."""
    if not isinstance(value, str) and str(value) in ("None", "nan", "<NA>", "NaT"):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
