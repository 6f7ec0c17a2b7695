"""Duplicates: recordings that one or two corpora hold twice, unchanged or altered. For the audit of leaks.

Source: Haitsma and Kalker, 2002, A highly robust audio fingerprinting system, ISMIR,
https://ismir2002.ismir.net/proceedings/02-FP04-2.pdf: a 32-bit word every frame, each bit the sign of a difference of
energies over neighbouring bands and frames. Copies share some words exactly, and few of their other bits differ.

1. Identical: the same SHA-256 of samples.
2. Candidates: clips that share a word, or a word that differs only in the least certain bits of one of them.
3. Alike: most bits are equal in the frames that the clips have in common.
4. Confirmed: the waveforms correlate. A practised speaker's takes of a sentence have as many equal bits as a noisy copy
   (five in six), but another phase. ``python benchmarks/duplicates.py`` prints how well both measures separate them.

A copy may be resampled, louder or softer, inverted, trimmed, coded as MP3, somewhat noisy or clipped. It is not found at
another speed or pitch, recorded again in a room, or if the two share less than about 0.7 s of speech.

Rejected alternatives: Chromaprint (a C library; its words span two seconds, for music); mean MFCCs (two takes of a sentence
are closer than a take and its noisy copy); correlating all pairs of waveforms (hours instead of seconds).
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ser.audio.decode import resample
from ser.audio.store import Store
from ser.runtime.files import replacing

log = logging.getLogger(__name__)

VERSION = 1
"""Increased when the same stores give another table, so that older tables are not read."""
RATE = 8000
"""Rate in Hz that clips are resampled to; the bands end well below half of it."""
FRAME, HOP = 1600, 80
"""200 ms, so that a frame half a hop off has almost the same bits; every 10 ms."""
EDGES_HZ = np.geomspace(300, 3000, 34)
"""33 bands for 32 differences, narrow enough to separate harmonics, in the range that telephones and low bit rates keep."""
GATE_DB = 20.0
"""A frame this far below its clip's loudest is ignored: the bits of silence are those of its noise."""
UNSURE = 2
"""A frame is also looked up with any of this many least certain bits inverted."""
COMMON = 100
"""A word that occurs more often than this is no evidence of a copy."""
OVERLAP = 50
"""Frames (0.5 s) in which both clips must be loud enough."""
ALIKE = 0.75
"""Minimum share of equal bits. Unrelated frames share half."""
CORRELATED = 0.75
"""Minimum correlation of the waveforms. In the benchmark alike recordings reach 0.57, and copies fall to 0.89."""


def find_duplicates(stores: Sequence[Store], cache: Path | None = None) -> pd.DataFrame:
    """Find the pairs of clips, within and across stores, that are the same recording.

    Args:
        stores: Prepared corpora, each once.
        cache: A folder that keeps the table for the next call with the same stores; ``None`` keeps nothing.

    Returns:
        A row per pair, sorted: ``one`` and ``other`` (utterance ids, ``one < other``), ``kind`` (``identical`` or
        ``near-identical``) and ``similarity``: the share of equal bits, 1 for identical clips.

    Raises:
        ValueError: If an utterance id occurs twice.

    Example:
        >>> find_duplicates([]).columns.tolist()
        ['one', 'other', 'kind', 'similarity']
    """
    if cache is None:
        return _find(stores)
    text = f"{VERSION} {sorted(store.fingerprint for store in stores)}"
    path = cache / f"duplicates-{hashlib.sha256(text.encode()).hexdigest()[:16]}.parquet"
    if path.exists():
        return pd.read_parquet(path)
    found = _find(stores)
    with replacing(path) as unfinished:
        found.to_parquet(unfinished, index=False)
    return found


def compare_clips(stores: Sequence[Store], alike: float = ALIKE) -> pd.DataFrame:
    """Compare the clips that share words. `find_duplicates` calls those that correlate near-identical.

    Returns:
        A row per pair of different but alike contents: ``one``, ``other`` (SHA-256 of samples), ``similarity`` and
        ``correlation``, the largest absolute correlation of the two waveforms in their overlap.
    """
    every = [_Clip(s, *row) for s in stores for row in s.manifest[["start", "length", "sha256"]].to_numpy()]
    clips = list({clip.sha256: clip for clip in every}.values())  # otherwise copies make each other's words common
    rows = [
        (clips[a].sha256, clips[b].sha256, similarity, _correlation(clips[a], clips[b], offset))
        for a, b, offset, similarity in _alike(_Prints.of(clips), alike).itertuples(index=False, name=None)
    ]
    table = pd.DataFrame(rows, columns=["one", "other", "similarity", "correlation"])
    return table.astype({"one": str, "other": str, "similarity": float, "correlation": float})  # also where it is empty


