"""`Report`: what a sweep writes about its finished jobs when it ends."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser.runtime.files import replacing

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


class Report(ABC):
    """The class that ``sweep.report`` names by ``_target_``."""

    @abstractmethod
    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write files into a sweep's folder, and print what they say.

        Args:
            folder: The folder of the sweep.
            runs: The folders of its finished jobs.
        """


def present(
    rows: "pd.DataFrame", file: Path, markdown: str, table: "Table", plot: "Callable[[pd.DataFrame, Path], None]"
) -> None:
    """Write a study's rows as ``.csv``, ``.md`` and ``.png``, and print its table.

    Args:
        rows: What the study found.
        file: Where to write, without a suffix.
        markdown: The rows as a table.
        table: The same for the terminal.
        plot: Draws the rows into a file.
    """
    from rich.console import Console

    for suffix, text in ((".csv", rows.to_csv(index=False)), (".md", markdown)):
        with replacing(file.with_suffix(suffix)) as unfinished:
            unfinished.write_text(text, encoding="utf-8")
    picture = file.with_suffix(".png")
    plot(rows, picture)
    console = Console()
    console.print(table)
    console.print(f"Picture: {picture}", highlight=False, soft_wrap=True)
