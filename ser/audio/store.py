"""Waveform stores: every clip decoded once, as 16 kHz mono int16 in one memory-mapped file, with a manifest and a card.

A store is a folder:

- ``waveforms.i16``: all clips end to end, little-endian int16, full scale = 32768, then as many zeros as the longest clip
  has samples, so that a window of that length fits from any clip's start
- ``manifest.parquet``: `ser.corpora.manifest` plus ``start`` and ``length`` in samples, and ``sha256`` of the clip's samples
- ``card.json``: settings, counts, hours, the clips that were left out and why, and a fingerprint of contents and settings

It is built in a temporary folder under a lock and renamed into place: two jobs that start together prepare it once, and a
killed job leaves no partial store.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audio.decode import SILENCE_PEAK, AudioSettings, read_audio, standardise
from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance, to_table
from ser.errors import AudioError, BadCorpusError, CorpusNotFoundError
from ser.runtime.words import counted

KNOWN_BAD = "known bad"
FORMAT = 2
"""Increased when the format changes, so that older stores are prepared again."""


@dataclass(frozen=True)
class Problem:
    """A problem of a file: ``kind`` is its short name, ``left_out`` whether the store excludes the clip."""

    utterance: str
    path: str
    kind: str
    detail: str
    left_out: bool


@dataclass(frozen=True)
class Store:
    """A prepared corpus on disk; see the module for its manifest and its card."""

    folder: Path
    manifest: pd.DataFrame
    card: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """A hash of the settings and of every clip's id, labels and samples."""
        return str(self.card["fingerprint"])

    @cached_property
    def samples(self) -> np.ndarray:
        """All clips end to end, then zeros: ``(sample,)`` int16, memory-mapped. Writing to it does not change the file."""
        return np.memmap(self.folder / "waveforms.i16", dtype="<i2", mode="c")


def prepare(
    corpus: Corpus, folder: str | Path, settings: AudioSettings, *, strict: bool = False, rebuild: bool = False
) -> Store:
    """Open the store of a corpus. A missing or outdated store is created first.

    Args:
        corpus: The corpus to decode.
        folder: The folder of all stores; this one is a folder below it.
        settings: Sampling rate and trimming.
        strict: Raise an error for an unusable file instead of leaving it out.
        rebuild: Decode again even if the store is up to date.

    Raises:
        CorpusNotFoundError: If neither the corpus nor a store of it exists.
        BadCorpusError: If ``strict`` and a file is unusable, or if all files are.
    """
    from filelock import FileLock

    home = Path(folder).expanduser()
    target = home / f"{corpus.name}-{_key(corpus, settings)}"
    utterances = _listed(corpus, target)
    if utterances is None:
        return _opened(target, strict)
    source = _source_hash(utterances)
    if not rebuild and _fits(target, source):  # without the lock, so that a shared store may be read only
        return _opened(target, strict)
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not rebuild and _fits(target, source):  # another job made it while this one waited
            return _opened(target, strict)
        return _build(corpus, utterances, target, settings, source, strict)


def _key(corpus: Corpus, settings: AudioSettings) -> str:
    """Return the hash in a store's name, of its settings and the corpus's folder, so that two copies have two stores."""
    text = json.dumps([FORMAT, asdict(settings), str(corpus.root.resolve())])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _listed(corpus: Corpus, target: Path) -> list[Utterance] | None:
    """Return the corpus's clips; ``None`` if they are missing but their store exists (a machine with only the store)."""
    try:
        return list(corpus.utterances())
    except CorpusNotFoundError:
        if (target / "card.json").exists():
            return None
        raise


