"""The few numbers beyond the scores that a reader should see, for the terminal and for the card."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from ser.report.format import p_value, percent


def highlights(profile: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Choose the numbers beyond the scores that a reader should see: name, value, what it means.

    Args:
        profile: As `ser.evaluation.profile.profile` gives it, with or without its tables.
    """
    calibration, selective = profile.get("calibration", {}), profile.get("selective", {})
    if "ece" in calibration:
        after = calibration.get("after", {}).get("ece")
        yield (
            "Calibration error (ECE)",
            percent(calibration["ece"])
            + (f", {percent(after)} after temperature scaling" if after is not None else ""),
            "how far its confidence is from how often it is right, on average; 0 is best",
        )
    if "aurc" in selective:
        half = selective.get("risk_at", {}).get("0.5")
        yield (
            "Risk over coverage (AURC)",
            f"{selective['aurc']:.3f}" + (f"; {percent(half)} wrong on the surer half" if half is not None else ""),
            "its error rate if it may stay silent where it is unsure, averaged over how often it speaks; 0 is best",
        )
    if conformal := profile.get("conformal"):
        yield (
            f"Sets that hold the answer {percent(conformal['level'])} of the time",
            f"{conformal['mean_size']:.1f} classes, right {percent(conformal['coverage'])}",
            "conformal prediction, its threshold from dev speakers; the fewer classes, the more it knows",
        )
    if soft := profile.get("soft"):
        yield (
            "Listeners who would agree",
            f"{percent(soft['agreement'])}; with each other {percent(soft['listener_agreement'])}",
            f"divergence from the votes {soft['jsd']:.3f} bits; of their mean from them {soft['jsd_of_mean_votes']:.3f}",
        )
    yield from _unevenness(profile.get("fairness", {}))


def _unevenness(fairness: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if worst := fairness.get("speakers", {}).get("worst"):
        yield (
            "Worst speaker",
            f"{worst['speaker']}, UAR {percent(worst['uar'])}",
            f"of {fairness['speakers']['n_speakers']} speakers, whose mean is {percent(fairness['speakers']['uar_mean'])}",
        )
    for column, gap in fairness.items():
        if column != "speakers":
            best, worst = gap["best"], gap["worst"]
            yield (
                f"Gap by {column}",
                f"{percent(gap['gap'], ' points')}: {best['group']} {percent(best['uar'])}, "
                f"{worst['group']} {percent(worst['uar'])}",
                f"{p_value(gap['p_value'])}; chance alone gives {percent(gap['gap_by_chance'], ' points')} on average",
            )


def highlights_table(profile: Mapping[str, Any]) -> Table:
    """Lay out `highlights` for the terminal."""
    table = Table(title=Text("Beyond the scores", style="bold"), title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("")
    table.add_column("value")
    for name, value, _ in highlights(profile):
        table.add_row(Text(name), Text(value))
    return table
