"""The reports of `Adaptation` and `Skew`: UAR by the known clips of each test speaker, as tables and as pictures."""

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
    table.caption += "interval excludes 0 and is over 6 speakers or more."
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


def skew_table(measured: Mapping[str, Any], title: str, stamps: Sequence[str] = ()) -> Table:
    """Lay out UAR by the classes of the known clips, and its change from none in percentage points."""
    headings = ("known clips", "UAR", "sd", "95 % interval", "change", "95 % interval")
    table = simple_table(heading(title, stamps), *headings, left=1)
    nobody, *others = measured["points"]
    table.add_row(nobody["known"], percent(nobody["uar"]), "", ends(nobody["uar_interval"]))
    for point in others:
        sd = "" if point["uar_sd"] is None else percent(point["uar_sd"], "")
        table.add_row(point["known"], percent(point["uar"]), sd, ends(point["uar_interval"]), *change_cells(point))
    table.caption = (
        f"{measured['n_utterances']} utterances of {measured['n_speakers']} speakers, all scored for every row. Known clips "
        "are unlabelled, and no clip is normalised by itself. Where one class is too frequent, each class is that one in "
        "turn. sd: between draws. In use most clips are of one class: quote the row of 70 % of one class."
    )
    if caution := nobody["uar_interval"]["caution"]:
        table.caption += f" Caution: {caution}."
    return table


def skew_picture(measured: Mapping[str, Any], path: Path, title: str, *, stamps: Sequence[str] = ()) -> None:
    """Draw UAR by the classes of the known clips, with intervals over speakers and no known clip as a dashed line."""
    import seaborn as sns

    points = measured["points"]
    at = list(range(len(points)))[::-1]
    uars = [100 * point["uar"] for point in points]
    blue = sns.color_palette("colorblind")[0]
    with drawing(path, (6.2, 0.6 + 0.5 * len(points)), stamps=stamps) as figure:
        axes = figure.add_subplot()
        axes.axvline(uars[0], color="0.35", linestyle=(0, (5, 3)), linewidth=1.2)
        for point, height in zip(points, at, strict=True):
            if (interval := point["uar_interval"])["low"] is not None:
                axes.hlines(
                    height, 100 * interval["low"], 100 * interval["high"], color=blue, alpha=0.45, linewidth=1.6
                )
        axes.plot(uars, at, color=blue, marker="o", markersize=5.5, linestyle="", zorder=3)
        axes.set_yticks(at, [point["known"] for point in points])
        axes.set_xlabel("UAR (%), 95 % over speakers")
        axes.set_ylabel("known clips of each speaker")
        axes.set_title(title, fontsize=11, loc="left")


def _draws(measured: Mapping[str, Any]) -> int:
    return max(int(point["draws"]) for point in measured["curve"])
