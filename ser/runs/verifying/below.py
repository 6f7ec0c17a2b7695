"""The runs that a path stands for: itself, or those in the folders below it."""

from collections.abc import Iterator
from pathlib import Path

from ser.runs.folder import CARD, CONFIG, METRICS, PREDICTIONS, RunFolder

SIGNS = (CARD, CONFIG, METRICS, PREDICTIONS)
"""Files that a run has in its folder."""


def runs_of(target: Path) -> list[Path]:
    """Return the runs at or below a path, in the order of their names; the path itself if there is none."""
    return list(_runs(target)) or [target]


def _runs(target: Path) -> Iterator[Path]:
    if not target.is_dir():
        return
    if any(RunFolder(target).has(name) for name in SIGNS):
        yield target
        return
    for below in sorted(path for path in target.iterdir() if path.is_dir() and not path.name.startswith(".")):
        yield from _runs(below)
