"""Waveform stores: every clip decoded once, as 16 kHz mono int16 in one memory-mapped file, with a manifest and a card.

A store is a folder:

- ``waveforms.i16``: all clips end to end, little-endian int16, full scale = 32768, then as many zeros as the longest clip
  has samples, so that a window of that length fits from any clip's start
- ``manifest.parquet``: `ser.corpora.manifest` plus ``start`` and ``length`` in samples, and ``sha256`` of the clip's samples
- ``card.json``: settings, counts, hours, the clips that were left out and why, and a fingerprint of contents and settings
- ``sources.json``: by clip, a hash of what it was decoded from; a clip whose hash has not changed is not decoded again

It is built in a temporary folder under a lock and renamed into place: two jobs that start together prepare it once, and a
killed job leaves no partial store.
"""

import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audio.checks import LONG_FACTOR, LONG_S
from ser.audio.clips import Decoded, Problem, decode_clip, problem_of
from ser.audio.decode import AudioSettings
from ser.audio.sources import Previous, has_passed, hash_of, sources_of
from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance, to_table
from ser.errors import BadCorpusError, CorpusNotFoundError
from ser.runtime.words import counted

KNOWN_BAD = "known bad"
AHEAD = 64
"""Clips that are decoded or waiting for it at a time."""
FORMAT = 3
"""Increased when the format changes, so that older stores are prepared again."""
CONTENT = 2
"""Increased when the same samples and labels get another fingerprint."""
OF_SEVERAL = (KNOWN_BAD, "duplicate", "far longer")
"""Problems that are found in the whole corpus, and not in a file alone."""


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


def open_samples(folder: Path, fingerprint: str) -> np.ndarray:
    """Return the samples of the store with this fingerprint, mapped read-only, as another process opens them.

    Raises:
        BadCorpusError: If it has been replaced since, by a `prepare` that found changed recordings.
    """
    try:
        samples = np.memmap(folder / "waveforms.i16", dtype="<i2", mode="r")
        found = _whole_card(folder)  # after the samples: if it is still the same, so are they
    except OSError:
        found = None
    if found is None or found["fingerprint"] != fingerprint:
        raise BadCorpusError(
            f"{folder} must stay as it is while it is read; it was replaced, as its recordings have changed. Start again."
        )
    return samples


def prepare(
    corpus: Corpus, folder: str | Path, settings: AudioSettings, *, strict: bool = False, rebuild: bool = False
) -> Store:
    """Open the store of a corpus. A missing or outdated store is created first.

    Args:
        corpus: The corpus to decode.
        folder: The folder of all stores; this one is a folder below it.
        settings: Sampling rate and trimming.
        strict: Raise an error for a problem of a file instead of listing it, unless the release has it itself.
        rebuild: Decode again even if the store is up to date.

    Raises:
        CorpusNotFoundError: If neither the corpus nor a store of it exists.
        BadCorpusError: If ``strict`` and a file has a problem, or if no file can be used.
    """
    from filelock import FileLock

    home = Path(folder).expanduser()
    target = home / f"{corpus.name}-{_key(corpus, settings)}"
    utterances = _listed(corpus, target)
    if utterances is None:
        return _checked(corpus, _open(target), strict)
    sources = sources_of(corpus, utterances)
    # Without the lock, so that a shared store may be read only.
    if not rebuild and (store := _up_to_date(target, sources)):
        return _checked(corpus, store, strict)
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if not rebuild and (store := _up_to_date(target, sources)):  # another job made it while this one waited
            return _checked(corpus, store, strict)
        return _build(corpus, utterances, target, settings, sources, strict, rebuild)


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


def _fits(target: Path, sources: dict[str, str]) -> bool:
    if (card := _whole_card(target)) is None or card.get("source") != hash_of(sources):
        return False
    return not any(has_passed(Problem(**p)) for p in card["problems"])


def _whole_card(target: Path) -> dict[str, Any] | None:
    """Return the card of a store if all its files are there, at their size."""
    try:
        card: dict[str, Any] = json.loads((target / "card.json").read_text())
        size = (target / "waveforms.i16").stat().st_size
    except (OSError, ValueError):
        return None
    whole = size == 2 * (card["samples"] + card["longest"]) and (target / "manifest.parquet").exists()
    return card if whole else None


def _up_to_date(target: Path, sources: dict[str, str]) -> Store | None:
    """Return a store if it is up to date, also after it was read: another job may replace it meanwhile."""
    if not _fits(target, sources):
        return None
    try:
        store = _open(target)
    except (OSError, ValueError):
        return None
    return store if _fits(target, sources) else None


def _open(target: Path) -> Store:
    """Return a store, its samples mapped: they stay those of its manifest if another job replaces it."""
    store = Store(target, pd.read_parquet(target / "manifest.parquet"), json.loads((target / "card.json").read_text()))
    store.samples  # noqa: B018
    return store


def _checked(corpus: Corpus, store: Store, strict: bool) -> Store:
    """Return an existing store; if ``strict``, raise an error if it has problems."""
    if strict:
        _refuse(corpus, (Problem(**p) for p in store.card["problems"]))
    return store


def _previous(target: Path) -> Previous | None:
    """Return the clips of the store that is to be replaced, if there is one."""
    if _whole_card(target) is None:
        return None
    try:
        sources, store = json.loads((target / "sources.json").read_text()), _open(target)
    except (OSError, ValueError):
        return None
    problems = [Problem(**p) for p in store.card["problems"] if p["kind"] not in OF_SEVERAL]
    return Previous(sources, store.manifest, store.samples, problems)


