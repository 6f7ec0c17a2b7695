"""The findings of the leak audit in a protocol's folds, for the terminal."""

from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ser.protocols.audit import Finding
from ser.protocols.plan import Plan
from ser.protocols.split import SIDES
from ser.protocols.stamps import meaning, speakers_in_words
from ser.report.format import percent
from ser.report.tables import simple_table
from ser.runtime.help_page import protocol_summary
from ser.runtime.words import counted

LEVELS = "error: training refuses the fold. stamp: allowed, and every result carries the stamp. note: information."
"""What the levels of findings mean."""
GUESSES = "The class of each test clip, guessed from the training clips of its fold without hearing it."
STYLES = {"error": "bold red", "stamp": "yellow", "note": "dim"}


def audit_report(plan: Plan, findings: Mapping[int, Sequence[Finding]]) -> RenderableType:
    """Lay out the protocol, the size of every fold, and every finding with its folds."""
    sizes = simple_table(f"Clips / {speakers_in_words(plan.stamps(0))}", "fold", *SIDES)
    sizes.add_column("hash", no_wrap=True)
    manifest = plan.labelled.manifest
    for split in plan.splits:
        counts = [f"{len(rows)} / {manifest['speaker'].iloc[rows].nunique()}" for rows in split.sides().values()]
        sizes.add_row(str(split.fold), *counts, split.hash(manifest))
    table = simple_table("Findings", "folds", "level", "finding", left=3)
    for (level, kind, text), folds in _folds_of(findings).items():
        where = "all" if len(folds) == len(plan.splits) else ", ".join(map(str, folds))
        table.add_row(where, Text(level, style=STYLES[level]), Text(f"{kind}: {text}", overflow="fold"))
    stamps = dict.fromkeys(stamp for split in plan.splits for stamp in plan.stamps(split.fold, findings[split.fold]))
    carried = Text("\n".join(f"Results carry the stamp: {s}. {meaning(s)}" for s in stamps), style=STYLES["stamp"])
    errors = sum(f.level == "error" for several in findings.values() for f in several)
    refused = Text(f"{counted(errors, 'error')}: training refuses these folds.", style=STYLES["error"])
    levels = Text(LEVELS, style="dim")
    parts = [_explained(plan.protocol), sizes, table, levels, carried, *_guesses(plan)]
    return Group(*parts, refused if errors else Text("No errors."))


def _guesses(plan: Plan) -> Iterator[RenderableType]:
    """Yield what guesses without listening reach, the best first."""
    if not plan.baselines:
        return
    table = simple_table("Baselines without listening, over all folds", "guessed from", "UAR", "accuracy")
    for one in sorted(plan.baselines, key=lambda one: -one.uar):
        table.add_row(one.name, percent(one.uar), percent(one.accuracy))
    yield table
    yield Text(f"{GUESSES} Chance is {percent(plan.baselines[0].chance)}.", style="dim")


def _explained(protocol: str) -> Text:
    """Return the protocol with its description, if it has one."""
    return Text(": ".join(filter(None, (f"protocol={protocol}", protocol_summary(protocol)))))


def _folds_of(findings: Mapping[int, Sequence[Finding]]) -> dict[tuple[str, str, str], list[int]]:
    """Return the folds of each distinct finding: errors first, then stamps, then notes."""
    folds: dict[tuple[str, str, str], list[int]] = {}
    for fold, several in findings.items():
        for finding in several:
            folds.setdefault((finding.level, finding.kind, finding.text), []).append(fold)
    return dict(sorted(folds.items(), key=lambda item: (list(STYLES).index(item[0][0]), item[1])))
