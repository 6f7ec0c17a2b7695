"""A table of recordings: anyone's own clips, without code.

A row is a clip. The columns ``path`` and ``label`` are required; ``speaker``, ``sentence``, ``sex``, ``age``, ``start`` and
``end`` (seconds, for a piece of a longer file) and ``votes_<label>`` (numbers of listeners) are optional, and may be empty in
some rows. Paths may be relative to the table's folder. The table is checked whole before anything is decoded.
"""

import logging
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Piece, Utterance
from ser.corpora.rows import Rows, read_rows
from ser.corpora.synonyms import changes, emotion_of, sex_of
from ser.errors import BadCorpusError, CorpusNotFoundError
from ser.runtime.words import counted

log = logging.getLogger(__name__)

REQUIRED = ("path", "label")
OPTIONAL = ("speaker", "sentence", "sex", "age", "start", "end")
VOTES = "votes_"
ALIASES: Mapping[str, tuple[str, ...]] = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "audio", "wav", "clip", "recording"),
    "label": ("emotion", "class", "category", "emo", "target", "labels"),
    "speaker": ("speaker_id", "speakerid", "spk", "spk_id", "actor"),
    "sex": ("gender",),
    "start": ("begin", "onset", "start_time"),
    "end": ("stop", "offset", "end_time"),
}
"""What columns are called elsewhere. They are not read under these names, in case they mean something else."""
SHOWN = 20
"""Problems that the error lists."""
Problem = tuple[int, str]


class Table(Corpus):
    """The clips of a table.

    Args:
        root: The file of the table: ``.csv``, ``.tsv`` (or any text: the separator is recognised), ``.jsonl``,
            ``.parquet`` or ``.xlsx``. Relative paths in it are taken from its folder.
        synonyms: Read labels through `ser.corpora.synonyms`; ``False`` keeps them as written.
    """

    name = "table"
    title = "a table of recordings"
    citation = ""
    doi = ""
    licence = "that of its recordings"
    homepage = ""
    notes: ClassVar[tuple[str, ...]] = ("Not a published corpus: its labels are those of a table of the user's own.",)

    def __init__(self, root: str | Path | None = None, synonyms: bool = True) -> None:
        self.asked = self.root = Path(root or "").expanduser()
        self.given, self.synonyms = root is not None, synonyms

    def parse(self, path: Path) -> Utterance | None:
        """Return the first clip of the table that is in this file."""
        return next((clip for clip in self.clips() if clip.path == path), None)

    def clips(self) -> list[Utterance]:
        """Return the clips of the table, sorted by id.

        Raises:
            CorpusNotFoundError: If there is no table.
            BadCorpusError: If anything in it is wrong; the message lists what and where.
        """
        return self._clips

    def strays(self) -> list[Path]:
        """Return nothing: other files beside a table have no meaning."""
        return []

    def remarks(self) -> list[str]:
        """Return how the labels were read, and which columns were not."""
        told = changes(row["label"] for _, row in self._rows.rows) if self.synonyms else []
        unread = [c for c in self._rows.columns if c and c not in (*REQUIRED, *OPTIONAL) and not c.startswith(VOTES)]
        return [*told, *([f"Columns that are not read: {', '.join(unread)}."] if unread else [])]

    def not_found(self) -> CorpusNotFoundError:
        """Return the error for a table that is missing or has no rows."""
        got = (
            "none"
            if not self.given
            else f"{self.asked}, which "
            + ("has no rows" if self.root.is_file() else "is a folder" if self.root.is_dir() else "does not exist")
        )
        return CorpusNotFoundError(
            f"data.file must be a table with the columns path and label; got {got}. Set data.file=my.csv, or data=folders "
            "data.root=<folder> for clips in folders that are named by their class."
        )

    @cached_property
    def _rows(self) -> Rows:
        if not self.given or not self.root.is_file():
            raise self.not_found()
        return read_rows(self.root)

    @cached_property
    def _clips(self) -> list[Utterance]:
        found = self._rows
        problems = [*found.problems, *(_of_columns(found) if found.columns else [])]
        if found.columns and not set(REQUIRED) - set(found.columns):
            checked = _Checked(self.root.parent, found, self.synonyms)
            problems += checked.problems
            if not problems:
                for remark in self.remarks():
                    log.info("%s: %s", self.root, remark)
                return sorted(checked.utterances(self.name), key=lambda clip: clip.id)
        if problems:
            raise BadCorpusError(_listed(self.asked, problems))
        return []


