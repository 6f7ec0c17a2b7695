"""The base of every corpus: its facts, and the search for its clips in a folder.

A corpus is a subclass of `Corpus`: facts as class constants, and one method, `Corpus.parse`, that reads a file's name.
"""

import os
import re
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ser.corpora.manifest import Utterance
from ser.errors import BadCorpusError, CorpusNotFoundError
from ser.runtime.words import counted

AUDIO_SUFFIXES = (
    *(".wav", ".w64", ".rf64", ".aiff", ".aif", ".aifc", ".caf", ".au", ".flac"),
    *(".opus", ".ogg", ".mp3", ".m4a", ".aac", ".mp4", ".webm", ".mkv", ".mov", ".3gp", ".amr", ".wma"),
)
"""Suffixes in order of preference, for a clip that exists in several formats: exact ones first."""

_POINTER = b"version https://git-lfs"
_POINTER_BYTES = range(1, 1024)
"""Size of a git-LFS pointer in bytes: about 130, and under 1024 by its specification."""


@dataclass(frozen=True)
class Download:
    """One file of a release.

    Attributes:
        url: Its address.
        checksum: ``md5:...`` or ``sha256:...`` as published; ``None`` if none is published.
        bytes: Its size as published, or ``None``.
        source: Source of the address and the checksum.
        kind: ``zip`` is unpacked. ``git-lfs`` is the zip of a git repository: the wanted files in it are kept, and the
            content of a git-LFS pointer (which holds the SHA-256 and the size) is fetched from ``media``. ``dataverse``
            is a Dataverse's list of files with their MD5s; each file is fetched.
        keep: Patterns of the wanted paths; empty keeps everything.
        media: For ``git-lfs``: addresses of large files, with ``{path}`` for the path, in the order to try them.
    """

    url: str
    checksum: str | None
    bytes: int | None
    source: str
    kind: Literal["zip", "git-lfs", "dataverse"] = "zip"
    keep: tuple[str, ...] = ()
    media: tuple[str, ...] = ()


