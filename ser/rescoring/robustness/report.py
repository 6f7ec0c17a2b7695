"""The report of `Robustness`: a table for the terminal, and a panel of scores over the levels for each family of effects."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ser.evaluation.measure import measure_in
from ser.report.drawing import drawing
from ser.report.format import writer
from ser.report.tables import change_cells, ends, heading, simple_table
from ser.runtime.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
"""Panels in a row."""


def conditions_table(measured: Mapping[str, Any], title: str, stamps: Sequence[str] = ()) -> Table:
    """Lay out UAR (or CCC) by condition and its change from clean speech in points; bold if its interval excludes 0."""
    clean = measured["clean"]
    measure = measure_in(clean)
    write = writer(measure)
    headings = ("condition", measure.name, "95 % interval", "change", "95 % interval")
    table = simple_table(heading(title, stamps), *headings, no_wrap=True)

    def cells(row: Mapping[str, Any]) -> tuple[str, str]:
        return write(row[measure.key]), ends(row[f"{measure.key}_interval"], write=write)

    table.add_row(Text("clean", style="bold"), *cells(clean))
    family = ""
    for row in measured["conditions"]:
        if row["family"] != family:
            table.add_section()
        family = row["family"]
        table.add_row(row["condition"], *cells(row), *change_cells(row, write))
    table.caption = f"{counted(measured['n_utterances'], 'utterance')}, {counted(measured['n_speakers'], 'speaker')}. "
    table.caption += (
        "CCC: concordance, averaged over the numbers. Intervals are over speakers. Changes are "
        if measure.numeric
        else "UAR: recall averaged over the classes. Intervals are over speakers. Changes are in percentage points "
    )
    table.caption += "from clean speech, in bold if the interval excludes 0 and is over 6 speakers or more."
    if caution := clean[f"{measure.key}_interval"]["caution"]:
        table.caption += f" Caution: {caution}."
    return table


def curves(measured: Mapping[str, Any], path: Path, title: str, *, stamps: Sequence[str] = ()) -> None:
    """Draw UAR (or CCC) over the levels of each effect: a panel for each family, mild on the left, clean speech dashed.

    Levels are evenly spaced. Bands, or bars for an effect of one level, are 95 % intervals over speakers.
    """
    families = list(dict.fromkeys(row["family"] for row in measured["conditions"]))
    across = min(COLUMNS, len(families))
    down = -(-len(families) // across)
    with drawing(path, (3.3 * across + 0.4, 2.6 * down + 0.9), grid=True, stamps=stamps) as figure:
        grid = figure.subplots(down, across, sharey=True, squeeze=False)
        for axes in grid.flat[len(families) :]:
            axes.set_visible(False)
        for axes, family in zip(grid.flat, families, strict=False):
            _panel(axes, [row for row in measured["conditions"] if row["family"] == family], measured)
        for row in grid:
            measure = measure_in(measured["clean"])
            row[0].set_ylabel(measure.name + " (%)" * (not measure.numeric))
        clean, chance = (line for line in grid[0, 0].lines if line.get_label() in ("clean", "chance"))
        # The legend carries the title, as the layout reserves room for one item above the panels.
        look: dict[str, Any] = {"title": title, "title_fontproperties": {"size": 12.5, "weight": "bold"}}
        figure.legend(handles=[clean, chance], loc="outside upper center", ncols=2, frameon=False, **look)


def _panel(axes: "Axes", rows: Sequence[Mapping[str, Any]], measured: Mapping[str, Any]) -> None:
    import seaborn as sns

    effects = list(dict.fromkeys(row["effect"] for row in rows))
    levels = _in_order(rows)
    measure = measure_in(measured["clean"])
    scale, chance = (1, 0.0) if measure.numeric else (100, 1 / len(measured["classes"]))
    axes.axhline(
        scale * measured["clean"][measure.key], color="0.25", linestyle=(0, (5, 3)), linewidth=1.2, label="clean"
    )
    axes.axhline(scale * chance, color="0.55", linestyle=":", linewidth=1.2, label="chance")
    lines = []
    for colour, marker, effect in zip(sns.color_palette("colorblind"), "osD^vPX*<>", effects, strict=False):
        mine = [row for row in rows if row["effect"] == effect]
        at = [levels.index(row["level"]) for row in mine]
        scores = [scale * row[measure.key] for row in mine]
        (line,) = axes.plot(at, scores, color=colour, marker=marker, markersize=4.5, linewidth=1.8, label=effect)
        lines.append(line)
        intervals = [row[f"{measure.key}_interval"] for row in mine]
        if any(end["low"] is None for end in intervals):
            continue
        low, high = ([scale * end[side] for end in intervals] for side in ("low", "high"))
        if len(at) > 1:
            axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        else:
            axes.vlines(at, low, high, color=colour, alpha=0.5, linewidth=1.8)
    axes.set_xticks(range(len(levels)), [f"{level:g}" for level in levels])
    axes.set_xlim(-0.35, len(levels) - 0.65)
    axes.set_xlabel(f"{rows[0]['quantity']} ({rows[0]['unit']})")
    family = rows[0]["family"]
    heading = family if len(effects) > 1 or family in effects else f"{family}: {effects[0]}"
    axes.set_title(heading, fontsize=11, loc="left")
    axes.grid(visible=False, axis="x")
    if len(effects) > 1:
        look: dict[str, Any] = {"fontsize": 8, "handlelength": 1.2, "handletextpad": 0.4, "columnspacing": 0.7}
        beside: dict[str, Any] = {"bbox_to_anchor": (1.02, 1.0), "borderaxespad": 0.3, "borderpad": 0.1}
        # Beside the title, clear of the curves.
        axes.legend(handles=lines, loc="lower right", ncols=len(lines), frameon=False, **look, **beside)


def _in_order(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the levels of a family, ascending or descending as in its first effect with several levels."""
    by_effect: dict[str, list[float]] = {}
    for row in rows:
        by_effect.setdefault(row["effect"], []).append(row["level"])
    first = next((levels for levels in by_effect.values() if len(levels) > 1), [0.0])
    return sorted({row["level"] for row in rows}, reverse=first[0] > first[-1])
