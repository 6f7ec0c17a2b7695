"""The report of `Adaptation`: UAR over the number of adaptation clips, as a table for the terminal and as a curve."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ser.report.drawing import drawing
from ser.report.format import percent
from ser.report.tables import change_cells, ends, heading, simple_table


def curve_table(measured: Mapping[str, Any], title: str, stamps: Sequence[str] = ()) -> Table:
    """Lay out UAR by adaptation clips, and its change from none in percentage points; bold if its interval excludes 0."""
    headings = ("adaptation clips", "UAR", "sd", "95 % interval", "change", "95 % interval")
    table = simple_table(heading(title, stamps), *headings, left=0, no_wrap=True)
    for point in measured["curve"]:
        sd = "" if point["uar_sd"] is None else percent(point["uar_sd"], "")
        row = [str(point["k"]), percent(point["uar"]), sd, ends(point["uar_interval"])]
        table.add_row(*row, *(change_cells(point) if point["k"] else ()))
    draws, (fewest, most) = _draws(measured), measured["clips_per_speaker"]
    clips = str(most) if fewest == most else f"{fewest} to {most}"
    table.caption = f"{measured['n_utterances']} utterances, {measured['n_speakers']} speakers of {clips} clips, "
    table.caption += (
        "all scored for every row. UAR: recall averaged over the classes. Adaptation clips are unlabelled. "
    )
    if draws > 1:
        table.caption += f"Each UAR is the mean of {draws} draws of them; sd: between draws. "
    table.caption += (
        "Intervals are over speakers. Changes are in percentage points from no adaptation clip, in bold if the "
    )
    table.caption += "interval excludes 0."
    if caution := measured["curve"][0]["uar_interval"]["caution"]:
        table.caption += f" Caution: {caution}."
    return table


def curve(measured: Mapping[str, Any], path: Path, title: str, *, stamps: Sequence[str] = ()) -> None:
    """Draw UAR over the number of adaptation clips, evenly spaced, with no adaptation clip as a dashed line.

    The band is one standard deviation between draws to either side; bars are 95 % intervals over speakers.
    """
    import seaborn as sns

    points = measured["curve"]
    at = list(range(len(points)))
    uars = [100 * point["uar"] for point in points]
    sds = [100 * (point["uar_sd"] or 0.0) for point in points]
    blue = sns.color_palette("colorblind")[0]
    with drawing(path, (5.8, 4.0), grid=True, stamps=stamps) as figure:
        axes = figure.add_subplot()
        axes.axhline(uars[0], color="0.35", linestyle=(0, (5, 3)), linewidth=1.2)
        axes.plot(at, uars, color=blue, marker="o", markersize=5.5, linewidth=1.8, zorder=3, label="UAR")
        if (draws := _draws(measured)) > 1:
            low, high = ([uar + side * sd for uar, sd in zip(uars, sds, strict=True)] for side in (-1, 1))
            label = f"± sd of {draws} draws of clips"
            axes.fill_between(at, low, high, color=blue, alpha=0.25, linewidth=0, label=label)
        intervals = [point["uar_interval"] for point in points]
        if all(end["low"] is not None for end in intervals):
            low, high = ([100 * end[side] for end in intervals] for side in ("low", "high"))
            axes.vlines(at, low, high, color=blue, alpha=0.45, linewidth=1.6, label="95 % over speakers")
        axes.set_xticks(at, [str(point["k"]) for point in points])
        axes.set_xlim(-0.35, len(points) - 0.65)
        axes.set_xlabel("adaptation clips of each test speaker, unlabelled")
        axes.set_ylabel("UAR (%)")
        axes.grid(visible=False, axis="x")
        # The legend carries the title, as the layout reserves room for one item above the panel.
        look: dict[str, Any] = {"title": title, "title_fontproperties": {"size": 12.5, "weight": "bold"}}
        figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9.5, **look)


def _draws(measured: Mapping[str, Any]) -> int:
    return max(int(point["draws"]) for point in measured["curve"])
