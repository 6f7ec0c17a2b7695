"""Pictures of a comparison: systems in the same colours and order throughout, several seeds pooled.

The critical-difference diagram: Demšar, 2006, https://jmlr.org/papers/v7/demsar06a.html. Reliability diagrams and
risk-coverage curves: see `ser.evaluation.calibration` and `ser.evaluation.selective`.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.comparison.rows import Row, Section
from ser.evaluation import metrics, predictions
from ser.evaluation.agreement import ccc_per_dimension
from ser.evaluation.calibration import reliability
from ser.evaluation.comparison import CriticalDifference, critical_difference
from ser.evaluation.measure import measure_of
from ser.evaluation.selective import risk_coverage
from ser.report.drawing import drawing
from ser.report.format import p_value, percent, writer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 8
"""Systems that fit into a picture: the best ones, and the baseline in the last place where it is not among them."""
BINS = 10
WIDTH = 10.8
"""Inches: what the page is wide, at 96 dots."""
LEAST_COVERAGE = 5
"""Per cent, from which a risk-coverage curve is drawn: what a few utterances say is noise."""
NAME = 26
"""Characters of a system's name on a line."""

Tables = Mapping[str, Sequence[pd.DataFrame]]
"""By system: a predictions table a seed."""


def draw_section(section: Section, tables: Tables, folder: Path) -> dict[str, Path]:
    """Draw every picture of a section as SVG into a folder.

    Returns:
        The files by what they show: ``speakers``, ``recall``, ``confusion``, ``reliability``, ``risk_coverage``, and with
        three systems or more ``critical_difference``. Of numbers, ``recall`` shows the CCC of each, and there are no
        confusions or probabilities.
    """
    rows = shown(section)
    pooled = {row.system: pd.concat(tables[row.system], ignore_index=True) for row in rows}
    stamps = section.group.stamps
    more = () if section.group.measure.numeric else ("confusion", "reliability", "risk_coverage")
    files = {name: folder / f"{name}.svg" for name in ("speakers", "recall", *more)}
    scores = speaker_scores(tables)
    draw_speakers(rows, scores, section.group.chance, files["speakers"], stamps)
    recall(pooled, files["recall"], stamps)
    if more:
        confusions(pooled, files["confusion"], stamps)
        reliabilities(rows, pooled, files["reliability"], stamps)
        risks(pooled, files["risk_coverage"], stamps)
    scores = scores.dropna()
    if len(tables) > 2 and len(scores) > 1:
        files["critical_difference"] = folder / "critical_difference.svg"
        ranks(critical_difference(scores), files["critical_difference"], stamps)
    return files


def shown(section: Section) -> list[Row]:
    """Return the rows of a section that the pictures have room for; see `SHOWN`."""
    rows = section.group.rows
    baseline = [row for row in rows[SHOWN:] if row.system == section.baseline]
    return [*rows[: SHOWN - len(baseline)], *baseline]


def speaker_scores(tables: Tables) -> pd.DataFrame:
    """Return the main score of each speaker under each system, the mean over seeds: ``speaker x system``."""
    columns = {}
    for system, seeds in tables.items():
        measure = measure_of(seeds[0])
        each = [pd.Series(measure.statistic(found), index=names) for names, found in map(measure.by_speaker, seeds)]
        columns[system] = pd.concat(each).groupby(level=0).mean()
    return pd.DataFrame(columns)


