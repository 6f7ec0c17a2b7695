"""A table of recordings: anyone's own clips, without code.

A row is a clip. The columns ``path`` and ``label`` are required; ``speaker``, ``sentence``, ``sex``, ``age``, ``start`` and
``end`` (seconds, for a piece of a longer file) and ``votes_<label>`` (numbers of listeners) are optional, and may be empty in
some rows. Where numbers are to be predicted, their columns are required in place of ``label``. Paths may be relative to the
table's folder. The table is checked whole before anything is decoded.
"""

import logging
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import pandas as pd

from ser.corpora.columns import VOTES, further, read_columns, required_of
from ser.corpora.formats.recognise import read_rows
from ser.corpora.formats.rows import Place, Problem, Rows, listed
from ser.corpora.manifest import Piece, Utterance
from ser.corpora.own import OLDEST, OwnRecordings
from ser.corpora.synonyms import sex_of
from ser.errors import BadCorpusError, CorpusNotFoundError

log = logging.getLogger(__name__)

TIMES = ("start", "end")


class Table(OwnRecordings):
    """The clips of a table.

    Args:
        root: The file or the folder of the table, in any format of `ser.corpora.formats`. Relative paths in it are taken
            from its folder, or from the current one if the first is there.
        synonyms: Read labels through `ser.corpora.synonyms`; ``False`` keeps them as written.
        name: The corpus's name in ids, protocols and results.
        targets: Columns of numbers, in any case, that are to be predicted: every row must have them, and none needs a label.

    Raises:
        ConfigError: If the name cannot be used.
    """

    name = "table"
    title = "a table of recordings"
    notes: ClassVar[tuple[str, ...]] = ("Not a published corpus: its labels are those of a table of the user's own.",)

    def __init__(
        self,
        root: str | Path | None = None,
        synonyms: bool = True,
        name: str | None = None,
        targets: Sequence[str] | None = None,
    ) -> None:
        super().__init__(root, synonyms, name)
        self.targets = tuple(name.lower() for name in targets or ())  # as columns are

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

    def copies(self) -> dict[str, list[Path]]:
        """Return nothing: a table names one file a clip."""
        return {}

    def strays(self) -> list[Path]:
        """Return nothing: other files beside a table have no meaning."""
        return []

    def layout(self) -> str:
        """Return the format of the table."""
        return self._rows.format

    def remarks(self) -> list[str]:
        """Return how the columns and labels were read, and where paths were taken from."""
        renamed = [f"{given} as {column}" for given, column in self._renamed.items()]
        told = [f"Columns read under another name: {', '.join(renamed)}."] if renamed else []
        told += self._synonyms_of(row["label"] for _, row in self._rows.rows if row.get("label"))
        if kept := [column for column in further(self._rows) if column not in self.targets]:
            told.append(f"Further columns that are kept, to compare groups by: {', '.join(kept)}.")
        if self._folder != self._rows.folder:
            told.append("Relative paths are taken from the current folder: they are not in that of the table.")
        return told

    def not_found(self) -> CorpusNotFoundError:
        """Return the error for a table that is missing or has no rows."""
        if not self.given:
            got = "none"
        elif self.root.is_dir():
            got = f"{self.asked}, which is a folder without a table that is recognised"
        else:
            got = f"{self.asked}, which " + ("has no rows" if self.root.is_file() else "does not exist")
        return CorpusNotFoundError(
            f"data.file must be a table with the columns path and label; got {got}. Set data.file=my.csv, or data=folders "
            "data.root=<folder> for clips in folders that are named by their class."
        )

    @cached_property
    def _read(self) -> tuple[Rows, dict[str, str]]:
        found = read_rows(self.root) if self.given else None
        if found is None:
            raise self.not_found()
        return found, read_columns(found, self.targets)

    @property
    def _rows(self) -> Rows:
        return self._read[0]

    @property
    def _renamed(self) -> dict[str, str]:
        return self._read[1]

    @cached_property
    def _folder(self) -> Path:
        """The folder that relative paths begin at."""
        folder, here = self._rows.folder, Path.cwd()
        first = next((row["path"] for _, row in self._rows.rows if row.get("path")), "")
        found = [base for base in (folder, here) if first and Path(_absolute(str(base), first)).is_file()]
        return found[0] if found else folder

    @cached_property
    def _clips(self) -> list[Utterance]:
        problems = list(self._rows.problems)
        if self._rows.columns and not set(required_of(self.targets)) - set(self._rows.columns):
            checked = _Checked(self._folder, self._rows, self._emotion, self.targets)
            problems += checked.problems
            if not problems:
                for remark in self.remarks():
                    log.info("%s: %s", self.root, remark)
                return sorted(checked.utterances(self.name), key=lambda clip: clip.id)
        if problems:
            raise BadCorpusError(listed(self.asked, problems))
        return []


