"""A comparison as tables: for the terminal, Markdown, LaTeX and CSV, all from the same rows."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ser.comparison.rows import (
    COLUMNS,
    PAIR_COLUMNS,
    READING,
    TIMES,
    Comparison,
    Group,
    pair_cells,
    row_cells,
    what_is_tested,
    where,
)
from ser.report.format import MINUS
from ser.report.tables import heading

if TYPE_CHECKING:
    import pandas as pd

SHORT = {"accuracy": "acc.", "macro F1": "F1", "training": "time", f"seeds {TIMES} folds": f"seeds\n{TIMES} folds"}
"""Headers for the terminal."""
LATEX = {"\\": r"\textbackslash{}", "±": r"$\pm$", MINUS: "$-$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    TIMES: r"$\times$",
    "·": r"$\cdot$",
    "…": r"\ldots{}",
    **{c: "\\" + c for c in "&%$#_{}"},
}


def terminal(comparison: Comparison) -> RenderableType:
    """Lay out the tables for a terminal of 80 columns or more."""
    parts: list[RenderableType] = [_banner(comparison.stamps)] if comparison.stamps else []
    parts.append(_group_table(comparison.main, "Comparison: " + where(comparison.main)))
    parts += [Text(READING[0], style="dim"), Text(), Text(comparison.headline, style="bold")]
    if comparison.pairs:
        parts += [Text(), _pairs_table(comparison), Text(READING[1], style="dim")]
    parts += [Text(f"Caution: {caution}.", style="bold yellow") for caution in comparison.cautions]
    for group in comparison.apart:
        parts += [Text(), _group_table(group, f"Set apart: {group.apart}")]
    parts += [Text(f"Passed over: {note}") for note in comparison.notes]
    return Lines(*parts)


def markdown(comparison: Comparison) -> str:
    """Write the tables as GitHub's Markdown."""
    lines = ["# Comparison", ""]
    lines += [f"**{stamp.upper()}**\n" for stamp in comparison.stamps]
    lines += [_plain(comparison.headline), "", *_markdown_group(comparison.main)]
    if comparison.pairs:
        lines += ["## Paired tests", "", _plain(what_is_tested(comparison)), ""]
        lines += _markdown_table([("", *PAIR_COLUMNS), *pair_cells(comparison.pairs)])
    lines += [f"> {line}" for line in (*READING, *(f"Caution: {c}." for c in comparison.cautions))] + [""]
    for group in comparison.apart:
        lines += [f"## Set apart: {_plain(group.apart)}", "", *_markdown_group(group)]
    if comparison.notes:
        lines += ["## Passed over", "", *(f"- {_plain(note)}" for note in comparison.notes), ""]
    return "\n".join(lines)


def latex(comparison: Comparison) -> str:
    r"""Write the tables as LaTeX; they need ``\usepackage{booktabs}``."""
    groups = (comparison.main, *comparison.apart)
    tables = [_latex_table([("system", *COLUMNS), *row_cells(g)], _caption(g), g.stamps) for g in groups]
    if comparison.pairs:
        rows = [("pair", *PAIR_COLUMNS), *pair_cells(comparison.pairs)]
        tables.insert(1, _latex_table(rows, what_is_tested(comparison) + ".", comparison.main.stamps))
    return "% needs \\usepackage{booktabs}\n" + "\n".join(tables)


def frame(comparison: Comparison) -> "pd.DataFrame":
    """Every system of every group, a row each, with unrounded numbers: what the CSV holds."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for group in (comparison.main, *comparison.apart):
        for row in group.rows:
            where = {"corpora": "+".join(group.corpora), "protocol": group.protocol, "labels": group.labels}
            ids = {"fingerprint": group.fingerprint, "split_hashes": " ".join(group.split_hashes)}
            rows.append({**asdict(row), **where, **ids, "apart": group.apart})
    lists = ("seeds", "folds", "stamps", "runs")
    return pd.DataFrame(rows).assign(**{name: [_joined(row[name], name) for row in rows] for name in lists})


def _joined(values: Sequence[object], name: str) -> str:
    return (" " if name in ("seeds", "folds") else "; ").join(map(str, values))


def _plain(text: str) -> str:
    """Text in which Markdown finds nothing to act on."""
    return "".join("\\" + c if c in "\\|*_`<>" else c for c in text)


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *body = [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows]
    return [head, "|---" + "|---:" * (len(rows[0]) - 1) + "|", *body, ""]


def _markdown_group(group: Group) -> list[str]:
    facts = [f"- {name}: {_plain(fact)}" for name, fact in group.facts.items()]
    return [*facts, "", *_markdown_table([("system", *COLUMNS), *row_cells(group)])]


def _escaped(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in text)


def _caption(group: Group) -> str:
    facts = group.facts
    apart = f" Set apart: {group.apart}." if group.apart else ""
    return f"{where(group)}. Labels: {facts['labels']}. Data {facts['fingerprint']}.{apart}"


def _latex_table(rows: Sequence[Sequence[str]], caption: str, stamps: Sequence[str]) -> str:
    loud = "".join(rf"\textbf{{{_escaped(stamp.upper())}.}} " for stamp in stamps)
    head, *body = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in rows]
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{loud}{_escaped(caption)}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _banner(stamps: Sequence[str]) -> Text:
    words = "  ·  ".join(stamp.upper() for stamp in stamps)
    return Text(f"  {words}  ", style="bold white on red")


def _table(title: Text) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)


def _group_table(group: Group, title: str) -> Table:
    table = _table(heading(title, group.stamps))
    table.add_column("system", overflow="fold", min_width=14)
    kept = [header for header in COLUMNS if header != "ECE"]  # no room
    for header in kept:
        table.add_column(SHORT.get(header, header), justify="right", no_wrap=True)
    for row in group.rows:
        table.add_row(Text(row.system, style="bold"), *(COLUMNS[header](row) for header in kept))
    return table


def _pairs_table(comparison: Comparison) -> Table:
    table = _table(Text(what_is_tested(comparison), style="bold"))
    table.add_column("", overflow="fold")
    for header in PAIR_COLUMNS:
        table.add_column(header, justify="right", no_wrap=True)
    for row in pair_cells(comparison.pairs):
        table.add_row(*map(Text, row))
    return table
