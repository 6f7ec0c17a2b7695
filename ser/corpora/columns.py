"""The columns of a table of recordings: what each is called, here and in other toolkits.

A column is read under another name where no other column could be meant; one that may mean something else is an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from ser.corpora.formats.rows import Place, Problem, Rows

REQUIRED = ("path", "label")
OPTIONAL = ("speaker", "sentence", "sex", "age", "start", "end", "split")
KNOWN = (*REQUIRED, *OPTIONAL)
VOTES = "votes_"
READ_AS: Mapping[str, tuple[str, ...]] = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "audio_filepath"),
    "label": ("emotion", "emo"),
    "speaker": ("speaker_id", "speakerid", "spk", "spk_id"),
    "sentence": ("sentence_id", "transcription", "transcript"),
    "sex": ("gender",),
    "start": ("start_time", "begin"),
    "end": ("end_time",),
    "split": ("partition", "subset"),
}
"""Other names that a column is read under."""
LIKELY: Mapping[str, tuple[str, ...]] = {
    "path": ("audio", "wav", "clip", "recording"),
    "label": ("class", "category", "target", "labels"),
    "speaker": ("actor",),
    "start": ("onset",),
    "end": ("stop", "offset"),
}
"""Names that may mean a column or something else: they are not read, and the error asks to rename them."""


def read_columns(table: Rows, targets: Sequence[str] = ()) -> dict[str, str]:
    """Rename the columns of a table in place to the names of `KNOWN`; collect what is wrong with their names.

    With ``targets``, columns of numbers that are to be predicted, these are required, and ``label`` is not.

    Returns:
        The name of each renamed column, by the one that it had.
    """
    others = [c for c in further(table) if c not in targets]
    renamed: dict[str, str] = {}
    for column in (c for c in KNOWN if c not in table.columns):
        spelt = [c for c in others if c in READ_AS.get(column, ())]
        if len(spelt) == 1:
            renamed[spelt[0]] = column
        elif table.columns:
            table.problems += _absent(column, spelt, others, table, column in required_of(targets))
    for target in (t for t in targets if table.columns and t not in further(table)):
        table.problems += _no_number(target, others, table)
    if renamed:
        table.columns = tuple(renamed.get(c, c) for c in table.columns)
        for _, row in table.rows:
            for given, column in renamed.items():
                row[column] = row.pop(given)
    return renamed


def _no_number(target: str, others: list[str], table: Rows) -> Iterator[Problem]:
    """Yield what is wrong with a table without a column of numbers to be predicted."""
    if target in KNOWN or target.startswith(VOTES):
        what = "has another meaning; rename the column, and give its new name"
        yield Place("", 0), f"labels.targets must not be {target}, which {what}"
    else:
        yield from _absent(target, [], others, table, required=True)


def required_of(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a table must have."""
    return ("path", *targets) if targets else REQUIRED


def _absent(column: str, spelt: list[str], others: list[str], table: Rows, required: bool) -> Iterator[Problem]:
    """Yield what is wrong with a table that has no column of this name."""
    meant = spelt or [c for c in others if c in LIKELY.get(column, ())] or get_close_matches(column, others, 1, 0.75)
    if len(spelt) > 1:
        yield Place("", 0), f"the columns {' and '.join(spelt)} may both be the {column}; rename one to {column}"
    elif required:
        numbers = " To predict numbers, set labels=dimensions labels.targets=[<columns>]." * (column == "label")
        hint = f" Rename {meant[0]} to {column}?" if meant else numbers
        yield Place("", 0), f"columns must include {column}; got {', '.join(filter(None, table.columns))}.{hint}"
    elif meant:
        yield (
            Place("", 0),
            f"the column {meant[0]} is not read; rename it to {column}, or to a name that is less like it",
        )


def further(table: Rows) -> list[str]:
    """Return the columns that no other step reads: they are kept, to compare groups by them."""
    return [c for c in table.columns if c and c not in KNOWN and not c.startswith(VOTES)]
