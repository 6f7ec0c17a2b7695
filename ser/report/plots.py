"""Pictures of a run: the confusion matrix or the scatter of numbers, and the training curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation.measure import measure_in
from ser.evaluation.metrics import recall_per_class
from ser.evaluation.summary import summarise
from ser.report.drawing import drawing
from ser.report.format import decimal, with_interval, writer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOW_POINTS_UP_TO = 40
"""Epochs beyond which markers would merge into a thick line."""

PANELS = 3
"""Panels beside each other in a scatter picture."""


def confusion_matrix(
    source: Mapping[str, Any] | pd.DataFrame, path: Path, title: str, *, stamps: Sequence[str] = ()
) -> None:
    """Draw a confusion matrix: percentages of each target class in colour and numbers, counts below.

    Args:
        source: A summary (`ser.evaluation.summary`) or a predictions table.
        path: Path of the file; the suffix is the format (``.png``, ``.svg``, ``.pdf``).
        title: Title of the picture; the UAR follows it.
        stamps: What no reader may overlook; see `ser.report.drawing.drawing`.
    """
    import seaborn as sns

    summary = summarise(source) if isinstance(source, pd.DataFrame) else source
    names, counts = list(summary["classes"]), np.array(summary["confusion"])
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (target, predicted)
    texts = [[f"{s:.0f} %\n{n}" for s, n in zip(*row, strict=True)] for row in zip(share, counts, strict=True)]
    empty = np.isnan(recall_per_class(counts))
    side = 0.78 * len(names) + 2.2
    heading = fill(title, int(9 * side))
    with drawing(path, (side + 0.9, side + 0.3 + 0.2 * heading.count("\n")), stamps=stamps) as figure:
        axes = figure.add_subplot()
        sns.heatmap(
            share,
            ax=axes,
            annot=np.array(texts),
            fmt="",
            mask=np.broadcast_to(empty[:, None], share.shape),
            cmap="Blues",
            vmin=0,
            vmax=100,
            square=True,
            linewidths=1,
            linecolor="white",
            annot_kws={"fontsize": 10},
            xticklabels=names,
            yticklabels=[f"{name}\n(none)" if gone else name for name, gone in zip(names, empty, strict=True)],
            cbar_kws={"label": "% of the target class", "shrink": 0.7, "ticks": [0, 25, 50, 75, 100]},
        )
        axes.set(xlabel="predicted", ylabel="target", facecolor="0.93")  # grey: a class without utterances
        axes.tick_params(axis="x", rotation=40 if len(names) > 3 else 0)
        if len(names) > 3:
            for label in axes.get_xticklabels():
                label.set(horizontalalignment="right", rotation_mode="anchor")
        axes.tick_params(axis="y", rotation=0)
        interval = summary["uar_interval"]
        uar = "UAR " + with_interval(summary["uar"], interval["low"], interval["high"], " %")
        figure.suptitle(f"{heading}\n{uar}", fontsize=12.5, fontweight="bold")


def scatter(table: pd.DataFrame, path: Path, title: str, *, stamps: Sequence[str] = ()) -> None:
    """Draw predicted numbers against their targets, a panel a number, with the line on which both are equal.

    Args:
        table: A predictions table of numbers.
        path: Path of the file; the suffix is the format (``.png``, ``.svg``, ``.pdf``).
        title: Title of the picture.
        stamps: What no reader may overlook; see `ser.report.drawing.drawing`.
    """
    import seaborn as sns

    each = summarise(table)["per_dimension"]
    columns = min(len(each), PANELS)
    rows = -(-len(each) // columns)
    colour = sns.color_palette("colorblind")[0]
    with drawing(path, (3.6 * columns + 0.4, 3.7 * rows + 0.6), grid=True, stamps=stamps) as figure:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in panels[len(each) :]:
            axes.remove()
        for axes, (name, scores) in zip(panels, each.items(), strict=False):
            x, y = table[f"target_{name}"], table[f"predicted_{name}"]
            ends = [min(x.min(), y.min()), max(x.max(), y.max())]
            axes.plot(ends, ends, color="0.45", linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
            axes.scatter(x, y, s=14, color=colour, alpha=max(0.1, min(0.6, 60 / len(x))), linewidth=0)
            interval = scores["ccc_interval"]
            ccc = with_interval(scores["ccc"], interval["low"], interval["high"], write=decimal)
            axes.set_title(f"{name}\nCCC {ccc}", fontsize=11)
            axes.set(xlabel="target", ylabel="predicted", aspect="equal", adjustable="datalim")
        figure.suptitle(fill(title, 34 * columns), fontsize=12.5, fontweight="bold")


def training_curves(history: pd.DataFrame, best_epoch: int | None, path: Path, *, stamps: Sequence[str] = ()) -> None:
    """Draw the losses, the development UAR and the learning rate by epoch, with the kept epoch marked.

    Args:
        history: Columns ``epoch`` (from 0; drawn from 1) and any of ``train_loss``, ``dev_loss``, ``dev_uar`` or
            ``dev_ccc``, ``lr``;
            a missing value is omitted from its line, and a panel without values from the picture.
        best_epoch: The epoch whose weights were kept, from 0, or ``None``.
        path: Path of the file; the suffix is the format (``.png``, ``.svg``, ``.pdf``).
        stamps: What no reader may overlook; see `ser.report.drawing.drawing`.

    Raises:
        RunError: If ``history`` has no column ``epoch``, or no values to draw.
    """
    import seaborn as sns

    if "epoch" not in history:
        raise RunError(f"The training history must have a column epoch; got {', '.join(map(str, history.columns))}.")
    history = history.assign(epoch=history["epoch"] + 1)
    best_epoch = None if best_epoch is None else best_epoch + 1
    blue, orange, green, *_ = sns.color_palette("colorblind")
    measure = measure_in(history)
    loss, score = ("loss", measure.name) if measure.numeric else ("cross-entropy (nats)", f"{measure.name} (%)")
    dev = "development (mean squared error)" if measure.numeric else "development"
    panels: list[tuple[str, list[tuple[str, str, Any]], float]] = [
        (loss, [("train_loss", "train", blue), ("dev_loss", dev, orange)], 3.0),
        (score, [(measure.dev, "development", orange)], 3.0),
        ("learning rate", [("lr", "learning rate", green)], 1.2),
    ]
    drawn = [panel for panel in panels if any(len(_series(history, column)) for column, _, _ in panel[1])]
    if not drawn:
        raise RunError("The training history must have values of train_loss, dev_loss, dev_uar or lr; all are empty.")
    heights = [height for _, _, height in drawn]
    with drawing(path, (7.2, 0.8 * sum(heights) + 0.9), grid=True, stamps=stamps) as figure:
        grid = figure.subplots(len(drawn), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
        for axes, (label, lines, _) in zip(grid, drawn, strict=True):
            _draw_panel(axes, history, label, lines)
            if best_epoch is not None:
                axes.axvline(best_epoch, color="0.35", linestyle=(0, (4, 3)), linewidth=1.2, zorder=1)
        _label_best(grid[0], history, best_epoch)
        grid[-1].set_xlabel("epoch")
        grid[-1].xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        grid[-1].set_xlim(history["epoch"].min() - 0.5, history["epoch"].max() + 0.5)
        figure.align_ylabels(list(grid))


def _draw_panel(axes: "Axes", history: pd.DataFrame, label: str, lines: list[tuple[str, str, Any]]) -> None:
    for column, name, colour in lines:
        series = _series(history, column) * (100 if column == "dev_uar" else 1)
        marker = "o" if len(series) <= SHOW_POINTS_UP_TO else None
        axes.plot(series.index, series, label=name, color=colour, marker=marker, markersize=4, linewidth=1.8)
    if label == "learning rate":
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if len(lines) > 1:
        axes.legend(loc="upper right", edgecolor="none", framealpha=0.9)
    axes.set_ylabel(label)


def _label_best(axes: "Axes", history: pd.DataFrame, best_epoch: int | None) -> None:
    if best_epoch is None:
        return
    measure = measure_in(history)
    scores = _series(history, measure.dev)
    score = f", development {measure.name} {writer(measure)(scores[best_epoch])}" if best_epoch in scores.index else ""
    axes.set_title(f"kept: epoch {best_epoch}{score}", fontsize=10.5, color="0.25", loc="left")


def _series(history: pd.DataFrame, column: str) -> "pd.Series[float]":
    """Return the values by epoch, the last where an epoch has several rows; empty if the column is missing."""
    if column not in history:
        return pd.Series(dtype=np.float64)
    values = history[["epoch", column]].dropna().astype(np.float64)
    return values.groupby("epoch")[column].last()
