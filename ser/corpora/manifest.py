"""The manifest: one row per utterance, the table that every later step reads.

An `Utterance` holds what a corpus states about one clip. `to_table` returns the rows as a data frame with the columns of
`COLUMNS`, plus ``votes_<emotion>`` if a corpus has listeners' votes, and ``further_<name>`` for what else it states.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

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
        emotion: The intended emotion: one of `ser.corpora.labels.EMOTIONS`, or a word of the corpus's own; ``None`` if the
            clip has numbers instead, among ``further``.
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
    emotion: str | None
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
    clips = list(utterances)
    table = pd.DataFrame({column: [getattr(clip, column) for clip in clips] for column in COLUMNS})
    table["path"] = [str(clip.path) for clip in clips]
    votes = {f"votes_{emotion}": emotion for clip in clips for emotion in clip.votes or ()}
    further = {f"{FURTHER}{name}": name for clip in clips for name in clip.further or ()}
    more: dict[str, list[Any]] = {
        c: [(clip.votes or {}).get(emotion) for clip in clips] for c, emotion in votes.items()
    }
    more |= {c: [(clip.further or {}).get(name) for clip in clips] for c, name in further.items()}
    table = pd.concat([table, pd.DataFrame(more, index=table.index)], axis=1)
    table[list(votes)] = table[list(votes)].astype(float)
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
    for column in ("emotion", "sex"):
        if stray := [v for v in table[column].dropna().unique() if not isinstance(v, str) or not v.strip()]:
            raise BadCorpusError(f"The manifest's {column} must be a word; got {stray[0]!r}.")
    further = table[[c for c in map(str, table.columns) if c.startswith(FURTHER)]]
    if without := int(table["emotion"][further.isna().all(axis=1)].isna().sum()):
        raise BadCorpusError(f"The manifest's emotion must be a word in every row; got {without} without.")
    for column in ("id", "speaker", "sentence"):
        for corpus, values in table[column].dropna().astype(str).groupby(table["corpus"]):
            if (wrong := ~values.str.startswith(f"{corpus}/")).any():
                raise BadCorpusError(
                    f"The manifest's {column} must start with its corpus's name and '/'; got {values[wrong].iloc[0]!r}."
                )
