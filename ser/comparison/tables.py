"""A comparison as tables: for the terminal, Markdown, LaTeX and CSV, all from the same rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ser.comparison.cells import (
    TIMES,
    WITH_SENTENCES,
    WITHIN,
    chance_of,
    columns,
    guess_cells,
    main_score,
    matrix_cells,
    matrix_reading,
    more_on_tests,
    pair_cells,
    pair_columns,
    reading,
    row_cells,
    what_is_tested,
    where,
)
from ser.comparison.rows import Comparison, Group, Section
from ser.protocols.stamps import meaning
from ser.report.format import MINUS
from ser.report.tables import heading
from ser.runtime.help_page import protocol_summary

if TYPE_CHECKING:
    import pandas as pd

SHORT = {
    "Pearson's r": "r",
    "accuracy": "acc.",
    "macro F1": "F1",
    "training": "time",
    "folds: mean ± sd": "folds\nmean ± sd",
    "seeds: sd": "seeds\nsd",
    f"seeds {TIMES} folds": f"seeds\n{TIMES} folds",
    WITH_SENTENCES: "p with\nsentences",
}
"""Headers for the terminal."""
ROOM = 4
"""Columns of tests that fit into 80 columns with the uncorrected p-value."""
CORPORA_SHOWN = 4
"""Corpora that fit beside each other in 80 columns."""
LATEX = str.maketrans(
    {c: "\\" + c for c in "&%$#_{}"}
    | {MINUS: "$-$", "±": r"$\pm$", TIMES: r"$\times$", "·": r"$\cdot$", "…": r"\ldots{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}"}
)


def terminal(comparison: Comparison) -> RenderableType:
    """Lay out the tables for a terminal of 80 columns or more."""
    parts: list[RenderableType] = []
    if comparison.stamps:
        stamps = "  ·  ".join(stamp.upper() for stamp in comparison.stamps)
        parts.append(Text(f"  {stamps}  ", style="bold white on red"))
    if len(comparison.sections) > 1:
        firsts = range(0, len(comparison.sections), CORPORA_SHOWN)
        parts += [_matrix_table(comparison, comparison.sections[i : i + CORPORA_SHOWN]) for i in firsts]
        parts += [Text(matrix_reading(comparison), style="dim"), Text()]
    for section in comparison.sections:
        parts += [_group_table(section.group, where(section.group)), Text(section.headline, style="bold")]
        parts += [*_cautions(section.cautions), Text()]
        if section.pairs:
            parts += [_pairs_table(section), *(Text(line, style="dim") for line in more_on_tests(section)), Text()]
    for protocol in dict.fromkeys(group.protocol for group in comparison.groups):
        if summary := protocol_summary(protocol):
            parts.append(Text(f"{protocol}: {summary}", style="dim"))
    parts += [Text(f"{stamp.upper()}: {meaning(stamp)}", style="dim") for stamp in comparison.stamps if meaning(stamp)]
    parts += [Text(line, style="dim") for line in _readings(comparison)]
    for group in comparison.apart:
        parts += [Text(), _group_table(group, f"Set apart: {group.where}, {group.apart}"), *_cautions(group.cautions)]
    parts += [Text(f"Skipped: {note}") for note in comparison.notes]
    return Lines(*parts)


def markdown(comparison: Comparison) -> str:
    """Write the tables as GitHub's Markdown."""
    lines = ["# Comparison", ""]
    lines += [f"**{stamp.upper()}**\n" for stamp in comparison.stamps]
    if len(comparison.sections) > 1:
        lines += [*_markdown_table(matrix_cells(comparison)), f"> {matrix_reading(comparison)}", ""]
    for section in comparison.sections:
        lines += [f"## {_plain(section.group.where)}", "", _plain(section.headline), ""]
        lines += _markdown_group(section.group, section.cautions)
        if section.pairs:
            lines += ["### Paired tests", "", _plain(what_is_tested(section)), ""]
            lines += _markdown_table([("", *pair_columns(section.pairs)), *pair_cells(section.pairs)])
            lines += [f"> {line}\n" for line in more_on_tests(section)]
    lines += [f"> {line}" for line in _readings(comparison, always=True)] + [""]
    for group in comparison.apart:
        lines += [f"## Set apart: {_plain(group.where)}, {_plain(group.apart)}", ""]
        lines += _markdown_group(group, group.cautions)
    if comparison.notes:
        lines += ["## Skipped", "", *(f"- {_plain(note)}" for note in comparison.notes), ""]
    return "\n".join(lines)


