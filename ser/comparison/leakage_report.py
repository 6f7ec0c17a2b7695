"""The table and the picture of ``experiment=leakage``."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich import box
from rich.table import Table

from ser.evaluation.intervals import ENOUGH_SPEAKERS
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.report.drawing import STAMP_COLOUR, drawing
from ser.report.format import interval, percent, probability, with_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = {
    "random": "random\n(same speakers,\nsame sentences)",
    "text_independent": "text-\nindependent\n(same speakers)",
    "speaker_cv": "speaker-\nindependent\n(same sentences)",
    "speaker_text_independent": "speaker- and\ntext-\nindependent",
}
"""From the widest leak to none, as the picture names them."""
READING = "Bars: 95 % over speakers, dotted where they are too few to conclude. Ticks: the worst and the best speaker."
HEADINGS = ("corpus", "protocol", "folds", "UAR", "95 % interval", "more than speaker_cv", "p")


def leakage_table(rows: pd.DataFrame) -> Table:
    """Lay out the rows of `ser.comparison.leakage.leaks` for the terminal."""
    table = Table(title="What a leak buys: UAR in %", title_justify="left", box=box.SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("corpus", "protocol") else "right")
    for cells, dependent in zip(_cells(rows), _dependent(rows), strict=True):
        table.add_row(*cells, style="red" if dependent else "")
    table.caption = f"Red: {SPEAKER_DEPENDENT}. Differences are paired on the same utterances, by speaker."
    return table


def leakage_markdown(rows: pd.DataFrame) -> str:
    """The same as Markdown."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---" * len(HEADINGS) + "|"]
    for cells, dependent in zip(_cells(rows), _dependent(rows), strict=True):
        cells[1] += f" (**{SPEAKER_DEPENDENT}**)" if dependent else ""
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def leakage_plot(rows: pd.DataFrame, path: Path) -> None:
    """Draw the UAR and interval of each protocol, a panel a corpus; red is not speaker-independent.

    Args:
        rows: See `ser.comparison.leakage.leaks`.
        path: Where to; the suffix is the format.
    """
    import seaborn as sns

    corpora = list(dict.fromkeys(rows["corpus"]))
    shown = [name for name in NAMES if name in set(rows["protocol"])]
    blue = sns.color_palette("colorblind")[0]
    width = 1.15 * len(shown) * len(corpora) + 1.0
    with drawing(path, (width, 4.7), grid=True) as figure:
        panels = figure.subplots(1, len(corpora), sharey=True, squeeze=False)[0]
        for axes, corpus in zip(panels, corpora, strict=True):
            part = rows[rows["corpus"] == corpus]
            chance = 100 / int(part["classes"].iloc[0])
            axes.axhline(chance, color="0.5", linestyle=(0, (4, 3)), linewidth=1)
            axes.text(len(shown) - 0.45, chance + 1, "chance", color="0.4", fontsize=9, horizontalalignment="right")
            for at, name in enumerate(shown):
                for row in part[part["protocol"] == name].to_dict("records"):
                    colour = STAMP_COLOUR if SPEAKER_DEPENDENT in row["stamps"] else blue
                    _draw(axes, at, row, colour)
            speakers = int(part["speakers"].max())
            axes.set_title(f"{corpus}: {speakers} speakers, {int(part['classes'].iloc[0])} classes", fontsize=11)
            axes.set_xticks(range(len(shown)), [NAMES[name] for name in shown], fontsize=8.5)
            axes.set(xlim=(-0.5, len(shown) - 0.4), ylim=(0, 104))
            axes.grid(visible=False, axis="x")
        panels[0].set_ylabel("UAR (%)")
        reading = (
            "Bars: 95 % over speakers, dotted where they are too few to conclude; ticks: the worst and the best speaker"
        )
        figure.supxlabel(reading, fontsize=9, color="0.35")
        model = ", ".join(dict.fromkeys(rows["model"]))
        figure.suptitle(f"What a leak buys ({model}): red is {SPEAKER_DEPENDENT}", fontsize=12, fontweight="bold")
        sns.despine(fig=figure)


def _draw(axes: "Axes", at: int, row: Mapping[str, Any], colour: Any) -> None:
    uar, low, high = (np.nan if row[key] is None else 100 * float(row[key]) for key in ("uar", "low", "high"))
    if np.isfinite(low):
        style = "-" if row["speakers"] >= ENOUGH_SPEAKERS else (0, (1.5, 1.5))
        axes.plot([at, at], [low, high], color=colour, linewidth=2.4, solid_capstyle="butt", alpha=0.6, linestyle=style)
    for end in ("worst", "best"):
        axes.plot(at - 0.16, 100 * row[end], "_", color=colour, markersize=9, markeredgewidth=1.6)
    axes.plot(at, uar, "o", color=colour, markersize=8)
    axes.text(at + 0.12, uar, percent(row["uar"], ""), verticalalignment="center", fontsize=10, fontweight="bold")


def _dependent(rows: pd.DataFrame) -> list[bool]:
    return [SPEAKER_DEPENDENT in stamps for stamps in rows["stamps"]]


def _cells(rows: pd.DataFrame) -> list[list[str]]:
    cells = []
    for row in rows.to_dict("records"):
        tested = row.get("p") is not None and not np.isnan(row["p"])
        gain = with_interval(row["gain"], row["gain_low"], row["gain_high"], signed=True) if tested else ""
        p = probability(row["p"]) if tested else ""
        scored = [percent(row["uar"], ""), interval(row["low"], row["high"])]
        cells.append([row["corpus"], row["protocol"], str(row["folds"]), *scored, gain, p])
    return cells
