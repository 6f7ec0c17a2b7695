"""Which of a sweep's systems is best, and whether that is more than chance."""

from collections.abc import Sequence
from pathlib import Path

from ser.comparison.report import Report


class Comparison(Report):
    """Of every sweep that names no other: the tables, pictures and page of ``python -m ser.compare``."""

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write them into ``comparison`` beside the runs, and print the table."""
        from ser.comparison.leaderboard import compare

        compare(runs, out=folder / "comparison")
