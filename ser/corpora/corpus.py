"""What every corpus has in common: its facts, and finding its clips in a folder.

A corpus is a subclass of `Corpus`: facts as class constants, and one method, `Corpus.parse`, that reads a file's name.
"""

import os
import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from ser.corpora.manifest import Utterance
from ser.errors import CorpusNotFoundError

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
"""In order of preference, where a clip is there in several formats."""

_POINTER = b"version https://git-lfs"
_POINTER_BYTES = range(1, 1024)
"""A git-LFS pointer is a text of about 130 bytes; its specification keeps it under 1024."""


@dataclass(frozen=True)
class Download:
    """One file of a release.

    Attributes:
        url: Where it is.
        checksum: ``md5:...`` or ``sha256:...`` as published; ``None`` where no checksum could be found.
        bytes: Its size as published, or ``None``.
        source: Where the address and the checksum were found.
        kind: ``zip`` is unpacked. ``git-lfs`` is the zip of a git repository: the wanted files in it are kept, and
            where one is a git-LFS pointer (which holds the SHA-256 and the size), its content is fetched from
            ``media``. ``dataverse`` is a Dataverse's list of files, which holds their MD5s; each is fetched.
        keep: Patterns of the wanted paths; everything where empty.
        media: For ``git-lfs``: addresses where large files lie, ``{path}`` being the path; if one fails, the next.
    """

    url: str
    checksum: str | None
    bytes: int | None
    source: str
    kind: Literal["zip", "git-lfs", "dataverse"] = "zip"
    keep: tuple[str, ...] = ()
    media: tuple[str, ...] = ()