class Corpus(ABC):
    """A corpus of emotional speech in a folder.

    Args:
        root: The folder that holds the corpus, in any common layout. The case of its name does not matter. If it does
            not exist, a folder beside it that is named like one of ``aliases`` is used.

    Attributes:
        asked: The folder as given.
        root: The folder that was found; ``asked`` if none was.
    """

    name: str
    title: ClassVar[str]
    citation: ClassVar[str]
    doi: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    language: ClassVar[str] = ""
    material: ClassVar[str] = "acted"
    """What kind of speech it is, in a word or two."""
    hours: ClassVar[float | None] = None
    """Hours of speech, to one decimal; ``None`` if unknown."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Common names of the folder; case, spaces, hyphens and underscores do not matter."""
    emotions: ClassVar[Mapping[str, str]] = {}
    """Maps the corpus's own codes to the names of `ser.corpora.labels.EMOTIONS`, or to words of its own (``bored``)."""
    expected_utterances: ClassVar[int | None] = None
    """Counts of the release; ``None`` where it states none."""
    expected_speakers: ClassVar[int | None] = None
    expected_per_emotion: ClassVar[Mapping[str, int]] = {}
    downloads: ClassVar[tuple[Download, ...]] = ()
    how_to_get: ClassVar[str] = ""
    """How to get the corpus if it cannot be downloaded."""
    known_bad: ClassVar[Mapping[str, str]] = {}
    """Maps the id of each unusable clip of the release to what is wrong with it."""
    identical: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of ids of clips that are byte-identical in the release."""
    notes: ClassVar[tuple[str, ...]] = ()
    """Oddities of the release that a reader of results should know."""
    known_problems: ClassVar[tuple[str, ...]] = ()
    """Kinds of `ser.audio.checks.KINDS` that the release itself has, which ``strict=true`` accepts."""
    synthetic: ClassVar[bool] = False
    _found: Mapping[str, list[Utterance]] = {}  # of the last search: a large folder is not searched twice

    def __init__(self, root: str | Path) -> None:
        self.asked = Path(root).expanduser()
        self.root = _locate(self.asked, (self.name, *self.aliases))

    @abstractmethod
    def parse(self, path: Path) -> Utterance | None:
        """Parse a file name; ``None`` if it is not a clip of this corpus (a song, a video, a stray file)."""

    def describe(self, clips: list[Utterance]) -> list[Utterance]:
        """Add what other files under ``root`` state about the clips: demographics, votes."""
        return clips

    def layout(self) -> str:
        """Return in a few words what the clips are read from."""
        return "the names of its files"

    def remarks(self) -> list[str]:
        """Return what a reader should know about this copy, beside ``notes``: how its labels were read, for example."""
        return []

    def wrong_with(self, utterance: Utterance) -> str | None:
        """Return why a clip of the release cannot be used; ``None`` if it can."""
        return self.known_bad.get(utterance.id)

    def utterances(self) -> Iterator[Utterance]:
        """Return every clip under ``root`` once, sorted by id, including those of ``known_bad``.

        Of several copies of a clip, the format that comes first in `AUDIO_SUFFIXES` is used, then the copy in the
        folder nearest to ``root``.

        Raises:
            CorpusNotFoundError: If there are no clips; the message says where to get them.
        """
        clips = self.clips()
        if not clips:
            raise self.not_found()
        return iter(self.describe(clips))

    def clips(self) -> list[Utterance]:
        """Return every clip once, sorted by id, from the file names alone; empty if there are none."""
        self._found = self._copies()
        return [copies[0] for _, copies in sorted(self._found.items())]

    def copies(self) -> dict[str, list[Path]]:
        """Return, by id, the files of each clip beyond the one that `clips` named last, in the order to try them."""
        found = self._found or self._copies()
        return {id_: [clip.path for clip in copies[1:]] for id_, copies in found.items() if len(copies) > 1}

    def _copies(self) -> dict[str, list[Utterance]]:
        """Return the copies of each clip, the preferred one first."""
        found: dict[str, list[Utterance]] = defaultdict(list)
        for path in self._audio():
            if clip := self.parse(path):
                found[clip.id].append(clip)
        for copies in found.values():
            copies.sort(key=lambda clip: _rank(clip.path))
        return dict(found)

    def strays(self) -> list[Path]:
        """Return the audio files under ``root`` that are not clips of this corpus, so that they can be reported."""
        return sorted(path for path in self._audio() if self.parse(path) is None)

    def zips(self) -> list[Path]:
        """Return the zip files in the folder, or beside it and named like it, that are not unpacked into it."""
        names = [_plain(name) for name in (self.asked.name, self.name, *self.aliases)]
        beside = self.asked.parent.glob("*.zip") if self.asked.parent.is_dir() else ()
        found = [path for path in files_under(self.root) if path.suffix.lower() == ".zip"]
        found += [path for path in beside if _plain(path.stem) in names]
        return sorted(path for path in set(found) if not self.unpacked(path).exists())

    def unpacked(self, archive: Path) -> Path:
        """Return the folder that a zip file is unpacked into."""
        return self.root / archive.stem

    def complete(self) -> bool:
        """Whether every clip of the release exists as audio."""
        clips = self.clips()
        return len(clips) == self.expected_utterances and not any(is_pointer(u.path) for u in clips)

    def differences(self, utterances: Iterable[Utterance]) -> list[str]:
        """Return a sentence for each count that differs from the release; empty if all counts agree."""
        clips = list(utterances)
        counts = Counter(u.emotion for u in clips)
        facts: list[tuple[str, int, int | None]] = [("clip", len(clips), self.expected_utterances)]
        facts += [("speaker", len({u.speaker for u in clips}), self.expected_speakers)]
        facts += [(f"{emotion} clip", counts[emotion], n) for emotion, n in sorted(self.expected_per_emotion.items())]
        different = [
            f"{self.title}: {counted(got, what)} here, {n} in the release."
            for what, got, n in facts
            if n not in (None, got)
        ]
        zips = self.zips() if different else []
        return [*different, *(f"{path} is not unpacked: add unpack=true to ser.prepare." for path in zips)]

    def not_found(self) -> CorpusNotFoundError:
        """Return the error for a missing corpus, with licence, source and download command."""
        if not self.root.is_dir():
            reason = "the folder does not exist"
        elif strays := self.strays():
            reason = f"none of the {len(strays)} audio files there is named like this corpus, e.g. {strays[0].name}"
        else:
            reason = "the folder contains no audio"
        command = f"python -m ser.prepare data={self.name} download=true" if self.downloads else self.how_to_get
        zipped = "".join(f"\n  zip file   {path}: add unpack=true" for path in self.zips())
        doi = f" (https://doi.org/{self.doi})" if self.doi else ""
        return CorpusNotFoundError(
            f"{self.title} is not at {self.root}: {reason}.\n"
            f"  licence    {self.licence}\n"
            f"  source     {self.homepage}{doi}\n"
            f"  download   {command}\n"
            f"  have it?   add paths.corpora=/folder/with/{self.name}{zipped}"
        )

    def table(self, name: str) -> Path | None:
        """Return the file of this name, in any case, that is nearest to ``root``; ``None`` if there is none under it."""
        found = [path for path in files_under(self.root) if path.name.lower() == name.lower()]
        return min(found, key=lambda path: (len(path.parts), str(path)), default=None)

    def labels_in(self, name: str) -> Path:
        """Return the file of this name, without which no clip has a label.

        Raises:
            BadCorpusError: If there is none.
        """
        if found := self.table(name):
            return found
        raise BadCorpusError(f"{self.title} must have its labels, {name}, under {self.root}; got none. Put it there.")

    def _audio(self) -> Iterator[Path]:
        return (path for path in files_under(self.root) if path.suffix.lower() in AUDIO_SUFFIXES)


def _rank(path: Path) -> tuple[int, int, str]:
    return AUDIO_SUFFIXES.index(path.suffix.lower()), len(path.parts), str(path)


def is_pointer(path: Path) -> bool:
    """Whether a file is a git-LFS pointer instead of its content."""
    if path.stat().st_size not in _POINTER_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def files_under(root: Path) -> Iterator[Path]:
    """Yield every file under a folder, following each link once, without hidden files and the files of macOS."""
    seen: set[tuple[int, int]] = set()
    waiting = [root] if root.is_dir() else []
    while waiting:
        folder = waiting.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name == "__MACOSX":
                    continue
                if entry.is_dir():
                    waiting.append(folder / entry.name)
                elif entry.is_file():
                    yield folder / entry.name


def _locate(asked: Path, names: tuple[str, ...]) -> Path:
    """Return ``asked`` if it is not empty, else a folder beside it with its name in another case or with an alias."""
    if _holds_something(asked) or not asked.parent.is_dir():
        return asked
    wanted = [_plain(asked.name), *map(_plain, names)]
    beside = [p for p in asked.parent.iterdir() if _plain(p.name) in wanted and _holds_something(p)]
    if not beside and _plain(asked.parent.name) in wanted and _holds_something(asked.parent):
        return asked.parent  # the user gave the corpus's own folder instead of the one around it
    return min(beside, key=lambda p: (wanted.index(_plain(p.name)), p.name), default=asked)


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name).casefold()