def words_of(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reduce a waveform to one word every 10 ms.

    Shapes:
        - waveform: ``(sample,)`` at `RATE`, in any unit
        - returns: words ``(frame,)`` uint32; the least certain bits, ``(frame, UNSURE)`` uint32 with one bit set; whether
          the frame is loud enough to count, ``(frame,)``. No frames if there are less than 210 ms.

    Example:
        >>> noise = np.random.default_rng(0).normal(size=8000)
        >>> words, unsure, says = words_of(noise)
        >>> len(words), unsure.shape, bool((words_of(0.1 * noise)[0] == words).all())
        (80, (80, 2), True)
    """
    from scipy.fft import rfft

    if len(waveform) < FRAME + HOP:
        return np.zeros(0, np.uint32), np.zeros((0, UNSURE), np.uint32), np.zeros(0, bool)
    frames = np.lib.stride_tricks.sliding_window_view(waveform.astype(np.float32, copy=False), FRAME)[::HOP]
    edges = np.rint(EDGES_HZ * FRAME / RATE).astype(np.int64)
    spectrum = rfft(frames * np.hanning(FRAME).astype(np.float32), axis=1)[:, : edges[-1]]
    power = spectrum.real**2 + spectrum.imag**2
    energy = np.add.reduceat(power, edges[:-1], axis=1)  # (frame, 33)
    difference = np.diff(np.diff(energy, axis=1), axis=0)
    words = np.packbits(difference < 0, axis=1).view(">u4").ravel().astype(np.uint32)
    least = np.argpartition(np.abs(difference), UNSURE, axis=1)[:, :UNSURE]
    total = energy.sum(axis=1)
    says = np.minimum(total[1:], total[:-1]) > total.max() * 10 ** (-GATE_DB / 10)
    return words, np.uint32(1) << (31 - least).astype(np.uint32), says


@dataclass(frozen=True)
class _Clip:
    store: Store
    start: int
    length: int
    sha256: str

    def waveform(self) -> np.ndarray:
        samples = self.store.samples[self.start : self.start + self.length].astype(np.float32)
        return resample(samples, int(self.store.card["settings"]["sample_rate"]), RATE)


@dataclass(frozen=True)
class _Prints:
    """Fingerprints of all clips end to end: ``words``, ``unsure``, ``says`` and ``clip`` per frame, ``first`` per clip."""

    words: np.ndarray
    unsure: np.ndarray
    says: np.ndarray
    clip: np.ndarray
    first: np.ndarray

    @staticmethod
    def of(clips: Sequence[_Clip]) -> "_Prints":
        none = words_of(np.zeros(0))  # so that there is something to concatenate
        words, unsure, says = zip(none, *(words_of(clip.waveform()) for clip in clips), strict=True)
        lengths = [len(w) for w in words[1:]]
        first = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        clip = np.repeat(np.arange(len(clips)), lengths)
        return _Prints(np.concatenate(words), np.concatenate(unsure), np.concatenate(says), clip, first)


def _find(stores: Sequence[Store]) -> pd.DataFrame:
    none = pd.DataFrame({"id": [], "sha256": []}, dtype=str)
    clips = pd.concat([none, *(store.manifest[["id", "sha256"]] for store in stores)])
    if len(twice := clips["id"][clips["id"].duplicated()]):
        raise ValueError(f"stores must hold each utterance once; got {twice.iloc[0]} twice. Give one store per corpus.")
    sides = ("_one", "_other")
    same = clips.merge(clips, on="sha256", suffixes=sides).query("id_one < id_other").assign(similarity=1.0)
    near = compare_clips(stores).query(f"correlation >= {CORRELATED}").merge(clips, left_on="one", right_on="sha256")
    near = near.merge(clips, left_on="other", right_on="sha256", suffixes=sides)
    pairs = pd.concat([same.assign(kind="identical"), near.assign(kind="near-identical")], ignore_index=True)
    ids = pairs[["id_one", "id_other"]]
    table = pairs.assign(one=ids.min(axis=1), other=ids.max(axis=1))[["one", "other", "kind", "similarity"]]
    log.info("%d clips: %d pairs are identical, %d near-identical.", len(clips), len(same), len(near))
    return table.sort_values(["one", "other"], ignore_index=True)


def _candidates(prints: _Prints) -> np.ndarray:
    """Return pairs of clips that share a word: ``(candidate, 3)``: a, b > a, and the frames by which b is later."""
    frame = np.flatnonzero(prints.says)
    variants = [prints.words[frame]]
    for bit in prints.unsure[frame].T:
        variants += [words ^ bit for words in variants]
    word = np.concatenate(variants)
    order = np.argsort(word, kind="stable")
    counts = np.unique(word, return_counts=True)[1]
    order = order[np.repeat(counts <= COMMON, counts)]
    word, frame, turned = word[order], np.tile(frame, len(variants))[order], order >= len(frame)
    longest = int(np.diff(prints.first).max(initial=1))
    found = [np.zeros(0, np.int64)]
    for step in range(1, int(counts[counts <= COMMON].max(initial=1))):
        left = np.flatnonzero((word[step:] == word[:-step]) & ~(turned[step:] & turned[:-step]))
        low, high = np.sort(np.stack([frame[left], frame[left + step]]), axis=0)
        a, b = prints.clip[low], prints.clip[high]
        later = (high - prints.first[b]) - (low - prints.first[a])
        found.append((((a * len(prints.first) + b) * 2 * longest) + later + longest)[a != b])
    pair, later = np.divmod(np.unique(np.concatenate(found)), 2 * longest)
    return np.stack([*np.divmod(pair, len(prints.first)), later - longest], axis=1)


def _alike(prints: _Prints, least: float) -> pd.DataFrame:
    """Return each pair of clips once, at the shift with most equal bits: ``a``, ``b``, ``offset``, ``similarity``."""
    candidates = _candidates(prints)
    parts = [candidates[i : i + 20_000] for i in range(0, len(candidates), 20_000)]  # some 100 MB of frames each
    similarity = np.concatenate([np.zeros(0), *(_equal_bits(prints, *part.T) for part in parts)])
    table = pd.DataFrame(candidates, columns=["a", "b", "offset"]).assign(similarity=similarity)
    table = table[table["similarity"] >= least].sort_values("similarity", kind="stable")
    return table.drop_duplicates(["a", "b"], keep="last")


def _equal_bits(prints: _Prints, a: np.ndarray, b: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return the share of equal bits, ``(candidate,)``, in frames that count in both clips; 0 if fewer than `OVERLAP`."""
    length = np.diff(prints.first)
    start = np.maximum(0, -offset)
    count = np.minimum(length[a], length[b] - offset) - start  # at least 1: the frame of the shared word
    begin = np.cumsum(count) - count
    step = np.arange(count.sum()) - np.repeat(begin, count)
    one = np.repeat(prints.first[a] + start, count) + step
    other = np.repeat(prints.first[b] + start + offset, count) + step
    both = prints.says[one] & prints.says[other]
    wrong = np.bitwise_count(prints.words[one] ^ prints.words[other]) * both
    frames, errors = (np.add.reduceat(x, begin, dtype=np.int64) for x in (both, wrong))
    return np.where(frames >= OVERLAP, 1 - errors / (32 * np.maximum(frames, 1)), 0.0)


def _correlation(a: _Clip, b: _Clip, offset: int) -> float:
    """Return the peak, within two hops, of the waveforms' normalised cross-correlation between 300 and 3000 Hz."""
    from scipy.fft import irfft, next_fast_len, rfft

    x, y = a.waveform()[max(0, -offset) * HOP :], b.waveform()[max(0, offset) * HOP :]
    length = min(len(x), len(y))
    size = next_fast_len(length + 2 * HOP, real=True)  # with as many zeros as lags, so that nothing wraps around
    x, y = (rfft(w[:length], size) for w in (x, y))
    hertz = np.arange(len(x)) * RATE / size
    inside = (hertz >= EDGES_HZ[0]) & (hertz <= EDGES_HZ[-1])
    finer, reach = 4, 2 * HOP * 4  # lags of a quarter of a sample, in case the peak lies between two
    products = np.abs(irfft(x * y.conj() * inside, finer * size)) * finer * size / 2  # as sums over the bins inside
    peak = max(products[: reach + 1].max(), products[-reach:].max())
    return float(peak / max(np.linalg.norm(x[inside]) * np.linalg.norm(y[inside]), np.finfo(np.float32).tiny))