class Corpus(ABC):
    """A corpus of acted emotional speech in a folder.

    Args:
        root: The folder that holds it, in any of the layouts that people have. Its name's case does not matter; where
            there is none, a folder beside it with one of the corpus's ``aliases`` is taken.

    Attributes:
        asked: The folder as it was given.
        root: The folder that was found, or ``asked`` where none was.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    citation: ClassVar[str]
    doi: ClassVar[str]
    licence: ClassVar[str]
    homepage: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    """Names that copies of the folder have; case, spaces, hyphens and underscores do not matter."""
    emotions: ClassVar[Mapping[str, str]] = {}
    """The corpus's own codes to the names of `ser.corpora.labels.EMOTIONS`."""
    expected_utterances: ClassVar[int]
    expected_speakers: ClassVar[int]
    expected_per_emotion: ClassVar[Mapping[str, int]] = {}
    downloads: ClassVar[tuple[Download, ...]] = ()
    how_to_get: ClassVar[str] = ""
    """How to get it where it cannot be downloaded; the command says it where it can."""
    known_bad: ClassVar[Mapping[str, str]] = {}
    """Utterance id to what is wrong with it, for clips of the release that cannot be used."""
    identical: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Ids of clips that the release holds more than once, byte for byte, under different names."""
    notes: ClassVar[tuple[str, ...]] = ()
    """Oddities of the release that a reader of results should know."""
    synthetic: ClassVar[bool] = False

    def __init__(self, root: str | Path) -> None:
        self.asked = Path(root).expanduser()
        self.root = _locate(self.asked, (self.name, *self.aliases))

    @abstractmethod
    def parse(self, path: Path) -> Utterance | None:
        """Read a file's name; ``None`` where it is no clip of this corpus (a song, a video, a stray file)."""

    def describe(self, clips: list[Utterance]) -> list[Utterance]:
        """Add what other files under ``root`` say of the clips: demographics, votes."""
        return clips

    def wrong_with(self, utterance: Utterance) -> str | None:
        """Say why a clip of the release cannot be used, or ``None``."""
        return self.known_bad.get(utterance.id)

    def utterances(self) -> Iterator[Utterance]:
        """Find every clip under ``root`` once, sorted by id, those of ``known_bad`` too.

        A clip that is there several times is taken in the format that `AUDIO_SUFFIXES` names first, then from the
        folder nearest to ``root``.

        Raises:
            CorpusNotFoundError: If there are no clips there; says where to get them.
        """
        clips = self.clips()
        if not clips:
            raise self.not_found()
        return iter(self.describe(clips))

    def clips(self) -> list[Utterance]:
        """Read the file names alone: each clip once, sorted by id; empty where there is nothing."""
        found: dict[str, tuple[tuple[int, int, str], Utterance]] = {}
        for path in self._audio():
            if clip := self.parse(path):
                rank = (AUDIO_SUFFIXES.index(path.suffix.lower()), len(path.parts), str(path))
                if clip.id not in found or rank < found[clip.id][0]:
                    found[clip.id] = (rank, clip)
        return [found[id_][1] for id_ in sorted(found)]

    def strays(self) -> list[Path]:
        """List the audio files under ``root`` that are no clip of this corpus: nothing is left out in silence."""
        return sorted(path for path in self._audio() if self.parse(path) is None)

    def complete(self) -> bool:
        """Tell whether every clip of the release is there, as audio."""
        clips = self.clips()
        return len(clips) == self.expected_utterances and not any(is_pointer(u.path) for u in clips)

    def differences(self, utterances: Iterable[Utterance]) -> list[str]:
        """Say what is unlike the release, a sentence each; empty where the counts agree."""
        clips = list(utterances)
        counts = Counter(u.emotion for u in clips)
        facts = [("clips", len(clips), self.expected_utterances)]
        facts += [("speakers", len({u.speaker for u in clips}), self.expected_speakers)]
        facts += [(f"{emotion} clips", counts[emotion], n) for emotion, n in sorted(self.expected_per_emotion.items())]
        return [f"{self.title}: {got} {what} here, {n} in the release." for what, got, n in facts if got != n]

    def not_found(self) -> CorpusNotFoundError:
        """Make the error for an absent corpus: licence, source, and the command that gets it."""
        if not self.root.is_dir():
            reason = "there is no such folder"
        elif strays := self.strays():
            reason = f"none of the {len(strays)} audio files there has a name of this corpus, e.g. {strays[0].name}"
        else:
            reason = "the folder holds no audio"
        doi = f" (https://doi.org/{self.doi})" if self.doi else ""
        return CorpusNotFoundError(
            f"{self.title} is not at {self.root}: {reason}.\n"
            f"  licence    {self.licence}\n"
            f"  source     {self.homepage}{doi}\n"
            f"  get it     {self._command()}\n"
            f"  have it?   add paths.corpora=/folder/with/{self.name}"
        )

    def _command(self) -> str:
        return f"python -m ser.prepare data={self.name} download=true" if self.downloads else self.how_to_get

    def _audio(self) -> Iterator[Path]:
        return (path for path in files_under(self.root) if path.suffix.lower() in AUDIO_SUFFIXES)


def is_pointer(path: Path) -> bool:
    """Tell whether a file is a git-LFS pointer instead of its content."""
    if path.stat().st_size not in _POINTER_BYTES:
        return False
    with path.open("rb") as file:
        return file.read(len(_POINTER)) == _POINTER


def files_under(root: Path) -> Iterator[Path]:
    """Yield every file in a folder and below, links followed once, without hidden ones and macOS's leavings."""
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
    """Take ``asked`` if it holds something, else a folder beside it with that name in other case, or an alias."""
    if _holds_something(asked) or not asked.parent.is_dir():
        return asked
    wanted = [_plain(asked.name), *map(_plain, names)]
    beside = [p for p in asked.parent.iterdir() if _plain(p.name) in wanted and _holds_something(p)]
    if not beside and _plain(asked.parent.name) in wanted and _holds_something(asked.parent):
        return asked.parent  # the corpus itself was named where the folder around it was asked for
    return min(beside, key=lambda p: (wanted.index(_plain(p.name)), p.name), default=asked)


def _holds_something(folder: Path) -> bool:
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name).casefold()
