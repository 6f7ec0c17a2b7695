"""Charts of numbers by group: counts, histograms, violins, maps of points and mean spectra."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.pictures.album import COLUMN, Album
from ser.report.format import MINUS
from ser.runtime.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from matplotlib.legend import Legend
    from matplotlib.ticker import Locator

BARS = 30
"""Groups that a chart has room for: those with the most clips."""
COLOURS = 10
"""Groups that can be told apart by colour; the others are grey."""
STYLES = ("-", "--", "-.", ":")
MARKERS = "osD^vPX*<>"
FIRST, OTHERS = "#0173b2", "0.75"
LETTERS = 22
"""Letters of a group's name that a chart has room for."""
LEAST = 3
"""Values that a violin needs."""


def colours(groups: Sequence[str]) -> dict[str, tuple[float, float, float]]:
    """Return a colour for each of the first groups, which colour-blind readers can tell apart too."""
    import seaborn as sns

    return dict(zip(groups, sns.color_palette("colorblind", COLOURS), strict=False))


def counts(album: Album, name: str, title: str, table: pd.DataFrame) -> None:
    """Draw the clips of each group as bars, divided by sex or whatever the columns are.

    Args:
        album: Where the picture goes.
        name: Of the picture.
        title: Above it.
        table: Counts; a row a group, a column a part of it.
    """
    largest = table.sum(axis=1).sort_values(ascending=False, kind="stable").index[:BARS]
    shown = table[table.index.isin(largest)]
    rest = len(table) - len(shown)
    by_part = colours(list(map(str, table.columns)))
    names = list(map(str, table.columns)) if len(table.columns) > 1 else []
    with album.drawing(name, (COLUMN, 0.9 + 0.17 * max(len(shown), 3) + _legend_inches(names))) as figure:
        axes = figure.add_subplot()
        left = np.zeros(len(shown))
        labels = [short(group) for group in shown.index]
        for part in shown:
            axes.barh(range(len(shown)), shown[part], left=left, label=str(part), color=by_part.get(str(part), OTHERS))
            left += shown[part].to_numpy()
        for row, total in enumerate(left):
            axes.text(total, row, f" {total:.0f}", va="center", fontsize="small")
        axes.set_yticks(range(len(shown)), labels)
        axes.set(xlabel=f"clips (and {counted(rest, 'more group')})" if rest else "clips", xlim=(0, 1.15 * left.max()))
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.xaxis.set_major_locator(whole_numbers())
        axes.spines[["top", "right"]].set_visible(False)
        _titled(axes, title)
        if names:
            _legend(figure, names)


def histogram(album: Album, name: str, title: str, label: str, values: np.ndarray) -> None:
    """Draw how often each value occurs, with the median."""
    middle = float(np.median(values))
    with album.drawing(name, (COLUMN, 2.1), grid=True) as figure:
        axes = figure.add_subplot()
        axes.hist(
            values,
            bins=min(40, max(5, round(len(values) ** 0.5))),
            color=FIRST,
            edgecolor="white",
            linewidth=0.3,
        )
        axes.axvline(middle, color="0.2", linestyle=(0, (4, 3)), linewidth=1)
        axes.set(xlabel=label, ylabel="clips")
        axes.yaxis.set_major_locator(whole_numbers())
        _titled(axes, f"{title}\nmedian {middle:.3g}".replace("-", MINUS))


def violins(
    album: Album, name: str, title: str, label: str, values: np.ndarray, groups: pd.Series, order: Sequence[str]
) -> None:
    """Draw the distribution of a number in each group, with its median and quartiles; few values are drawn as points."""
    shown = list(order)[:BARS]
    by_group = colours(shown)
    with album.drawing(name, (COLUMN, 0.95 + 0.24 * max(len(shown), 3)), grid=True) as figure:
        axes = figure.add_subplot()
        for row, group in enumerate(shown):
            these = values[(groups == group).to_numpy()]
            _violin(axes, row, these[~np.isnan(these)], by_group.get(group, OTHERS))
        axes.set_yticks(range(len(shown)), [short(group) for group in shown])
        axes.set(xlabel=label, ylim=(len(shown) - 0.4, -0.6))
        axes.locator_params(axis="x", nbins=5)  # numbers such as 0.175 have no room for more
        axes.grid(visible=False, axis="y")
        _titled(axes, title)


def _violin(axes: "Axes", row: int, values: np.ndarray, colour: object) -> None:
    if len(np.unique(values)) < LEAST:
        axes.plot(values, np.full(len(values), row), "o", markersize=3, color=colour)
        return
    low, high = np.quantile(values, [0.005, 0.995])  # so that one clip does not make the picture
    drawn: dict[str, Any] = axes.violinplot(
        np.clip(values, low, high), [row], orientation="horizontal", widths=0.85, showextrema=False
    )
    drawn["bodies"][0].set(facecolor=colour, alpha=0.6, edgecolor="none")
    first, middle, last = np.quantile(values, [0.25, 0.5, 0.75])
    axes.plot([first, last], [row, row], color="0.15", linewidth=2.2, solid_capstyle="butt")
    axes.plot([middle], [row], "o", color="white", markeredgecolor="0.15", markersize=3.5)


