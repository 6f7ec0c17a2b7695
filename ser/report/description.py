"""What recordings hold by their names, tables and headers, and what can be done with them, for the terminal."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.text import Text

from ser.audio.headers import Lengths, lengths
from ser.corpora.corpus import Corpus
from ser.corpora.labels import Labels
from ser.corpora.manifest import FURTHER, Utterance
from ser.protocols.outlook import Outlook, chosen, outlooks
from ser.protocols.unknown_speakers import with_stand_ins
from ser.report.tables import simple_table
from ser.runtime.composition import as_typed
from ser.runtime.help_page import protocol_summary
from ser.runtime.instantiate import instantiate
from ser.runtime.words import and_more, counted

SHOWN = 12
"""Values of a column that are shown with their counts."""
MISSING = {
    "speaker": "clips of one folder or recording stay on one side of a split, and results are stamped 'speakers unknown'",
    "sentence": "whether test sentences also train cannot be checked",
    "sex": "sides are not balanced by sex, and there are no results by sex",
}
"""What follows if a column is unknown."""
KEPT = ("data", "labels", "paths")
"""Beginnings of the settings that the next command repeats."""


def corpus_facts(
    corpus: Corpus, clips: Sequence[Utterance], manifest: pd.DataFrame, headers: int | None
) -> RenderableType:
    """Lay out what a corpus holds.

    Args:
        corpus: The corpus.
        clips: Its clips.
        manifest: The table of them, as of `ser.corpora.manifest.to_table`.
        headers: Number of headers to read; ``None`` reads all, 0 none.
    """
    table = simple_table(corpus.title, "", "", left=2)
    table.show_header = False
    table.add_row("read from", Text(f"{corpus.asked}: {corpus.layout()}", overflow="fold"))
    table.add_row("clips", str(len(clips)))
    if headers != 0:
        table.add_row("hours", Text(_hours(lengths(clips, headers))))
    table.add_row("classes", _counts(manifest["emotion"], most=len(manifest)))
    table.add_row("speakers", _speakers(manifest))
    speakers = manifest.drop_duplicates("speaker") if manifest["speaker"].notna().any() else manifest
    table.add_row("sex", _counts(speakers["sex"], " speakers" if speakers is not manifest else " clips"))
    table.add_row("sentences", str(manifest["sentence"].nunique()) if manifest["sentence"].notna().any() else "unknown")
    for column in (str(c) for c in manifest if str(c).startswith(FURTHER)):
        table.add_row(column.removeprefix(FURTHER), _counts(manifest[column]))
    notes = [f"Note: {note}" for note in (*corpus.notes, *corpus.remarks())]
    return Group(table, *(Text(line) for line in (*notes, *_missing(manifest))), Text())


def next_steps(
    manifest: pd.DataFrame, labels: Mapping[str, Any], overrides: Sequence[str], own: bool = True
) -> Iterator[RenderableType]:
    """Yield which protocols are possible, which one to choose, and the commands to run next.

    Args:
        manifest: The clips of all corpora.
        labels: The settings of the labels.
        overrides: The settings of this command.
        own: Whether a protocol is chosen; a published corpus has one.

    Raises:
        LabelError: If the labels do not fit the clips.
    """
    repeated = [as_typed(o) for o in overrides if o.lstrip("+~").startswith(KEPT)]
    labelled = instantiate(labels, Labels).apply(with_stand_ins(manifest))
    found = outlooks(labelled)
    table = simple_table(
        "Protocols that are possible", "protocol=", "folds", "what it is, and the stamps of its results", left=3
    )
    table.columns[0].no_wrap = True
    for outlook in (o for o in found if not o.refused):
        stamps = [Text(f"\nStamp: {stamp}.", style="yellow") for stamp in outlook.stamps]
        table.add_row(outlook.name, str(outlook.folds), Text.assemble(protocol_summary(outlook.name), *stamps))
    for reason, count in labelled.dropped.items():
        yield Text(f"{counted(count, 'clip')} of a label that is not used ({reason}).")
    yield table
    best = chosen(found)
    if best is None:
        yield Text(f"No protocol divides these clips: {_reason(found)}")
        return
    yield Text("Next:")
    numbers = [f"data.targets=[{','.join(labelled.classes)}]"] if labelled.numeric else []
    kept = [override for override in repeated if not override.startswith("labels")]
    yield Text(f"  python -m ser.prepare {shlex.join([*kept, *numbers])}")
    yield Text(f"  python -m ser.train {shlex.join([*repeated, *[f'protocol={best.name}'] * own, 'fold=all'])}")


def _reason(found: Sequence[Outlook]) -> str:
    """Return why speakers cannot be divided."""
    return next(outlook.refused for outlook in found if outlook.name == "speaker_cv")


def _hours(found: Lengths) -> str:
    text = "unknown" if found.hours is None else f"{found.hours:.2f}"
    if found.read < found.files:
        text = f"about {text}, by the headers of {found.read} of {counted(found.files, 'file')}"
    if found.unreadable:
        path, reason = next(iter(found.unreadable.items()))
        text += f"; the header of {counted(len(found.unreadable), 'file')} cannot be read, such as {path} ({reason})"
    return text


def _speakers(manifest: pd.DataFrame) -> str:
    known = manifest["speaker"].notna()
    if not known.any():
        return "unknown"
    missing = "" if known.all() else f", unknown for {counted(int((~known).sum()), 'clip')}"
    return f"{manifest['speaker'].nunique()}{missing}"


def _counts(values: pd.Series, what: str = "", most: int = SHOWN) -> str:
    """Return the values with their counts; of more than ``most``, only how many there are."""
    counts = values.value_counts()
    shown = [f"{value} {count}" for value, count in counts.sort_index().items()]
    if len(counts) > most:
        return f"{len(counts)} different, such as {and_more([str(value) for value in counts.index])}"
    shown += [f"unknown {int(values.isna().sum())}"] if values.isna().any() and shown else []
    return ", ".join(shown) + what * bool(shown) or "unknown"


def _missing(manifest: pd.DataFrame) -> Iterator[str]:
    """Yield what is not known of the clips, and what follows."""
    for column, follows in MISSING.items():
        if missing := int(manifest[column].isna().sum()):
            of = "" if missing == len(manifest) else f" for {missing} of {len(manifest)} clips"
            yield f"Missing: {column}{of}: {follows}."
