"""A run's numbers as tables for the terminal, 80 columns wide."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box, get_console
from rich.align import Align
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ser.evaluation.intervals import ENOUGH_TO_TEST
from ser.evaluation.measure import measure_in
from ser.protocols.stamps import meaning, speakers_in_words
from ser.report import format
from ser.report.format import UNDEFINED, Writer, decimal, percent, with_interval, writer
from ser.report.guesses import guesses_in_words, not_beaten_in_words
from ser.report.highlights import highlights_table
from ser.runtime.help_page import protocol_summary
from ser.runtime.words import counted

WIDTH = 80
PER_NUMBER = "r: Pearson's. sd: standard deviation of the targets, the RMSE of always answering their mean."
PER_CLASS = """\
Recall: share of a class that was found. Precision: share of the answers that
were right. F1: their harmonic mean. Support: utterances."""
FOLD = "A fold is one division of the clips into training, development (dev) and test."
BY_FOLD = "Mean and standard deviation (sd) over folds. The {score} at the top is of all folds' utterances together."
SCORES = (
    "Macro F1: mean F1 of the classes. Cross-entropy: mean of -log of the probability of the right class; 0 is best, "
    "guessing gives {guessing}."
)
OF_NUMBERS = (
    "CCC: concordance of predictions and targets, the mean over the numbers; 1 is best, constant answers give 0.",
    "Pearson's r: their correlation, whatever the unit. RMSE: root mean squared error in the unit of the numbers. Means "
    "over the numbers, too.",
)


def results_table(
    summary: Mapping[str, Any], title: str, stamps: Sequence[str] = (), notes: Sequence[str] = ()
) -> RenderableType:
    """Lay out a summary: the scores, the interval of UAR (or CCC) and its caution, then the scores by class (or number).

    Args:
        summary: See `ser.evaluation.summary.summarise`.
        title: What was scored: ``cnn on ravdess``.
        stamps: What no reader may overlook (``not speaker-independent``, ``synthetic speech``): in capitals in a frame
            above the scores and again in their title, with or without colour.
        notes: Lines below the tables.

    Example:
        >>> from rich.console import Console
        >>> interval = {"low": 0.61, "high": 0.72, "level": 0.95, "speakers": 24, "caution": None}
        >>> summary = {"uar": 0.668, "accuracy": 0.7, "macro_f1": 0.66, "cross_entropy": 1.01, "uar_interval": interval}
        >>> summary |= {"classes": [], "per_class": {}, "n_utterances": 720, "n_speakers": 24, "n_folds": 4}
        >>> console = Console(width=80)
        >>> with console.capture() as printed:
        ...     console.print(results_table(summary, "cnn on ravdess", stamps=("synthetic speech",)))
        >>> "SYNTHETIC SPEECH" in printed.get()
        True
    """
    interval = summary[f"{measure_in(summary).key}_interval"]
    caution = (interval["caution"] or "").replace("speakers", speakers_in_words(stamps))
    parts: list[RenderableType] = [_stamp(stamps)] if stamps else []
    parts.append(_scores(summary, heading(title, stamps), stamps))
    parts += [Text(f"Caution: {caution}.", style="bold yellow")] if caution else []
    parts += [*_dim(_meaning(summary, stamps)), Text()]
    if "dimensions" in summary:
        parts += [_numbers(summary), *_dim([PER_NUMBER])]
    else:
        parts += [_classes(summary), Text(PER_CLASS, style="dim")]
    return Group(*parts, *_dim(notes), Text())


def run_notes(about: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the protocol and the labels of a run, each explained in a line, and what guesses without listening reach.

    Args:
        about: The entry ``run`` of its metrics.
        summary: See `ser.evaluation.summary.summarise`.
    """
    what = protocol_summary(about["protocol"]) or "not one of the package."
    protocol = f"Protocol {about['protocol']}: {what} {FOLD}"
    guesses = guesses_in_words(about), not_beaten_in_words(about, summary)
    return protocol, f"Labels: {about['labels']}.", *filter(None, guesses)


def print_results(
    summary: Mapping[str, Any],
    profile: Mapping[str, Any],
    title: str,
    stamps: Sequence[str],
    notes: Sequence[str] = (),
    dev_speakers: int | None = None,
) -> None:
    """Print all tables of a run; arguments as of `results_table`, and `ser.report.highlights.highlights_table`."""
    console = get_console()  # silenced in a sweep
    console.print(results_table(summary, title, stamps, notes))
    if "confusion" in summary:
        console.print(confusion_table(summary))
    if summary["n_folds"] > 1:
        console.print(folds_table(summary, stamps))
    console.print(highlights_table(profile, stamps, dev_speakers))


def confusion_table(summary: Mapping[str, Any]) -> RenderableType:
    """Lay out the confusion matrix: counts, one row per target, one column per prediction."""
    names = summary["classes"]
    table = simple_table("Confusion (rows: target, columns: predicted)", "", *names, no_wrap=True)
    for i, (name, row) in enumerate(zip(names, summary["confusion"], strict=True)):
        table.add_row(name, *(Text(str(n), style="bold" if i == j else "") for j, n in enumerate(row)))
    return table


