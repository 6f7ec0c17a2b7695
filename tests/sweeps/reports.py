"""A report that a test's sweep can name."""

from collections.abc import Sequence
from pathlib import Path

from ser.comparison.report import Report


class Names(Report):
    """Of the runs."""

    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """One a line."""
        (folder / "names.txt").write_text("\n".join(run.name for run in runs))
