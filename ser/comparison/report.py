"""`Report`: what a sweep writes about its finished jobs when it ends."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ser.runtime.files import write_text

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType


class Report(ABC):
    """The class that ``sweep.report`` names by ``_target_``."""

    @abstractmethod
    def write(self, folder: Path, runs: Sequence[Path]) -> None:
        """Write files into a sweep's folder, and print what they say."""


def present(
    rows: "pd.DataFrame",
    file: Path,
    lines: Sequence[Sequence[str]],
    table: "RenderableType",
    plot: "Callable[[pd.DataFrame, Path], None]",
    conclusion: str = "",
) -> None:
    """Write a study's rows as ``.csv``, ``.md`` (``lines``, the headings first) and ``.png``, and print its table.

    A conclusion in words stands below both tables.
    """
    from rich.console import Console

    head, *body = [f"| {' | '.join(cells)} |\n" for cells in lines]
    write_text(rows.to_csv(index=False), file.with_suffix(".csv"))
    below = f"\n{conclusion}\n" if conclusion else ""
    write_text("".join([head, "|---" * len(lines[0]) + "|\n", *body, below]), file.with_suffix(".md"))
    picture = file.with_suffix(".png")
    plot(rows, picture)
    console = Console()
    console.print(table)
    if conclusion:
        console.print(conclusion, highlight=False)
    console.print(f"Picture: {picture}", highlight=False, soft_wrap=True)