def folds_table(summary: Mapping[str, Any], stamps: Sequence[str] = ()) -> RenderableType:
    """Lay out the scores of each fold, then their mean and standard deviation (n - 1)."""
    folds, measure = summary["folds"], measure_in(summary)
    write, speakers = writer(measure), speakers_in_words(stamps)
    table = simple_table("By fold", "fold", "utterances", speakers, *measure.names.values(), left=0)
    for fold in folds["each"]:
        scores = [write(fold[score]) for score in measure.names]
        table.add_row(str(fold["fold"]), str(fold["n_utterances"]), str(fold["n_speakers"]), *scores)
    table.add_section()
    table.add_row("mean", "", "", Text(write(folds[f"{measure.key}_mean"]), style="bold"), "", "")
    table.add_row("sd", "", "", write(folds[f"{measure.key}_sd"]), "", "")
    table.caption = BY_FOLD.format(score=measure.name)
    return table


def _scores(summary: Mapping[str, Any], title: Text, stamps: Sequence[str]) -> Table:
    table = simple_table(title, "score", "value")
    table.add_column("", no_wrap=True)
    measure = measure_in(summary)
    for key, name in measure.names.items():
        style, interval = "bold" if key == measure.key else "", summary.get(f"{key}_interval")
        cells = Text(name, style=style), Text(writer(measure)(summary[key]), style=style)
        table.add_row(
            *cells, _interval(interval, writer(measure), stamps, whole=key == measure.key) if interval else ""
        )
    if "cross_entropy" in summary:
        nats, interval = summary["cross_entropy"], summary.get("cross_entropy_interval")
        written = UNDEFINED if nats is None else f"{nats:.3f} nats"
        table.add_row("cross-entropy", written, _interval(interval, decimal, stamps, whole=False) if interval else "")
    clips, folds = counted(summary["n_utterances"], "utterance"), counted(summary["n_folds"], "fold")
    table.caption = f"{clips}, {speakers_in_words(stamps, summary['n_speakers'])}, {folds}"
    return table


def _meaning(summary: Mapping[str, Any], stamps: Sequence[str]) -> list[str]:
    """Explain the scores, and each stamp."""
    meanings = [f"Stamp {stamp.upper()}: {meaning(stamp) or 'a limit of this result.'}" for stamp in stamps]
    if "dimensions" in summary:
        return [*OF_NUMBERS, *meanings]
    n_classes = len(summary["classes"])
    chance = f"; chance: {percent(1 / n_classes)}" if n_classes else ""
    scores = [
        f"UAR: unweighted average recall, the mean recall of the classes{chance}.",
        SCORES.format(guessing=f"{math.log(max(n_classes, 1)):.3f} nats"),
    ]
    return scores + meanings


def _dim(lines: Sequence[str]) -> list[Text]:
    return [Text(textwrap.fill(line, WIDTH, break_on_hyphens=False), style="dim") for line in lines]


def _classes(summary: Mapping[str, Any]) -> Table:
    table = simple_table("By class", "class", "recall", "precision", "F1", "support")
    for name in summary["classes"]:
        row = summary["per_class"][name]
        table.add_row(name, *(percent(row[score]) for score in ("recall", "precision", "f1")), str(row["support"]))
    return table


def _numbers(summary: Mapping[str, Any]) -> Table:
    table = simple_table("By number", "number", "CCC [95 %]", "r", "RMSE [95 %]", "sd")
    for name, row in summary["per_dimension"].items():
        ccc, rmse = (
            with_interval(row[key], row[f"{key}_interval"]["low"], row[f"{key}_interval"]["high"], write=decimal)
            for key in ("ccc", "rmse")
        )
        table.add_row(name, ccc, decimal(row["pearson"]), rmse, decimal(row["target_sd"]))
    return table


def simple_table(title: str | Text, *headings: str, left: int = 1, no_wrap: bool = False) -> Table:
    """Return a table without rows: the first ``left`` columns are aligned left, the others, for numbers, right."""
    table = Table(title=title, title_justify="left", caption_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for column, heading in enumerate(headings):
        if column < left:
            table.add_column(heading, overflow="fold")  # names are never cut
        else:
            table.add_column(heading, justify="right", no_wrap=no_wrap)
    return table


def _stamp(stamps: Sequence[str]) -> RenderableType:
    text = Text("  ·  ".join(stamp.upper() for stamp in stamps), style="bold white on red", justify="center")
    return Panel(Align.center(text), box=box.HEAVY, style="bold white on red", width=WIDTH)


def heading(title: str, stamps: Sequence[str]) -> Text:
    """Return a table's title, followed by the stamps in capitals."""
    text = Text(title, style="bold")
    for stamp in stamps:
        text.append(f"  [{stamp.upper()}]", style="bold red")
    return text


def _interval(interval: Mapping[str, Any], write: Writer, stamps: Sequence[str], *, whole: bool) -> str:
    if interval["low"] is None:
        return "no interval"
    if not whole:
        return ends(interval, write=write)
    speakers = speakers_in_words(stamps, interval["speakers"])
    return f"{ends(interval, write=write)}  {100 * interval['level']:g} % interval over {speakers}"


def ends(interval: Mapping[str, Any], *, signed: bool = False, write: Writer = percent) -> str:
    """Write the ends of an `ser.evaluation.intervals.Interval`."""
    return format.interval(interval["low"], interval["high"], signed=signed, write=write)


def change_cells(row: Mapping[str, Any], write: Writer = percent) -> tuple[Text, str]:
    """Show a row's change (of a share in percentage points), and its interval.

    The change is bold where the interval excludes 0 and no fewer than `ENOUGH_TO_TEST` speakers are behind it.
    """
    interval = row["change_interval"]
    excluded = interval["low"] is not None and (interval["high"] < 0 or interval["low"] > 0)
    sure = excluded and interval["speakers"] >= ENOUGH_TO_TEST
    change = Text(write(row["change"], "", signed=True), style="bold" if sure else "")
    return change, ends(interval, signed=True, write=write)
