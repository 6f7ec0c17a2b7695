"""Folders of audio with a table ``metadata.csv`` (or ``.jsonl``, ``.parquet``), as Hugging Face's ``audiofolder`` reads them.

The column ``file_name`` has paths from the folder of the table. Tables may lie in the folders of splits, and the first folder
of a path is its split if it is called like one.

Source: https://huggingface.co/docs/datasets/audio_dataset.
"""

from collections.abc import Iterator
from pathlib import Path

from ser.corpora.formats.plain import plain_rows
from ser.corpora.formats.rows import Rows, one_table
from ser.runtime.words import counted

SUFFIXES = (".csv", ".jsonl", ".parquet")
SPLITS = ("train", "training", "dev", "valid", "validation", "val", "test", "testing")
"""Names of folders that are splits."""


def audiofolder_rows(path: Path) -> Rows | None:
    """Read the tables ``metadata.*`` in a folder or in the folders in it."""
    root = path if path.is_dir() else path.parent
    files = sorted(_tables(path))
    if not files:
        return None
    parts = [rows for file in files if (rows := plain_rows(file, _name(file, root, files))) is not None]
    if not any("file_name" in part.columns for part in parts):
        return None
    for part in parts:
        below = part.folder.relative_to(root)
        for _, row in part.rows:
            if row.get("file_name"):
                row["file_name"] = (below / row["file_name"]).as_posix()
    found = one_table(f"audiofolder with {counted(len(files), 'table')} metadata.*", root, parts)
    _add_splits(found)
    return found


def _tables(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (f for suffix in SUFFIXES for where in ("", "*/") for f in path.glob(f"{where}metadata{suffix}"))
    elif path.stem == "metadata" and path.suffix in SUFFIXES and path.is_file():
        yield path


def _name(file: Path, root: Path, files: list[Path]) -> str:
    return file.relative_to(root).as_posix() if len(files) > 1 else ""


def _add_splits(found: Rows) -> None:
    """Add a column with the first folder of each path, if all are called like splits."""
    folders = [row["file_name"].partition("/")[0] for _, row in found.rows]
    if "split" in found.columns or not folders or not {folder.lower() for folder in folders} <= set(SPLITS):
        return
    found.columns = (*found.columns, "split")
    for (_, row), folder in zip(found.rows, folders, strict=True):
        row["split"] = folder
