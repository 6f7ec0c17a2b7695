"""Selected numbers beyond the scores, each with its meaning, for the terminal and the card."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from ser.corpora.manifest import FURTHER
from ser.evaluation.conformal import caution
from ser.evaluation.measure import measure_in
from ser.protocols.stamps import counted_as, speakers_in_words
from ser.report.format import Writer, decimal, percent, probability, with_interval, writer
from ser.runtime.words import and_more


def highlights(
    profile: Mapping[str, Any], stamps: Sequence[str] = (), dev_speakers: int | None = None
) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and meaning of selected numbers beyond the scores of a result with some stamps.

    Args:
        profile: See `ser.evaluation.profile`.
        stamps: Of the result.
        dev_speakers: Those of the fold that has the fewest; ``None`` where they are unknown.
    """
    calibration, selective = profile.get("calibration", {}), profile.get("selective", {})
    if "ece" in calibration:
        after = calibration.get("after", {}).get("ece")
        yield (
            "Calibration error (ECE)",
            _scored(calibration, "ece", " %")
            + (
                f", {_scored(calibration['after'], 'ece', ' %')} after temperature scaling" if after is not None else ""
            ),
            "Mean distance between its confidence and how often it is right; 0 is best. The temperature is fitted on the "
            "development (dev) speakers.",
        )
    if "corpora" in calibration:
        scaled = calibration.get("after", {}).get("corpora", {})
        each = (
            f"{name} {_scored(one, 'ece', ' %')}" + (f" ({percent(scaled[name]['ece'])})" if name in scaled else "")
            for name, one in calibration["corpora"].items()
        )
        yield (
            "ECE inside each corpus",
            ", ".join(each),
            "Over all corpora together, too sure in one and too unsure in another cancel."
            + (" In parentheses: after temperature scaling." if scaled else ""),
        )
    if "brier" in calibration:
        yield (
            "Brier score",
            _scored(calibration, "brier", write=decimal),
            "Squared distance of its probabilities to the truth, summed over the classes, 0 to 2; 0 is best.",
        )
    if "aurc" in selective:
        half = selective.get("risk_at", {}).get("0.5")
        yield (
            "Risk over coverage (AURC)",
            _scored(selective, "aurc", write=decimal)
            + (f"; {percent(half)} wrong on the surer half" if half is not None else ""),
            "Error rate when it answers only the clips it is surest of, averaged over how many it answers; 0 is best.",
        )
    if conformal := profile.get("conformal"):
        few = None if dev_speakers is None else caution(dev_speakers)
        yield (
            f"Sets that hold the answer {percent(conformal['level'])} of the time",
            f"{conformal['mean_size']:.1f} classes, right {_scored(conformal, 'coverage', ' %')}",
            "Conformal prediction: the classes that it cannot rule out, by a threshold from the dev speakers; the fewer, the "
            "better." + (f" Caution: {few}." if few else ""),
        )
    if soft := profile.get("soft"):
        yield (
            "Listeners who would agree",
            f"{percent(soft['agreement'])}; with each other {percent(soft['listener_agreement'])}",
            "Chance that a listener drawn at random names its top class. Its probabilities diverge from the votes by "
            f"{soft['jsd']:.3f} bits; the mean votes, given for every clip, by {soft['jsd_of_mean_votes']:.3f}.",
        )
        if "multilabel_f1" in soft:  # profiles of earlier versions do not have it
            yield (
                "Macro F1 of what listeners heard",
                _scored(soft, "multilabel_f1", " %"),
                "A clip has each class that more than an equal share of the listeners chose, and is given each whose "
                "probability is above an equal share: the rule of EMO-SUPERB. The mean votes, given for every clip, have "
                f"{percent(soft['multilabel_f1_of_mean_votes'])}.",
            )
    yield from _unevenness(profile.get("fairness", {}), stamps)
    yield from _further(profile)


def _scored(scores: Mapping[str, Any], key: str, unit: str = "", write: Writer = percent) -> str:
    """Write a score with its interval, which results of earlier versions do not have."""
    interval = scores.get(f"{key}_interval") or {}
    return with_interval(scores[key], interval.get("low"), interval.get("high"), unit, write=write)


def _further(profile: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the groups of a column of the user's own that differ within speakers, so that no gap is tested."""
    for column, rows in profile.get("groups", {}).items():
        if column.startswith(FURTHER) and column not in profile["fairness"] and len(rows) > 1:
            measure = measure_in(rows[0])
            scores = ", ".join(f"{row['group']} {writer(measure)(row[measure.key])}" for row in rows)
            text = f"{measure.name} of each group. A speaker is in several of them, so chance is not estimated."
            yield f"By {column.removeprefix(FURTHER)}", scores, text


def _unevenness(fairness: Mapping[str, Any], stamps: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    worst = fairness.get("speakers", {}).get("worst", {})
    measure = measure_in(worst)
    name, key, write = measure.name, measure.key, writer(measure)
    if worst:
        yield (
            f"Worst {' or '.join(counted_as(stamps))}",
            f"{worst['speaker']}, {name} {write(worst[key])}",
            f"The lowest {name} of {speakers_in_words(stamps, fairness['speakers']['n_speakers'])} in test, whose mean is "
            f"{write(fairness['speakers'][f'{key}_mean'])}.",
        )
    tested = sum("p_holm" in gap for gap in fairness.values())
    for column, gap in fairness.items():
        if column != "speakers":
            best, worst = gap["best"], gap["worst"]
            groups = f"{best['group']} {write(best[key])}, {worst['group']} {write(worst[key])}"
            others = and_more(gap.get("other_classes", []))
            yield (
                f"Gap by {column.removeprefix(FURTHER)}",
                f"{write(gap['gap'], ' points')}: {groups}" + (f"; with other classes: {others}" if others else ""),
                f"{name} of the best group less that of the worst. Random groups give "
                f"{write(gap['gap_by_chance'], ' points')} on average; p, the probability that they are as far apart"
                f"{', after Holm' if tested > 1 else ''}: {probability(gap.get('p_holm', gap['p_value']))}.",
            )


def highlights_table(
    profile: Mapping[str, Any], stamps: Sequence[str] = (), dev_speakers: int | None = None
) -> RenderableType:
    """Lay out `highlights` for the terminal: one line each, with its meaning below."""
    lines: list[RenderableType] = [
        Text(),
        Text("Beyond the scores [95 % intervals over speakers]", style="bold"),
        Text(),
    ]
    for name, value, meaning in highlights(profile, stamps, dev_speakers):
        lines += [
            Padding(Text.assemble((name, "bold"), ": ", value), (0, 2)),
            Padding(Text(meaning, style="dim"), (0, 4)),
        ]
    return Group(*lines, Text())
