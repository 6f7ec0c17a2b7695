"""The result of preparing a corpus: its counts beside the release's, and every file with a problem."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ser.report.tables import simple_table

SHOWN = 20
"""Maximum number of printed problems of one kind; the card lists all."""


def preparation_table(card: Mapping[str, Any], folder: str) -> RenderableType:
    """Lay out a store's card."""
    counts = simple_table(card["title"], "", "here", "release", left=3)
    for row in ("found", "utterances", "speakers"):
        here, expected = card[row], card["expected"].get(row, card["expected"]["utterances"])
        name = {"found": "clips found", "utterances": "clips kept"}.get(row, row)
        counts.add_row(name, "unknown" if row == "speakers" and not here else str(here), _beside(here, expected))
    for emotion in sorted({*card["emotions"], *card["expected"]["emotions"]}):
        count = card["emotions"].get(emotion, 0)
        stated = card["expected"]["emotions"]
        counts.add_row(f"  {emotion}", str(count), _beside(count, stated.get(emotion, count) if stated else None))
    counts.add_row("hours", f"{card['hours']:.2f}", "")
    parts: list[RenderableType] = [counts]
    if card["synthetic"]:
        parts.append(Text("This is synthetic speech.", style="bold red"))
    parts += [Text(f"Note: {note}") for note in card["notes"]]
    if card["problems"]:
        parts.append(_problems(card["problems"], card.get("known_problems", ())))
    parts.append(Text(f"Licence: {card['licence']}\nStore: {folder}, fingerprint {card['fingerprint']}"))
    return Group(*parts)


def _beside(here: int, expected: int | None) -> Text:
    """Return the release's count, red if it is another one; a dash if the release states none."""
    return Text("-" if expected is None else str(expected), style="" if expected in (None, here) else "bold red")


def _problems(problems: list[Mapping[str, Any]], of_release: Collection[str]) -> Table:
    """List the problems by kind; of those that the release itself has, one."""
    kinds = Counter(p["kind"] for p in problems)
    title = "Problems: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    table = simple_table(title, "file", "problem", "", left=3)
    for kind, count in kinds.items():
        most = 1 if kind in of_release else SHOWN
        for problem in [p for p in problems if p["kind"] == kind][:most]:
            fate = Text("left out", style="red") if problem["left_out"] else Text("kept")
            table.add_row(Text(problem["path"], overflow="fold"), Text(f"{kind}: {problem['detail']}"), fate)
        if count > most:
            where = "as in every copy of the release" if kind in of_release else "all in card.json"
            table.add_row("", f"{kind}: and {count - most} more, {where}", "")
    return table
