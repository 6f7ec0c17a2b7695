"""What a store was decoded from, clip by clip, so that only what has changed is decoded again."""

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ser.audio.clips import Decoded, Problem
from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

_FIELDS = tuple(field.name for field in fields(Utterance))
NO_ACCESS = "no access"
NO_DECODER = "no decoder"


def sources_of(corpus: Corpus, utterances: Iterable[Utterance]) -> dict[str, str]:
    """Return a hash by clip, which changes when one of its files is modified, or its name is parsed differently."""
    others = corpus.copies()
    sources = {}
    for utterance in utterances:
        files = [_state(path) for path in (utterance.path, *others.get(utterance.id, ()))]
        stated = [getattr(utterance, name) for name in _FIELDS]
        sources[utterance.id] = hashlib.sha256(f"{stated}|{files}".encode()).hexdigest()
    return sources


def hash_of(sources: Mapping[str, str]) -> str:
    """Return one hash of all."""
    return hashlib.sha256("\n".join(sources.values()).encode()).hexdigest()


def may_pass(problem: Problem) -> bool:
    """Whether a problem may end without a change of its file; it may be that of a copy which is not used."""
    return _kind(problem) in (NO_ACCESS, NO_DECODER)


def has_passed(problem: Problem) -> bool:
    """Whether a file with such a problem can be opened and decoded now."""
    if not may_pass(problem):
        return False
    try:
        with Path(problem.path).open("rb"):
            return _kind(problem) == NO_ACCESS or shutil.which("ffmpeg") is not None
    except OSError:
        return False


def _kind(problem: Problem) -> str:
    """Return the kind of a problem, which the detail of a bad copy begins with."""
    return problem.detail.partition(":")[0] if problem.kind == "bad copy" else problem.kind


def _state(path: Path) -> str:
    """Return a text that changes when a file is modified, or can be reached again."""
    try:
        status = path.stat()
    except OSError as error:
        return f"{path}|{error.strerror}"
    return f"{path}|{status.st_size}|{status.st_mtime_ns}"


class Previous:
    """The clips of an older store of the same corpus and settings.

    Args:
        sources: What they were decoded from, as `sources_of` returns it; empty if there is no older store.
        manifest: The store's.
        samples: The store's.
        problems: Of its files, but not those that several clips have together.
    """

    def __init__(
        self, sources: Mapping[str, str], manifest: pd.DataFrame, samples: np.ndarray, problems: Sequence[Problem]
    ) -> None:
        self.sources, self.samples = sources, samples
        self.rows = {id_: row for id_, *row in manifest[["id", "path", "start", "length"]].to_numpy()}
        self.problems: dict[str, list[Problem]] = {}
        for problem in problems:
            self.problems.setdefault(problem.utterance, []).append(problem)

    def decoded(self, utterance: Utterance, source: str) -> Decoded | None:
        """Return a clip that has not changed since, without decoding it; ``None`` for another, and where one may pass."""
        problems = self.problems.get(utterance.id, [])
        if self.sources.get(utterance.id) != source or any(map(may_pass, problems)):
            return None
        if utterance.id in self.rows:
            path, start, length = self.rows[utterance.id]
            return Decoded(replace(utterance, path=Path(path)), self.samples[start : start + length], problems)
        return Decoded(utterance, None, problems) if problems else None