def _decode_all(
    corpus: Corpus,
    utterances: Sequence[Utterance],
    settings: AudioSettings,
    previous: Previous | None,
    sources: dict[str, str],
) -> Iterator[Decoded]:
    """Decode in threads (soundfile and soxr release the GIL), in order, with a progress bar on a terminal.

    Only a few clips are decoded ahead of the one that is written, so that memory does not grow with the corpus.
    """
    from rich.progress import track

    others = corpus.copies()

    def decode(utterance: Utterance) -> Decoded:
        known = previous.decoded(utterance, sources[utterance.id]) if previous else None
        return known or decode_clip(utterance, others.get(utterance.id, ()), settings)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        coming = iter(utterances)
        ahead = deque(pool.submit(decode, utterance) for utterance in islice(coming, AHEAD))
        try:
            for _ in track(utterances, f"Preparing {corpus.title}", transient=True):
                decoded = ahead.popleft().result()
                ahead.extend(pool.submit(decode, utterance) for utterance in islice(coming, 1))
                yield decoded
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _build(
    corpus: Corpus,
    utterances: Sequence[Utterance],
    target: Path,
    settings: AudioSettings,
    sources: dict[str, str],
    strict: bool,
    rebuild: bool,
) -> Store:
    """Decode into a temporary folder, then move it into place in one step."""
    work = target.with_name(f"{target.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        previous = None if rebuild else _previous(target)
        problems, kept = _write_samples(corpus, utterances, work, settings, previous, sources)
        del previous  # Windows moves no file that is mapped
        if strict:
            _refuse(corpus, problems)
        if not kept:
            raise BadCorpusError(
                f"None of the {len(utterances)} clips of {corpus.title} under {corpus.root} is usable. "
                f"The first problem is {problems[0].kind}: {problems[0].path}: {problems[0].detail}"
            )
        manifest = to_table(utterance for utterance, _, _ in kept)
        manifest["length"] = np.array([length for _, length, _ in kept], dtype=np.int64)
        manifest["start"] = manifest["length"].cumsum() - manifest["length"]
        manifest["sha256"] = [content for _, _, content in kept]
        card = _card(corpus, manifest, settings, hash_of(sources), problems, utterances)
        manifest.to_parquet(work / "manifest.parquet", index=False)
        (work / "sources.json").write_text(json.dumps(sources))
        (work / "card.json").write_text(json.dumps(card, indent=1) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return _open(target)


def _write_samples(
    corpus: Corpus,
    utterances: Sequence[Utterance],
    work: Path,
    settings: AudioSettings,
    previous: Previous | None,
    sources: dict[str, str],
) -> tuple[list[Problem], list[tuple[Utterance, int, str]]]:
    """Write the clips end to end; return the problems, and each clip with its samples and their SHA-256."""
    known = {u: reason for u in utterances if (reason := corpus.wrong_with(u))}
    problems = [problem_of(u, u.path, KNOWN_BAD, reason) for u, reason in known.items()]
    good = [u for u in utterances if u not in known]
    kept: list[tuple[Utterance, int, str]] = []
    first: dict[str, Utterance] = {}
    with (work / "waveforms.i16").open("wb") as file:
        for utterance, clip, found in _decode_all(corpus, good, settings, previous, sources):
            problems += found
            if clip is None:
                continue
            content = hashlib.sha256(clip.tobytes()).hexdigest()
            if (before := first.setdefault(content, utterance)) is not utterance:
                label = "" if before.emotion == utterance.emotion else f", which is labelled {before.emotion}"
                detail = f"the same samples as {before.id}{label}"
                problems.append(problem_of(utterance, utterance.path, "duplicate", detail))
            file.write(clip.tobytes())
            kept.append((utterance, len(clip), content))
        file.write(bytes(2 * max((length for _, length, _ in kept), default=0)))
    return [*problems, *_far_longer(kept, settings.sample_rate)], kept


def _far_longer(kept: Sequence[tuple[Utterance, int, str]], rate: int) -> Iterator[Problem]:
    median = float(np.median([length for _, length, _ in kept])) / rate if kept else 0.0
    for utterance, length, _ in kept:
        if length / rate > max(LONG_S, LONG_FACTOR * median):
            detail = f"{length / rate:.0f} s, where half of the clips have {median:.1f} s or less"
            yield problem_of(utterance, utterance.path, "far longer", detail)


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
    text = json.dumps([CONTENT, asdict(settings), labels.astype(str).to_numpy().tolist()])
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
        "known_problems": list(corpus.known_problems),
        "source": source,
        "fingerprint": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _strays(corpus: Corpus) -> list[str]:
    """Return a note on audio files in the folder that are not clips of the corpus, if there are any."""
    if not (strays := corpus.strays()):
        return []
    return [f"{counted(len(strays), 'audio file')} not of this corpus left out, for example {strays[0]}."]


def _refuse(corpus: Corpus, problems: Iterable[Problem]) -> None:
    """Raise if a file has a problem that the release does not have itself."""
    if bad := [p for p in problems if p.kind not in (KNOWN_BAD, *corpus.known_problems)]:
        lines = "\n".join(f"  {p.kind}: {p.path}: {p.detail}" for p in bad[:20])
        more = f"\n  and {len(bad) - 20} more" if len(bad) > 20 else ""
        raise BadCorpusError(
            f"Every file must be without problems with strict=true; got {counted(len(bad), 'problem')}:\n{lines}{more}\n"
            "Replace the files, or set strict=false, which leaves out what cannot be used and lists the rest."
        )