class _Checked:
    """The rows of a table, checked one by one; ``problems`` has all that is wrong with them."""

    def __init__(self, folder: Path, table: Rows, synonyms: bool) -> None:
        self.table, self.synonyms = table, synonyms
        self.problems: list[Problem] = []
        self.folder = Path(os.path.normpath(folder.absolute()))
        self.files = [Path(os.path.normpath(self.folder / _home(row["path"]))) for _, row in table.rows]
        for (line, row), file in zip(table.rows, self.files, strict=True):
            self.problems += ((line, problem) for problem in self._wrong(row, file))
        self.problems += self._repeated()
        self.problems += self._two_sexes()

    def utterances(self, corpus: str) -> Iterator[Utterance]:
        """Yield the clip of each row; ids are paths relative to the table's folder, or to the one above all files."""
        inside = all(str(file).startswith(f"{self.folder}{os.sep}") for file in self.files)
        above = self.folder if inside else Path(os.path.commonpath([file.parent for file in self.files]))
        sexes = {speaker: next(iter(said)) for speaker, said in self._sexes().items()}
        for (_, row), file in zip(self.table.rows, self.files, strict=True):
            piece = self._piece(row)
            speaker, sentence, age = row.get("speaker"), row.get("sentence"), row.get("age")
            yield Utterance(
                id=f"{corpus}/{file.relative_to(above).as_posix()}{_seconds(piece)}",
                path=file,
                corpus=corpus,
                speaker=f"{corpus}/{speaker}" if speaker else None,
                sex=sex_of(row.get("sex", "")) or sexes.get(speaker or ""),
                emotion=self._label(row["label"]),
                sentence=f"{corpus}/{sentence}" if sentence else None,
                age=int(self._number(age)) if age else None,
                votes=self._votes(row) or None,
                piece=piece,
            )

    def _wrong(self, row: Mapping[str, str], file: Path) -> Iterator[str]:
        if not row["path"]:
            yield "no path"
        elif not file.is_file():
            yield f"{row['path']} {'is a folder' if file.is_dir() else 'does not exist'}"
        if not row["label"]:
            yield "no label"
        for column in (c for c in row if c in ("age", "start", "end") or c.startswith(VOTES)):
            if row[column] and not self._number(row[column]) >= 0:  # nan where it is no number
                yield f"{column} must be a number of 0 or more; got {row[column]}"
        start, end = (self._number(row.get(c) or absent) for c, absent in (("start", "0"), ("end", "inf")))
        if end <= start:
            yield f"end must be after start; got {row.get('start') or 0} to {row['end']}"

    def _repeated(self) -> Iterator[Problem]:
        """Yield the rows whose clip is in an earlier row."""
        first: dict[tuple[Path, str], tuple[int, str]] = {}
        for (line, row), file in zip(self.table.rows, self.files, strict=True):
            key = file, f"{row.get('start') or 0}-{row.get('end')}"
            if row["path"] and key in first:
                before, label = first[key]
                two = "again" if row["label"] == label else f"labelled {row['label']}, but {label}"
                yield line, f"{row['path']} is {two} in line {before}"
            first.setdefault(key, (line, row["label"]))

    def _two_sexes(self) -> Iterator[Problem]:
        for speaker, said in self._sexes().items():
            if len(said) > 1:
                both = " and ".join(f"{sex} in line {line}" for sex, line in said.items())
                yield max(said.values()), f"the speaker {speaker} is {both}"

    def _sexes(self) -> dict[str, dict[str, int]]:
        """Return the sexes of each speaker, with the first line that states it."""
        found: dict[str, dict[str, int]] = defaultdict(dict)
        for line, row in self.table.rows:
            if row.get("speaker") and (sex := sex_of(row.get("sex", ""))):
                found[row["speaker"]].setdefault(sex, line)
        return found

    def _label(self, label: str) -> str:
        return emotion_of(label) if self.synonyms else label

    def _votes(self, row: Mapping[str, str]) -> dict[str, float]:
        votes: dict[str, float] = defaultdict(float)
        for column, value in row.items():
            if column.startswith(VOTES) and value:
                votes[self._label(column.removeprefix(VOTES))] += self._number(value)
        return dict(votes)

    def _piece(self, row: Mapping[str, str]) -> Piece | None:
        start, end = row.get("start"), row.get("end")
        return (self._number(start or "0"), self._number(end) if end else None) if start or end else None

    def _number(self, text: str) -> float:
        """Return a number, NaN for other text."""
        try:
            return float(text.replace(",", ".") if self.table.decimal_comma else text)
        except ValueError:
            return math.nan


def _of_columns(table: Rows) -> Iterator[Problem]:
    """Yield what is wrong with the names of the columns."""
    known = (*REQUIRED, *OPTIONAL)
    others = [c for c in table.columns if c not in known and not c.startswith(VOTES)]
    for column in known:
        if column in table.columns:
            continue
        meant = [c for c in others if c in ALIASES.get(column, ())] or get_close_matches(column, others, 1, 0.75)
        if column in REQUIRED:
            hint = f" Rename {meant[0]} to {column}?" if meant else ""
            yield 0, f"columns must include {column}; got {', '.join(filter(None, table.columns))}.{hint}"
        elif meant:
            yield 0, f"the column {meant[0]} is not read; rename it to {column}, or to a name that is less like it"


def _home(path: str) -> Path:
    """Return a path with ``~`` as the user's home folder."""
    return Path(path).expanduser() if path.startswith("~/") else Path(path)


def _seconds(piece: Piece | None) -> str:
    """Return a piece as the end of an id."""
    if piece is None:
        return ""
    start, end = piece
    return f"@{start:.10g}-" + ("" if end is None else f"{end:.10g}")


def _listed(path: Path, problems: list[Problem]) -> str:
    ordered = sorted(problems, key=lambda problem: problem[0])
    lines = [f"  line {line}: {text}" if line else f"  {text}" for line, text in ordered[:SHOWN]]
    more = [f"  and {len(ordered) - SHOWN} more"] if len(ordered) > SHOWN else []
    return "\n".join(
        [
            f"data.file must be a table in which every row can be used; got {path} with {counted(len(ordered), 'problem')}:",
            *lines,
            *more,
            "Correct them and run the command again; nothing was decoded.",
        ]
    )