def _source_hash(utterances: Sequence[Utterance]) -> str:
    """Return a hash that changes when a file is added, removed, renamed or modified, or its name is parsed differently."""
    digest = hashlib.sha256()
    for utterance in utterances:
        status = utterance.path.stat()
        more = "".join(f"{part}|" for part in (utterance.piece, utterance.further) if part is not None)
        digest.update(f"{utterance}|{more}{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _fits(target: Path, source: str) -> bool:
    try:
        card = json.loads((target / "card.json").read_text())
        size = (target / "waveforms.i16").stat().st_size
    except (OSError, ValueError):
        return False
    whole = size == 2 * (card["samples"] + card["longest"]) and (target / "manifest.parquet").exists()
    return bool(card.get("source") == source and whole)


def _open(target: Path) -> Store:
    return Store(target, pd.read_parquet(target / "manifest.parquet"), json.loads((target / "card.json").read_text()))


def _opened(target: Path, strict: bool) -> Store:
    """Return an existing store; if ``strict``, raise an error if it left out files."""
    store = _open(target)
    if strict:
        _refuse(Problem(**p) for p in store.card["problems"])
    return store


def _decode(utterance: Utterance, settings: AudioSettings) -> tuple[np.ndarray | None, list[Problem]]:
    """Return the samples of one clip as stored, ``None`` if it is unusable, and its problems."""

    def problem(kind: str, detail: str, left_out: bool = True) -> Problem:
        return Problem(utterance.id, str(utterance.path), kind, detail, left_out)

    try:
        samples, rate = read_audio(utterance.path, utterance.piece)
    except AudioError as error:
        return None, [problem(error.kind, error.detail)]
    problems = []
    if rate < settings.sample_rate:
        problems.append(problem("wrong rate", f"{rate} Hz, raised to {settings.sample_rate} Hz", left_out=False))
    peak = float(np.abs(samples).max())
    if peak < SILENCE_PEAK:
        return None, [*problems, problem("silent", f"no sample exceeds {peak:.1e} of full scale")]
    clip = standardise(samples, rate, settings)
    if len(clip) < settings.min_ms * settings.sample_rate / 1000:
        return None, [*problems, problem("too short", f"{1000 * len(clip) / settings.sample_rate:.0f} ms of sound")]
    return clip, problems


def _decode_all(
    utterances: Sequence[Utterance], settings: AudioSettings, title: str
) -> Iterator[tuple[Utterance, np.ndarray | None, list[Problem]]]:
    """Decode in threads (soundfile and soxr release the GIL), in order, with a progress bar on a terminal."""
    from rich.progress import track

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        decoded = pool.map(lambda u: _decode(u, settings), utterances)
        bar = track(zip(utterances, decoded, strict=True), f"Preparing {title}", total=len(utterances), transient=True)
        try:
            for utterance, (clip, problems) in bar:
                yield utterance, clip, problems
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _build(
    corpus: Corpus, utterances: Sequence[Utterance], target: Path, settings: AudioSettings, source: str, strict: bool
) -> Store:
    """Decode into a temporary folder, then move it into place in one step."""
    work = target.with_name(f"{target.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        problems, kept = _write_samples(corpus, utterances, work, settings)
        if strict:
            _refuse(problems)
        if not kept:
            raise BadCorpusError(
                f"None of the {len(utterances)} clips of {corpus.title} under {corpus.root} is usable. "
                f"The first problem is {problems[0].kind}: {problems[0].path}: {problems[0].detail}"
            )
        manifest = to_table(utterance for utterance, _, _ in kept)
        manifest["length"] = np.array([length for _, length, _ in kept], dtype=np.int64)
        manifest["start"] = manifest["length"].cumsum() - manifest["length"]
        manifest["sha256"] = [content for _, _, content in kept]
        card = _card(corpus, manifest, settings, source, problems, utterances)
        manifest.to_parquet(work / "manifest.parquet", index=False)
        (work / "card.json").write_text(json.dumps(card, indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _open(target)


def _write_samples(
    corpus: Corpus, utterances: Sequence[Utterance], work: Path, settings: AudioSettings
) -> tuple[list[Problem], list[tuple[Utterance, int, str]]]:
    """Write the clips end to end; return the problems, and each clip with its samples and their SHA-256."""
    known = {u: reason for u in utterances if (reason := corpus.wrong_with(u))}
    problems = [Problem(u.id, str(u.path), KNOWN_BAD, reason, True) for u, reason in known.items()]
    good = [u for u in utterances if u not in known]
    kept: list[tuple[Utterance, int, str]] = []
    first: dict[str, str] = {}
    with (work / "waveforms.i16").open("wb") as file:
        for utterance, clip, found in _decode_all(good, settings, corpus.title):
            problems += found
            if clip is None:
                continue
            content = hashlib.sha256(clip.tobytes()).hexdigest()
            if content in first:
                detail = f"the same samples as {first[content]}"
                problems.append(Problem(utterance.id, str(utterance.path), "duplicate", detail, False))
            first.setdefault(content, utterance.id)
            file.write(clip.tobytes())
            kept.append((utterance, len(clip), content))
        file.write(bytes(2 * max((length for _, length, _ in kept), default=0)))
    return problems, kept


def _card(
    corpus: Corpus,
    manifest: pd.DataFrame,
    settings: AudioSettings,
    source: str,
    problems: list[Problem],
    utterances: Sequence[Utterance],
) -> dict[str, Any]:
    samples, remarks = int(manifest["length"].sum()), corpus.remarks()
    labels = manifest.drop(columns=["path", "start"])
    text = json.dumps([FORMAT, asdict(settings), labels.astype(str).to_numpy().tolist()])
    return {
        "corpus": corpus.name,
        "title": corpus.title,
        "licence": corpus.licence,
        "citation": corpus.citation,
        "synthetic": corpus.synthetic,
        "settings": asdict(settings),
        "expected": {
            "utterances": corpus.expected_utterances,
            "speakers": corpus.expected_speakers,
            "emotions": dict(corpus.expected_per_emotion),
        },
        "notes": [*corpus.notes, *remarks, *_strays(corpus)],
        "remarks": remarks,
        "differences": corpus.differences(utterances),
        "found": len(utterances),
        "utterances": len(manifest),
        "speakers": int(manifest["speaker"].nunique()),
        "emotions": {str(k): int(v) for k, v in manifest["emotion"].value_counts().sort_index().items()},
        "samples": samples,
        "longest": int(manifest["length"].max()),
        "hours": samples / settings.sample_rate / 3600,
        "problems": [asdict(p) for p in problems],
        "source": source,
        "fingerprint": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _strays(corpus: Corpus) -> list[str]:
    """Return a note on audio files in the folder that are not clips of the corpus, if there are any."""
    if not (strays := corpus.strays()):
        return []
    return [f"{counted(len(strays), 'audio file')} not of this corpus left out, for example {strays[0]}."]


def _refuse(problems: Iterable[Problem]) -> None:
    """Raise if any file had to be left out."""
    if bad := [p for p in problems if p.left_out and p.kind != KNOWN_BAD]:  # those are damaged in the release itself
        lines = "\n".join(f"  {p.kind}: {p.path}: {p.detail}" for p in bad[:20])
        more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
        raise BadCorpusError(
            f"Every file must be usable with strict=true; got {counted(len(bad), 'unusable file')}:\n{lines}{more}\n"
            "Replace them, or set strict=false to leave them out."
        )
