"""The manifest: one row per utterance, the table that every later step reads.

An `Utterance` holds what a corpus states about one clip. `to_table` returns the rows as a data frame with the columns of
`COLUMNS`, plus ``votes_<emotion>`` if a corpus has listeners' votes, and ``further_<name>`` for what else it states.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import pandas as pd

from ser.errors import BadCorpusError

Piece = tuple[float, float | None]
"""Start and end of a piece of a longer recording in seconds; an end of ``None`` is that of the recording."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """One recorded clip, as its corpus describes it.

    Attributes:
        id: Unique over all corpora: ``crema/1001_DFA_ANG_XX``.
        path: The audio file.
        corpus: ``crema``.
        speaker: Unique over all corpora: ``crema/1001``; ``None`` if unknown.
        sex: ``female``, ``male`` or another word; ``None`` if unknown.
        emotion: The intended emotion: one of `ser.corpora.labels.EMOTIONS`, or a word of the corpus's own.
        sentence: What is said, unique over all corpora: ``crema/DFA``; ``None`` if unknown.
        intensity: In the corpus's own terms (``normal``, ``strong``, ``low``, ...); ``None`` if it has none.
        repetition: 1, 2, ... if a sentence is said more than once the same way.
        age: In years; ``None`` if unknown.
        race, ethnicity: As the corpus states them; ``None`` if it does not.
        votes: Listeners' votes by emotion (voice only); ``None`` if there are none.
        piece: The part of the file that is this clip; ``None`` is all of it.
        further: What else is stated about the clip, by name: ``language``, ``split``, ...; ``None`` if nothing is.
    """

    id: str
    path: Path
    corpus: str
    speaker: str | None
    sex: str | None
    emotion: str
    sentence: str | None
    intensity: str | None = None
    repetition: int | None = None
    age: int | None = None
    race: str | None = None
    ethnicity: str | None = None
    votes: Mapping[str, float] | None = field(default=None, hash=False)
    piece: Piece | None = field(default=None, repr=False)  # the text of whole clips is hashed: it stays what it was
    further: Mapping[str, str] | None = field(default=None, hash=False, repr=False)


COLUMNS = tuple(f.name for f in fields(Utterance) if f.name not in ("votes", "piece", "further"))
FURTHER = "further_"
"""Prefix of the columns of `Utterance.further`."""
_INTEGERS = ("repetition", "age")


def to_table(utterances: Iterable[Utterance]) -> pd.DataFrame:
    """Return the manifest of some utterances, in their order, checked by `check_manifest`."""
    rows = []
    for utterance in utterances:
        row = {column: getattr(utterance, column) for column in COLUMNS} | {"path": str(utterance.path)}
        row |= {f"votes_{emotion}": float(number) for emotion, number in (utterance.votes or {}).items()}
        rows.append(row | {f"{FURTHER}{name}": value for name, value in (utterance.further or {}).items()})
    table = pd.DataFrame(rows, columns=None if rows else list(COLUMNS))
    for column in _INTEGERS:
        table[column] = table[column].astype("Int64")
    check_manifest(table)
    return table


def check_manifest(table: pd.DataFrame) -> None:
    """Check the columns, ids and values that every later step relies on.

    Raises:
        BadCorpusError: If a column is missing, an id occurs twice, or a value is missing or not of its form.
    """
    if missing := [c for c in COLUMNS if c not in table]:
        raise BadCorpusError(f"The manifest must have the columns {', '.join(COLUMNS)}; got no {', '.join(missing)}.")
    if not table["id"].is_unique:
        twice = table.loc[table["id"].duplicated(), "id"].iloc[0]
        raise BadCorpusError(f"The manifest's ids must be unique over all corpora; got {twice} twice.")
    for column, optional in (("emotion", False), ("sex", True)):
        known = table[column].dropna()
        if stray := [v for v in known.unique() if not isinstance(v, str) or not v.strip()]:
            raise BadCorpusError(f"The manifest's {column} must be a word; got {stray[0]!r}.")
        if len(known) < len(table) and not optional:
            raise BadCorpusError(
                f"The manifest's {column} must be a word in every row; got {len(table) - len(known)} without."
            )
    for column in ("id", "speaker", "sentence"):
        stated = table[table[column].notna()]
        wrong = stated[[not str(v).startswith(f"{c}/") for v, c in zip(stated[column], stated["corpus"], strict=True)]]
        if len(wrong):
            raise BadCorpusError(
                f"The manifest's {column} must start with its corpus's name and '/'; got {wrong[column].iloc[0]!r}."
            )