def latex(comparison: Comparison) -> str:
    r"""Write the tables as LaTeX; they need ``\usepackage{booktabs}``."""
    tables = []
    if len(comparison.sections) > 1:
        tables.append(_latex_table(matrix_cells(comparison), matrix_reading(comparison), comparison.stamps))
    for section in comparison.sections:
        tables.append(_latex_group(section.group))
        if section.pairs:
            rows = [("pair", *pair_columns(section.pairs)), *pair_cells(section.pairs)]
            caption = " ".join([f"{section.group.where}. {what_is_tested(section)}.", *more_on_tests(section)])
            tables.append(_latex_table(rows, caption, section.group.stamps))
    tables += map(_latex_group, comparison.apart)
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def frame(comparison: Comparison) -> "pd.DataFrame":
    """Return every system of every group, one a row, with unrounded numbers, as the CSV holds them."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for group in comparison.groups:
        for row in group.rows:
            where = {"corpora": group.name, "protocol": group.protocol, "labels": group.labels}
            ids = {"fingerprint": group.fingerprint, "split_hashes": " ".join(group.split_hashes)}
            rows.append({**row.flat(), **where, **ids, "apart": group.apart})
    lists = ("seeds", "folds", "stamps", "runs")
    return pd.DataFrame(rows).assign(**{name: [_joined(row[name], name) for row in rows] for name in lists})


def frame_of_pairs(comparison: Comparison) -> "pd.DataFrame":
    """Return every paired test of every section, one a row, with unrounded numbers, as ``pairs.csv`` holds them."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for section in comparison.sections:
        where = {"corpora": section.group.name, "protocol": section.group.protocol, "labels": section.group.labels}
        rows += [{**where, **pair.flat()} for pair in section.pairs]
    return pd.DataFrame(rows)


def _readings(comparison: Comparison, *, always: bool = False) -> list[str]:
    """Return how to read the scores of each kind, and the tests where there are any."""
    tested = always or any(section.pairs for section in comparison.sections)
    kinds = dict.fromkeys(group.measure for group in comparison.groups)
    return [line for kind in kinds for line in reading(kind)[: 2 if tested else 1]]


def _joined(values: Sequence[object], name: str) -> str:
    return (" " if name in ("seeds", "folds") else "; ").join(map(str, values))


def _plain(text: str) -> str:
    """Return a text with all that Markdown would act on escaped."""
    return "".join("\\" + c if c in "\\|*_`<>" else c for c in text)


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
    return [head, "|---" + "|---:" * (len(rows[0]) - 1) + "|", *body, ""]


def _markdown_group(group: Group, cautions: Sequence[str]) -> list[str]:
    facts = [f"- {name}: {_plain(fact)}" for name, fact in group.facts.items()]
    table = _markdown_table([("system", *columns(group)), *row_cells(group)])
    return [*facts, "", *table, *(f"> Caution: {_plain(caution)}.\n" for caution in cautions)]


def _latex_group(group: Group) -> str:
    apart = f" Set apart: {group.apart}." if group.apart else ""
    caption = f"{where(group)}. Labels: {group.facts['labels']}. Data {group.fingerprint}.{apart}"
    return _latex_table([("system", *columns(group)), *row_cells(group)], caption, group.stamps)


def _latex_table(rows: Sequence[Sequence[str]], caption: str, stamps: Sequence[str]) -> str:
    loud = "".join(rf"\textbf{{{stamp.upper().translate(LATEX)}.}} " for stamp in stamps)
    head, *body = [" & ".join(cell.translate(LATEX) for cell in row) + r" \\" for row in rows]
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{loud}{caption.translate(LATEX)}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _table(title: Text, padding: int = 0) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, padding))


def _group_table(group: Group, title: str) -> Table:
    table = _table(heading(title, group.stamps))
    table.add_column("system", overflow="fold", min_width=14)
    kept = {header: text for header, text in columns(group, narrow=True).items() if header != "ECE"}  # no room
    for header in kept:
        table.add_column(SHORT.get(header, header), justify="right", no_wrap=True)
    for row in group.rows:
        table.add_row(Text(row.system, style="bold"), *(text(row) for text in kept.values()))
    for cells in guess_cells(group, 1 + len(kept)):
        table.add_row(*cells, style="dim")
    return table


def _cautions(cautions: Sequence[str]) -> list[RenderableType]:
    return [Text(f"Caution: {caution}.", style="bold yellow") for caution in cautions]


def _pairs_table(section: Section) -> Table:
    written = pair_columns(section.pairs)
    wide = len(written) > ROOM
    table = _table(Text(what_is_tested(section), style="bold"), padding=0 if wide else 1)
    table.add_column("", overflow="fold")
    kept = {header: text for header, text in written.items() if not (wide and header == "p")}
    for header in kept:
        table.add_column(SHORT.get(header, header).replace(WITHIN, f"{WITHIN}\n"), justify="right", no_wrap=True)
    for (name, *_), pair in zip(pair_cells(section.pairs), section.pairs, strict=True):
        table.add_row(Text(name), *(Text(text(pair)) for text in kept.values()))
    return table


def _matrix_table(comparison: Comparison, sections: Sequence[Section]) -> Table:
    """Lay out systems and corpora, as many corpora as fit beside each other: the score, and its interval below it."""
    table = Table(title="Systems and corpora", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("system", overflow="fold", min_width=14)
    for section in sections:
        head = f"{section.group.where}\n{chance_of(section.group)}"
        table.add_column(heading(head, section.group.stamps), justify="right", overflow="fold")
    for name in comparison.systems:
        rows = [comparison.row(name, section) for section in sections]
        found = [(row, main_score(row).replace(" ", "\n", 1) if row else "") for row in rows]
        best = [section.best == name for section in sections]
        shown = [Text(text, style="bold" if first else "") for (_, text), first in zip(found, best, strict=True)]
        table.add_row(Text(name, style="bold"), *shown)
    return table
