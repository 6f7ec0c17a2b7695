"""Rows that are kept as they are made, in a file beside the table that they will be in; and the table."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import ConfigError, RunError
from ser.runtime.files import replacing
from ser.runtime.words import and_more

SUFFIXES = (".csv", ".jsonl", ".parquet")
Rows = list[dict[str, Any]]


class Finished:
    """Rows of recordings that are finished, by the name and the state of each.

    The file has JSON lines: what makes the rows, then a line a recording. A line that a kill cut off is dropped.

    Args:
        file: Where they are kept; ``None`` keeps them in memory alone.
        made_by: What makes the rows, as plain JSON; a file of something else is refused.

    Raises:
        ConfigError: If the file is of another model or of other settings.
        RunError: If it is nothing of the kind.
    """

    def __init__(self, file: Path | None, made_by: Mapping[str, Any]) -> None:
        self.file, self.rows = file, dict[str, Rows]()
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        header = json.dumps(made_by)
        before = file.read_bytes() if file.exists() else b""
        whole = before[: before.rfind(b"\n") + 1]
        if whole:
            first, *lines = whole.splitlines()
            try:
                found, read = json.loads(first), [json.loads(line) for line in lines]
                self.rows = {row["recording"]: row["rows"] for row in read}
            except (ValueError, TypeError, KeyError) as error:
                raise RunError(
                    f"{file} must hold the rows of a stopped command; got something else. Delete it."
                ) from error
            _check_same(file, found, json.loads(header))
        with file.open("r+b" if file.exists() else "wb") as kept:
            kept.truncate(len(whole))
            kept.seek(len(whole))
            if not whole:
                kept.write(f"{header}\n".encode())

    def add(self, rows: Mapping[str, Rows]) -> None:
        """Keep the rows of recordings. Those of one that could not be used are not written: it will be tried again."""
        self.rows.update(rows)
        if self.file is None:
            return
        lines = [json.dumps({"recording": key, "rows": found}) for key, found in rows.items() if not has_error(found)]
        with self.file.open("a", encoding="utf-8") as kept:
            kept.writelines(f"{line}\n" for line in lines)

    def remove(self) -> None:
        """Delete the file."""
        if self.file is not None:
            self.file.unlink()


def has_error(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether the rows of a recording say that it could not be used."""
    return any(row["error"] is not None for row in rows)


def _check_same(file: Path, found: Any, made_by: Mapping[str, Any]) -> None:
    if not isinstance(found, dict):
        raise RunError(f"{file} must hold the rows of a stopped command; got something else. Delete it.")
    if different := [f"{key}={found.get(key)}" for key in made_by if found.get(key) != made_by[key]]:
        raise ConfigError(
            f"{file} must be of the same model and settings to be resumed; it is of {and_more(different)}. Give these, or "
            "delete it to begin anew."
        )


def check_table(path: Path) -> None:
    """Refuse a path of a table that could not be written.

    Raises:
        ConfigError: If its format is not among `SUFFIXES`, or it is a folder.
    """
    if path.suffix not in SUFFIXES or path.is_dir():
        raise ConfigError(f"out must be a file that ends in {', '.join(SUFFIXES)}; got {path}. Choose another name.")


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table whole or not at all; its suffix is the format. Lists are joined by ``;`` in a CSV."""
    with replacing(path) as unfinished:
        if path.suffix == ".parquet":
            names = [name.encode(errors="replace").decode() for name in table["audio"]]
            table.assign(audio=names).to_parquet(unfinished, index=False)
        elif path.suffix == ".jsonl":
            with unfinished.open("w", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in json_rows(table))
        else:
            joined = {name: table[name].map(_joined) for name in ("set", "flags") if name in table}
            table.assign(**joined).to_csv(unfinished, index=False, errors="surrogateescape")


def json_rows(table: pd.DataFrame) -> Rows:
    """Return the rows of a table as plain JSON, in which a missing value is null."""
    columns = {str(name): [None if _is_missing(value) else value for value in table[name].tolist()] for name in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _is_missing(value: Any) -> bool:
    return not isinstance(value, list) and bool(pd.isna(value))


def _joined(words: Sequence[str] | None) -> str | None:
    return None if words is None else ";".join(words)
