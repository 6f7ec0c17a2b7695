"""A result card as one self-contained HTML page, and the checks of a run as a table for the terminal."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from ser.evaluation.measure import measure_in
from ser.protocols.limits import DECISIONS
from ser.protocols.stamps import meaning, speakers_in_words
from ser.report.audit import LEVELS
from ser.report.format import writer
from ser.report.guesses import guesses_in_words, not_beaten_in_words
from ser.report.highlights import highlights
from ser.report.html import data_uri, rendered
from ser.report.tables import ends, simple_table
from ser.runs.folder import CONFUSION, CURVES, SCATTER, RunFolder
from ser.runs.identity import own_settings
from ser.runtime.help_page import protocol_summary

TEMPLATE = Path(__file__).with_name("card.html.j2")
MARKS = {True: Text("holds", style="green"), False: Text("DIFFERS", style="bold red"), None: Text("-", style="dim")}


def render(card: Mapping[str, Any], run: RunFolder) -> str:
    """Return the HTML page of a card."""
    curves = {str(number): fold.path / CURVES for number, fold in zip(card["split"], run.folds, strict=False)}
    measure = measure_in(card["numbers"])
    values = {
        "card": card,
        "measure": measure,
        "write": writer(measure),
        "settings": lambda chosen: ", ".join(f"{key} {value}" for key, value in chosen.items()),
        "own_settings": own_settings(card["config"] or {}),
        "ends": ends,
        "scatter": data_uri(run.path / SCATTER) if run.has(SCATTER) else None,
        "folder": run.name,
        "whole": run.whole.name,
        "confusion": data_uri(run.path / CONFUSION) if run.has(CONFUSION) else None,
        "curves": {number: data_uri(file) for number, file in curves.items() if file.is_file()},
        "commands": commands(card),
        "findings": findings(card),
        "levels": LEVELS,
        "meaning": meaning,
        "speakers_in_words": partial(speakers_in_words, card["stamps"]),
        "protocol_summary": protocol_summary(card["protocol"]["name"]),
        "guesses": guesses_in_words(card),
        "highlights": list(highlights(run.profile or {}, card["stamps"], run.dev_speakers)),
        "limits": list(limits(card)),
    }
    return rendered(TEMPLATE, values, lenient=True)  # cards differ in their facts


def checks_table(checks: Sequence[tuple[str, bool | None, str]], title: str) -> RenderableType:
    """Lay out the checks of a run.

    Args:
        checks: Name, result (``None`` if it was not checked) and detail of each check.
        title: What was checked.

    Example:
        >>> from rich.console import Console
        >>> console = Console(width=80)
        >>> with console.capture() as printed:
        ...     console.print(checks_table([("files", False, "metrics.json was changed")], "runs/1"))
        >>> "DIFFERS" in printed.get()
        True
    """
    table = simple_table(title, "check", "result", "detail", left=3)
    for name, ok, detail in checks:
        table.add_row(Text(name), MARKS[ok], Text(detail, style="dim" if ok is None else "", overflow="fold"))
    return table


def findings(card: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return each different finding of the audit: its level, its folds in words, and its text."""
    folds: dict[tuple[str, str], list[str]] = {}
    for finding in card["audit"] or []:
        folds.setdefault((finding["level"], finding["text"]), []).append(str(finding.get("fold", "")))
    whole = len(card["split"])
    return [
        (level, "" if whole == 1 or "" in found else _folds_in_words(found, whole), text)
        for (level, text), found in folds.items()
    ]


def _folds_in_words(found: Sequence[str], whole: int) -> str:
    if len(found) == whole:
        return "All folds"
    return f"Fold{'s' if len(found) > 1 else ''} {', '.join(found)}"


def commands(card: Mapping[str, Any]) -> list[str]:
    """Return each different command line that started the run."""
    return list(dict.fromkeys(f"python -m ser.train {shlex.join(e['command'])}".strip() for e in card["environments"]))


def limits(card: Mapping[str, Any]) -> Iterator[str]:
    """Yield what must not be concluded from a card, in one or two sentences each."""
    numbers, stamps = card["numbers"], card["stamps"]
    measure = measure_in(numbers)
    interval, write = numbers[f"{measure.key}_interval"], writer(measure)
    if any(stamp.startswith("synthetic") for stamp in stamps):
        yield "Nothing about emotions in people. The speech is synthetic: the result shows that the software runs."
    else:
        yield (
            "Not that the model knows what people feel. A label says what an actor portrayed, mostly in fixed sentences and "
            "a quiet room, or what listeners heard; other speech is harder, and a voice is no evidence of an inner state."
        )
    if any(stamp.startswith("not speaker-independent") for stamp in stamps):
        yield "Not how the model performs on new speakers: it was trained on the speakers that it was tested on."
    if interval["low"] is not None:
        yield (
            f"Not that a model is better because its {measure.name} is a little higher. "
            f"With {speakers_in_words(stamps, numbers['n_speakers'])}, the interval of the {measure.name} is from "
            f"{write(interval['low'])} to {write(interval['high'])}. Compare models on the same split by a paired test "
            "(python -m ser.compare)."
        )
    if sentence := not_beaten_in_words(card, numbers):
        yield f"Not that the model hears emotions. {sentence}"
    yield "Not the result of another training: the interval is over speakers, and this run has one random seed."
    if len(card["split"]) == 1:
        yield "Not the result of the whole protocol: this is one fold. Published numbers are of all folds (fold=all)."
    yield f"Not that the model is fit for {DECISIONS}."