class _Checked:
    """The rows of a table, checked one by one; ``problems`` has all that is wrong with them."""

    def __init__(
        self, folder: Path, table: Rows, emotion_of: Callable[[str], str], targets: Sequence[str] = ()
    ) -> None:
        self.table, self.emotion_of, self.targets = table, emotion_of, targets
        self.problems: list[Problem] = []
        self.folder = os.path.normpath(folder.absolute())
        self.numbers = [c for c in table.columns if c in ("age", *TIMES) or c.startswith(VOTES)]
        self.further = [c for c in ("split", *further(table)) if c in table.columns]
        self.names = [_absolute(self.folder, row["path"]) for _, row in table.rows]
        for (place, row), name in zip(table.rows, self.names, strict=True):
            self.problems += ((place, problem) for problem in self._wrong(row, name))
        self.problems += self._repeated()
        self.problems += self._two_sexes()

    def utterances(self, corpus: str) -> Iterator[Utterance]:
        """Yield the clip of each row; ids are paths relative to the table's folder, or to the one above all files."""
        inside = all(name.startswith(f"{self.folder}{os.sep}") for name in self.names)
        above = self.folder if inside else os.path.commonpath({Path(name).parent for name in self.names})
        below = len(above.rstrip(os.sep)) + 1
        sexes = {speaker: next(iter(said)) for speaker, said in self._sexes.items()}
        for (_, row), name in zip(self.table.rows, self.names, strict=True):
            piece = self._piece(row)
            speaker, sentence, age = row.get("speaker"), row.get("sentence"), row.get("age")
            yield Utterance(
                id=f"{corpus}/{name[below:].replace(os.sep, '/')}{_suffix(piece)}",
                path=Path(name),
                corpus=corpus,
                speaker=f"{corpus}/{speaker}" if speaker else None,
                sex=sex_of(row.get("sex", "")) or sexes.get(speaker or ""),
                emotion=self.emotion_of(row["label"]) if row.get("label") else None,
                sentence=f"{corpus}/{sentence}" if sentence else None,
                age=int(self._number(age, "age")) if age else None,
                votes=self._votes(row) or None,
                piece=piece,
                further={column: row[column] for column in self.further if row[column]} or None,
            )

    def _wrong(self, row: Mapping[str, str], name: str) -> Iterator[str]:
        if not row["path"]:
            yield "no path"
        elif not os.path.isfile(name):  # noqa: PTH113 - pathlib takes three times as long
            yield f"{row['path']} {'is a folder' if Path(name).is_dir() else 'does not exist'}"
        for column in self.targets:
            if not math.isfinite(self._number(row[column], column)):
                yield f"{column} must be a number; got {row[column]}" if row[column] else f"no {column}"
        if not self.targets and not row["label"]:
            yield "no label"
        for column in self.numbers:
            if row[column] and not 0 <= self._number(row[column], column) < math.inf:  # nan where it is no number
                yield f"{column} must be a number of 0 or more; got {row[column]}"
            elif column == "age" and row[column] and self._number(row[column], column) > OLDEST:
                yield f"age must be in years, {OLDEST} at most; got {row[column]}"
        if row.get("end") and self._number(row["end"], "end") <= self._number(row.get("start") or "0", "start"):
            yield f"end must be after start; got {row.get('start') or 0} to {row['end']}"

    def _repeated(self) -> Iterator[Problem]:
        """Yield the rows whose clip is in an earlier row."""
        first: dict[tuple[str, Piece | None], tuple[Place, str | None]] = {}
        for (place, row), name in zip(self.table.rows, self.names, strict=True):
            key = name, self._piece(row)
            if row["path"] and key in first:
                before, label = first[key]
                two = "again" if row.get("label") == label else f"labelled {row['label']}, but {label}"
                yield place, f"{row['path']} is {two} in {before}"
            first.setdefault(key, (place, row.get("label")))

    def _two_sexes(self) -> Iterator[Problem]:
        for speaker, said in self._sexes.items():
            if len(said) > 1:
                both = " and ".join(f"{sex} in {place}" for sex, place in said.items())
                yield max(said.values()), f"the speaker {speaker} is {both}"

    @cached_property
    def _sexes(self) -> dict[str, dict[str, Place]]:
        """Return the sexes of each speaker, with the first place that states it."""
        found: dict[str, dict[str, Place]] = defaultdict(dict)
        for place, row in self.table.rows:
            if row.get("speaker") and (sex := sex_of(row.get("sex", ""))):
                found[row["speaker"]].setdefault(sex, place)
        return found

    def _votes(self, row: Mapping[str, str]) -> dict[str, float]:
        votes: dict[str, float] = defaultdict(float)
        for column in self.numbers:
            if column.startswith(VOTES) and row[column]:
                votes[self.emotion_of(column.removeprefix(VOTES))] += self._number(row[column], column)
        return dict(votes)

    def _piece(self, row: Mapping[str, str]) -> Piece | None:
        start, end = row.get("start"), row.get("end")
        if not (start or end):
            return None
        piece = self._number(start or "0", "start"), self._number(end, "end") if end else None
        return None if piece == (0.0, None) else piece

    def _number(self, text: str, column: str) -> float:
        """Return a number, NaN for other text; times may be written as ``0 days 00:00:01.5``, too."""
        try:
            return float(text.replace(",", ".") if self.table.decimal_comma else text)
        except ValueError:
            return _seconds(text) if column in TIMES else math.nan


def _absolute(folder: str, path: str) -> str:
    """Return a path below a folder, or in the user's home folder after ``~/``, without ``..``."""
    home = str(Path(path).expanduser()) if path.startswith("~/") else path
    return os.path.normpath(os.path.join(folder, home))  # noqa: PTH118 - pathlib takes ten times as long


def _seconds(text: str) -> float:
    """Return a time with its units in seconds, NaN for other text."""
    try:
        return pd.Timedelta(text).total_seconds()
    except ValueError:
        return math.nan


def _suffix(piece: Piece | None) -> str:
    """Return a piece as the end of an id."""
    if piece is None:
        return ""
    start, end = piece
    return f"@{start:.10g}-" + ("" if end is None else f"{end:.10g}")