def points(album: Album, name: str, title: str, labels: tuple[str, str], places: np.ndarray, groups: pd.Series) -> None:
    """Draw clips as points of a map, the groups with the most clips in colours.

    Shapes:
        - places: ``(clip, 2)``
        - groups: ``(clip,)``
    """
    found = groups.value_counts()
    shown = sorted(found.index[:COLOURS])
    by_group = colours(shown)
    size = float(np.clip(3000 / len(groups), 3, 14))
    names = [short(group) for group in shown] + ["others"] * (len(found) > len(shown))
    with album.drawing(name, (COLUMN, 3.1 + _legend_inches(names))) as figure:
        axes = figure.add_subplot()
        style: dict[str, Any] = {"s": size, "linewidth": 0, "alpha": 0.75, "rasterized": len(groups) > 2000}
        rest = ~groups.isin(shown).to_numpy()
        if rest.any():
            axes.scatter(*places[rest].T, color=OTHERS, label=f"{len(found) - len(shown)} others", **style)
        for group, marker in zip(shown, MARKERS, strict=False):
            at = (groups == group).to_numpy()
            axes.scatter(*places[at].T, color=by_group[group], marker=marker, label=short(group), **style)
        axes.set(xlabel=labels[0], ylabel=labels[1], xticks=[], yticks=[])
        _titled(axes, title)
        for handle in _legend(figure, names).legend_handles:
            handle.set(sizes=[16], alpha=1)  # type: ignore[union-attr]


def bars(album: Album, name: str, title: str, label: str, values: Mapping[str, tuple[float, float]]) -> None:
    """Draw the largest of some numbers as bars, each with its deviation."""
    shown = sorted(values.items(), key=lambda item: -item[1][0])[:BARS]
    rest = len(values) - len(shown)
    with album.drawing(name, (COLUMN, 0.9 + 0.17 * max(len(shown), 3)), grid=True) as figure:
        axes = figure.add_subplot()
        means, deviations = zip(*(value for _, value in shown), strict=True)
        error = {"ecolor": "0.2", "elinewidth": 0.8}
        axes.barh(range(len(shown)), means, xerr=deviations if any(deviations) else None, color=FIRST, error_kw=error)
        axes.set_yticks(range(len(shown)), [short(group) for group, _ in shown])
        axes.set(xlabel=label, ylim=(len(shown) - 0.4, -0.6))
        axes.locator_params(axis="x", nbins=5)  # numbers such as 0.175 have no room for more
        axes.grid(visible=False, axis="y")
        _titled(axes, f"{title}\n{counted(rest, 'smaller one')} left out" if rest else title)


def whole_numbers() -> "Locator":
    """Return what places ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, nbins="auto")


def lines(
    album: Album,
    name: str,
    title: str,
    values: np.ndarray,
    groups: Sequence[str],
    axis: tuple[str, Sequence[tuple[float, str]]],
    label: str,
) -> None:
    """Draw a line for each group over rows of features, such as bands.

    Shapes:
        - values: ``(group, row)``
        - axis: label and ticks of the rows
    """
    names = [short(group) for group in groups]
    with album.drawing(name, (COLUMN, 2.5 + _legend_inches(names)), grid=True) as figure:
        axes = figure.add_subplot()
        for group, row, style, colour in zip(names, values, STYLES * len(names), colours(names).values(), strict=False):
            axes.plot(np.arange(len(row)) + 0.5, row, linestyle=style, color=colour, label=group, linewidth=1.3)
        if axis[1]:
            axes.set_xticks([at for at, _ in axis[1]], [text for _, text in axis[1]])
        axes.set(xlabel=axis[0], ylabel=label)
        _titled(axes, title)
        _legend(figure, names)


def _legend(figure: "SubFigure", names: Sequence[str]) -> "Legend":
    """Add a legend below the axes, in as many columns as have room."""
    columns = _legend_columns(names)
    return figure.legend(loc="outside lower center", ncols=columns, frameon=False, handletextpad=0.3, columnspacing=1)


def _legend_columns(names: Sequence[str]) -> int:
    return max(1, min(4, 42 // (max(map(len, names)) + 5))) if names else 1


def _legend_inches(names: Sequence[str]) -> float:
    """Return the height of the legend of some names."""
    return 0.17 * -(-len(names) // _legend_columns(names)) + 0.1 * bool(names)


def short(name: object) -> str:
    """Return a name cut to what a chart has room for."""
    text = str(name)
    return (
        text
        if len(text) <= LETTERS
        else shorten(text, LETTERS, placeholder="…")
        if " " in text
        else text[: LETTERS - 1] + "…"
    )


def _titled(axes: "Axes", title: str) -> None:
    axes.set_title(title, fontweight="bold", fontsize="medium")
