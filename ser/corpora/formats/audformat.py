"""A database of audformat, as audb loads it: a header ``db.yaml`` and tables ``db.<table>.csv`` or ``.parquet`` beside it.

A table's rows are files, or pieces of files with ``start`` and ``end``. Labels are taken from the table ``emotion`` or the
only one with a column of that name or scheme; what other tables and schemes state of a file or a speaker is added.

Source: https://audeering.github.io/audformat/data-format.html.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.corpora.formats.plain import plain_rows
from ser.corpora.formats.rows import Place, Rows, one_table

HEADER = "db.yaml"
LABEL = "emotion"
SCHEMES = (LABEL, "speaker", "gender", "age", "transcription")
"""Schemes that say what a column of another name is."""
INDEX = ("file", "start", "end")
Attributes = Mapping[str, Mapping[str, str]]
"""What is stated of each speaker, by column."""


def audformat_rows(path: Path) -> Rows | None:
    """Read the database in a folder, of a header, or one table of it."""
    folder = path if path.is_dir() else path.parent
    if not (folder / HEADER).is_file() or not (path.is_dir() or path.name == HEADER or path.name.startswith("db.")):
        return None
    asked = "" if path.is_dir() or path.name == HEADER else path.name.removeprefix("db.").removesuffix(path.suffix)
    return _Database(folder).rows(asked)


class _Database:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = Rows("audformat database", folder)
        header = self._header()
        self.tables: dict[str, Any] = _mapping(header, "tables")
        self.schemes: dict[str, Any] = _mapping(header, "schemes")
        self.splits: dict[str, Any] = _mapping(header, "splits")

    def rows(self, asked: str) -> Rows:
        """Return the rows of the tables with labels, with what is stated elsewhere of their files and speakers."""
        chosen = [asked] if asked else self._with_labels()
        if not chosen:
            return self.found
        base = one_table(f"audformat database, {_tables(chosen)}", self.folder, map(self._table, chosen))
        base.problems += self.found.problems
        others = [name for name in self.tables if name not in chosen and _is_filewise(self.tables[name])]
        for name in others:
            _add(base, {row.get("file", ""): row for _, row in self._table(name).rows}, "file")
        for column in [c for c in base.columns if c in self.schemes]:
            _add(base, self._attributes(column), column)
        return base

    def _with_labels(self) -> list[str]:
        """Return the tables to read labels from: ``emotion``, the only one, or those of splits."""
        found = [name for name in self.tables if LABEL in self._names(name).values()]
        if LABEL in found or len(found) == 1:
            return [LABEL] if LABEL in found else found
        of_splits = [name for name in found if _mapping(self.tables, name).get("split_id")]
        if not of_splits:
            several = (
                f"tables {', '.join(found)}: choose one, data.file=.../db.<table>.csv" if found else "no such column"
            )
            told = f"one table must have the column {LABEL}; got {several}"
            self.found.problems.append((Place(HEADER, 0), told))
        return of_splits

    def _names(self, table: str) -> dict[str, str]:
        """Return what each column of a table is called: its scheme, if that says what it is and no other column has it."""
        columns = _mapping(self.tables.get(table), "columns")
        schemes = {column: _mapping(columns, column).get("scheme_id") for column in columns}
        alone = [s for s in SCHEMES if s not in columns and list(schemes.values()).count(s) == 1]
        return {column: str(scheme if scheme in alone else column) for column, scheme in schemes.items()}

    def _table(self, name: str) -> Rows:
        """Read a table, with its columns renamed, and its split as a column."""
        files = [self.folder / f"db.{name}{suffix}" for suffix in (".parquet", ".csv")]
        read = next((rows for file in files if (rows := plain_rows(file, file.name)) is not None), None)
        if read is None:
            self.found.problems.append((Place(f"db.{name}", 0), "no such table as .csv or .parquet"))
            return Rows("", self.folder)
        names = {given.lower(): column for given, column in self._names(name).items()}
        split = _mapping(self.tables, name).get("split_id")
        more = {"split": str(_mapping(self.splits, str(split)).get("type") or split)} if split else {}
        read.columns = (*(names.get(c, c) for c in read.columns), *more)
        read.rows = [(place, {names.get(c, c): value for c, value in row.items()} | more) for place, row in read.rows]
        return read

    def _attributes(self, column: str) -> Attributes:
        """Return what the labels of a scheme state, such as sex and age of a speaker: in the header, or in a table."""
        labels = _mapping(self.schemes, column).get("labels")
        if isinstance(labels, str):
            return {row.get(column, ""): row for _, row in self._table(labels).rows}
        if not isinstance(labels, dict):
            return {}
        return {str(k): {a: str(v) for a, v in said.items()} for k, said in labels.items() if isinstance(said, dict)}

    def _header(self) -> Any:
        import yaml

        try:
            return yaml.safe_load((self.folder / HEADER).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.found.problems.append((Place(HEADER, 0), f"not a header in YAML ({' '.join(str(error).split())})"))
            return {}


def _add(base: Rows, more: Attributes, key: str) -> None:
    """Add the columns of other rows, found by a column, that the rows do not have."""
    new = dict.fromkeys(c for row in more.values() for c in row if c not in (*base.columns, *INDEX))
    base.columns = (*base.columns, *new)
    for _, row in base.rows:
        said = more.get(row.get(key, ""), {})
        row.update({column: said.get(column, "") for column in new})


def _is_filewise(table: Any) -> bool:
    return isinstance(table, dict) and table.get("type") == "filewise"


def _mapping(of: Any, key: str) -> dict[str, Any]:
    """Return an entry of a header that is a mapping, its keys as text; empty where it is absent or something else."""
    found = of.get(key) if isinstance(of, dict) else None
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else {}


def _tables(names: list[str]) -> str:
    return f"table{'s' * (len(names) > 1)} {', '.join(names)}"
