"""`Report`: what a sweep writes about its finished jobs when it ends."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.evaluation.intervals import ENOUGH_SPEAKERS
from ser.report.format import percent
from ser.runtime.files import write_text

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
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


def draw_score(axes: "Axes", at: float, row: Mapping[str, Any], key: str, colour: Any, *, beside: float) -> None:
    """Draw a score in percent with its interval, dotted where the speakers are too few to conclude.

    Args:
        axes: Scores are on the vertical axis.
        at: Place on the horizontal axis.
        row: Has the score under ``key``, its interval as ``low`` and ``high``, and ``speakers``.
        key: Of the score.
        colour: Of all of it.
        beside: How far to the right the number stands.
    """
    score, low, high = (np.nan if row[name] is None else 100 * float(row[name]) for name in (key, "low", "high"))
    if np.isfinite(low):
        style = "-" if row["speakers"] >= ENOUGH_SPEAKERS else (0, (1.5, 1.5))
        axes.plot([at, at], [low, high], color=colour, linewidth=2.4, solid_capstyle="butt", alpha=0.6, linestyle=style)
    axes.plot(at, score, "o", color=colour, markersize=8)
    words = axes.text(at + beside, score, percent(row[key], ""), va="center", fontsize=10, fontweight="bold")
    words.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.0})  # a line may run behind it