def draw_speakers(
    rows: Sequence[Row], scores: pd.DataFrame, chance: float, path: Path, stamps: Sequence[str] = ()
) -> None:
    """Draw each speaker's score as a point in its system's row, and the pooled score with its interval below."""
    measure = rows[0].measure
    scale, unit, write = 1 if measure.numeric else 100, "" if measure.numeric else " (%)", writer(measure)
    random = np.random.default_rng(0)  # of the jitter, which only keeps points apart
    with drawing(path, (WIDTH, 0.85 * len(rows) + 1.2), grid=True, stamps=stamps) as figure:
        axes = figure.add_subplot()
        for place, (row, colour) in enumerate(zip(rows, _colours(len(rows)), strict=True)):
            values = scale * scores[row.system].dropna().to_numpy()
            jitter = random.uniform(-0.16, 0.16, len(values))
            axes.scatter(values, place - 0.08 + jitter, s=26, color=colour, alpha=0.55, linewidth=0)
            if row.low is not None and row.high is not None:
                axes.plot([scale * row.low, scale * row.high], [place + 0.27] * 2, color="0.15", linewidth=2.2)
            axes.plot(scale * row.score, place + 0.27, marker="D", markersize=7, color=colour, markeredgecolor="0.15")
            axes.annotate(
                write(row.score, ""),
                (scale * row.score, place + 0.27),
                (0, -16),
                textcoords="offset points",
                ha="center",
            )
        axes.axvline(scale * chance, color="0.45", linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        axes.annotate("chance", (scale * chance, len(rows) - 0.45), (5, 0), textcoords="offset points", color="0.35")
        axes.set(yticks=range(len(rows)), yticklabels=[fill(row.system, NAME) for row in rows])
        name = measure.name
        axes.set(xlabel=f"{name} of a speaker{unit};  ◆ pooled {name} with its 95 % interval")
        axes.set(ylim=(len(rows) - 0.35, -0.5))
        axes.grid(visible=False, axis="y")


def recall(pooled: Mapping[str, pd.DataFrame], path: Path, stamps: Sequence[str] = ()) -> None:
    """Draw the recall of each class, or the CCC of each number, as a point a system, from top to bottom."""
    first = next(iter(pooled.values()))
    names, measure = predictions.classes(first), measure_of(first)
    each, scale = (ccc_per_dimension, 1) if measure.numeric else (metrics.recall_per_class, 100)
    step = 0.7 / len(pooled)
    with drawing(path, (WIDTH, max(0.52, 0.11 * len(pooled)) * len(names) + 1.6), grid=True, stamps=stamps) as figure:
        axes = figure.add_subplot()
        for place, (system, table, colour, marker) in enumerate(_looks(pooled)):
            height = np.arange(len(names)) + step * (place - (len(pooled) - 1) / 2)
            found = scale * each(measure.by_speaker(table)[1].sum(axis=0))
            axes.hlines(height, 0, found, color=colour, alpha=0.3, linewidth=1.4)
            axes.plot(found, height, linestyle="", marker=marker, markersize=8, color=colour, label=fill(system, NAME))
        for line in range(1, len(names)):
            axes.axhline(line - 0.5, color="0.9", linewidth=1)
        axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        if not measure.numeric:
            axes.set(xlim=(0, 101))
        axes.set(xlabel="CCC" if measure.numeric else "recall (%)")
        axes.grid(visible=False, axis="y")
        figure.legend(loc="outside upper left", ncols=4, frameon=False)


def confusions(pooled: Mapping[str, pd.DataFrame], path: Path, stamps: Sequence[str] = ()) -> None:
    """Draw the confusion matrices side by side: percentages of the target class."""
    import seaborn as sns

    names = list(predictions.classes(next(iter(pooled.values()))))
    columns = _columns(len(pooled), 3)
    side = min(WIDTH / columns, 5.2)
    with drawing(path, (side * columns, 1.1 * side * ceil(len(pooled) / columns)), stamps=stamps) as figure:
        for place, (axes, system, table) in enumerate(_panels(figure, pooled, columns)):
            total = predictions.confusion_by_speaker(table)[1].sum(axis=0)
            share = 100 * total / np.maximum(total.sum(axis=1, keepdims=True), 1)
            look: dict[str, Any] = {"cmap": "Blues", "vmin": 0, "vmax": 100, "cbar": False, "square": True}
            size = 10 if len(names) <= 8 else 8
            sns.heatmap(
                share, ax=axes, annot=True, fmt=".0f", linewidths=1, annot_kws={"fontsize": size}, **look,
                xticklabels=names, yticklabels=names if place % columns == 0 else False,
            )  # fmt: skip
            axes.set_title(fill(system, int(7.5 * side)), fontsize=11, fontweight="bold")
            axes.set(xlabel="predicted", ylabel="target" if place % columns == 0 else "")
            axes.tick_params(axis="y", rotation=0)
            for label in axes.get_xticklabels():
                label.set(rotation=40, horizontalalignment="right", rotation_mode="anchor")


def reliabilities(
    rows: Sequence[Row], pooled: Mapping[str, pd.DataFrame], path: Path, stamps: Sequence[str] = ()
) -> None:
    """Draw accuracy against confidence, a panel a system: above the diagonal a model is less sure than it could be."""
    columns = _columns(len(pooled), 4)
    side = min(WIDTH / columns, 3.6)
    size = (side * columns, side * 1.12 * ceil(len(pooled) / columns))
    colours = _colours(len(pooled))
    with drawing(path, size, grid=True, stamps=stamps) as figure:
        for place, (axes, system, table) in enumerate(_panels(figure, pooled, columns)):
            probabilities, target = predictions.probabilities(table), predictions.target_indices(table)
            points = 100 * reliability(probabilities, target, bins=BINS)[["confidence", "accuracy"]]
            axes.plot([0, 100], [0, 100], color="0.45", linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
            axes.plot(
                points["confidence"], points["accuracy"], marker="o", markersize=6, linewidth=1.8, color=colours[place]
            )
            axes.set_title(f"{fill(system, NAME)}\nECE {percent(rows[place].others['ece'])}", fontsize=11)
            axes.set(xlim=(0, 102), ylim=(0, 102), xlabel="confidence (%)", aspect="equal")
            axes.set(ylabel="accuracy (%)" if place % columns == 0 else "")


def risks(pooled: Mapping[str, pd.DataFrame], path: Path, stamps: Sequence[str] = ()) -> None:
    """Draw how often each system errs on the share of utterances that it is surest of."""
    with drawing(path, (7.6, 4.4), grid=True, stamps=stamps) as figure:
        axes = figure.add_subplot()
        for system, table, colour, _ in _looks(pooled):
            curve = 100 * risk_coverage(predictions.probabilities(table), predictions.target_indices(table))
            curve = curve[curve["coverage"] >= LEAST_COVERAGE]
            axes.plot(curve["coverage"], curve["risk"], color=colour, linewidth=2, label=fill(system, NAME))
        axes.set(xlim=(0, 100), xlabel="coverage: utterances answered, the surest first (%)")
        axes.set(ylabel="risk: errors among them (%)")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)


def ranks(found: CriticalDifference, path: Path, stamps: Sequence[str] = ()) -> None:
    """Draw mean ranks on a line, best at the left, and bars over those that lie within the critical difference."""
    names, last = list(found.ranks), len(found.ranks)
    sides = [names[: ceil(last / 2)], names[ceil(last / 2) :][::-1]]
    lowest = 0.55 + 0.3 * len(found.cliques)
    with drawing(path, (8.6, 0.36 * len(sides[0]) + 0.3 * len(found.cliques) + 1.7), stamps=stamps) as figure:
        axes = figure.add_subplot()
        for side, edge, align in zip(sides, (0.85, last + 0.15), ("right", "left"), strict=True):
            for place, name in enumerate(side):
                depth, rank = lowest + 0.5 * place, found.ranks[name]
                axes.plot([rank, rank, edge], [0, depth, depth], color="0.35", linewidth=1.1)
                words = f"{fill(name, NAME)}  {rank:.2f}" if align == "right" else f"{rank:.2f}  {fill(name, NAME)}"
                axes.annotate(words, (edge, depth), (-5 if align == "right" else 5, 0), textcoords="offset points",
                              ha=align, va="center")  # fmt: skip
        for place, clique in enumerate(found.cliques):
            ends = [found.ranks[clique[0]] - 0.03, found.ranks[clique[-1]] + 0.03]
            axes.plot(ends, [0.3 + 0.3 * place] * 2, color="0.1", linewidth=4.5, solid_capstyle="round")
        axes.plot([1, 1 + found.difference], [-1.15] * 2, color="0.1", linewidth=1.6, marker="|", markersize=9)
        words = (
            f"critical difference {found.difference:.2f}; {found.blocks} speakers, Friedman {p_value(found.p_value)}"
        )
        axes.annotate(words, (1, -1.15), (0, 7), textcoords="offset points", ha="left")
        axes.plot([1, last], [0, 0], color="0.1", linewidth=1.4)
        for rank in range(1, last + 1):
            axes.plot([rank, rank], [0, -0.12], color="0.1", linewidth=1.2)
            axes.annotate(str(rank), (rank, -0.15), (0, 3), textcoords="offset points", ha="center")
        axes.set(ylim=(lowest + 0.5 * len(sides[0]), -1.9), xlim=(0.85, last + 0.15))
        axes.axis("off")


def _colours(number: int) -> list[Any]:
    import seaborn as sns

    return list(sns.color_palette("colorblind", number))


def _looks(pooled: Mapping[str, pd.DataFrame]) -> Iterator[tuple[str, pd.DataFrame, Any, str]]:
    """Yield name, table, colour and marker of each system."""
    for (system, table), colour, marker in zip(pooled.items(), _colours(len(pooled)), "oDs^vPX<", strict=False):
        yield system, table, colour, marker


def _panels(
    figure: "Figure", pooled: Mapping[str, pd.DataFrame], columns: int
) -> Iterator[tuple["Axes", str, pd.DataFrame]]:
    grid = figure.subplots(ceil(len(pooled) / columns), columns, squeeze=False).ravel()
    for axes in grid[len(pooled) :]:
        axes.remove()
    for axes, (system, table) in zip(grid, pooled.items(), strict=False):
        yield axes, system, table


def _columns(panels: int, most: int) -> int:
    """Return the columns that leave the fewest places empty: 5 panels are 3 and 2, not 4 and 1."""
    return ceil(panels / ceil(panels / most))
