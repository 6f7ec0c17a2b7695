"""A file that is either the old one or the whole new one: written beside its place, then moved there."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the same folder; move it to ``path`` if the block ends well, else remove it.

    The temporary name keeps the suffix, since writers choose their format by it. Folders that lack are made.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> with replacing(folder / "note.txt") as unfinished:
        ...     _ = unfinished.write_text("whole")
        >>> [file.name for file in folder.iterdir()]
        ['note.txt']
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(value: Any, path: Path) -> None:
    """Write plain JSON whole or not at all.

    Raises:
        ValueError: If it holds NaN or an infinity, which JSON does not have.
    """
    text = json.dumps(value, indent=1, allow_nan=False, ensure_ascii=False)
    with replacing(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")
