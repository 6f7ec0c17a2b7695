"""Recordings in pieces that bound the memory of a prediction: short ones whole, long ones in windows; and batches of them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ser.audio.checks import Finding, below
from ser.audio.decode import AudioSettings, Recording, standardise
from ser.audio.quality import Quality
from ser.errors import AudioError
from ser.inference.recordings import Readable
from ser.inference.scorer import Clips

LONG_S = 30.0
"""A recording of more seconds is scored in windows: acted clips and turns of dialogue are shorter, and Whisper takes 30 s."""
WINDOW_S = 4.0
"""Longest window in seconds: half of RAVDESS's clips are longer than 3.7 s, and half of SAVEE's than 3.8 s."""
POOL_S = 600.0
"""Seconds of speech that are held at a time, to sort them by length: 38 MB at 16 kHz."""
BATCH_S = 60.0
"""Seconds of a batch with its padding: on a CPU, batches of 16 and of 64 clips are then as fast as each other."""


class Piece(NamedTuple):
    """A part of a recording, as a store would hold it.

    Attributes:
        row: Number of the recording.
        samples: ``(sample,)`` int16, at the model's rate.
        windows: Number of pieces of the recording, 1 if it is whole.
        findings: What is wrong with it.
    """

    row: int
    samples: np.ndarray
    windows: int
    findings: tuple[Finding, ...]

    def waveform(self) -> np.ndarray:
        """Return the samples as float32, full scale = 1."""
        return self.samples.astype(np.float32) / np.float32(32768.0)


def pieces(
    recording: Readable,
    row: int,
    settings: AudioSettings,
    span: tuple[int, int] | None = None,
    quality: Quality | None = None,
) -> Iterator[Piece]:
    """Yield a recording whole, or one of more than `LONG_S` in equal windows of at most `WINDOW_S`.

    A window of silence is left out, as a clip of silence is.

    Args:
        recording: An open recording.
        row: Number of the recording.
        settings: How it is decoded.
        span: The first sample of a part of it, and the one after its last, to have that part alone.
        quality: What measures the pieces, if they are to be measured.

    Raises:
        AudioError: If it cannot be used, or all of it is silent.
    """

    def measured(piece: Piece, found: Recording) -> Piece:
        if quality is None:
            return piece
        quality.add(found)
        quality.kinds.update(kind for kind, _ in piece.findings)
        quality.sound_s += len(piece.samples) / settings.sample_rate
        quality.windows = piece.windows
        return piece

    first, last = span or (0, recording.frames)
    if (seconds := (last - first) / recording.rate) <= LONG_S:
        found = recording.read(first, last) if span else recording.whole()
        yield measured(piece_of(recording, found, settings, row), found)
        return
    if span is None:
        recording.check_length()
    edges = np.linspace(first, last, math.ceil(seconds / WINDOW_S) + 1).round().astype(int).tolist()
    silent, sounding = None, False
    for begin, end in pairwise(edges):
        try:
            found = recording.read(begin, end)
        except AudioError as error:
            if error.kind != "silent":
                raise
            silent = error
            if quality is not None:
                quality.add_silence((end - begin) / recording.rate)
            continue
        sounding = True
        yield measured(piece_of(recording, found, settings, row, len(edges) - 1), found)
    if silent is not None and not sounding:
        raise silent


def piece_of(recording: Readable, found: Recording, settings: AudioSettings, row: int = 0, windows: int = 1) -> Piece:
    """Return a recording, or a part of it, as a store would hold it.

    Raises:
        AudioError: If nothing of it is left at the model's rate.
    """
    samples = standardise(found.samples, found.rate, settings)
    if not len(samples):
        text = f"{len(found.samples)} samples at {found.rate:g} Hz give none at the model's rate"
        raise AudioError(recording.name, "too short", text)
    return Piece(row, samples, windows, (*found.findings, *below(found.rate, settings.sample_rate)))


def batches(pieces: Iterable[Piece], sample_rate: int, batch_size: int) -> Iterator[tuple[list[Piece], Clips]]:
    """Yield batches of pieces of similar length, and their waveforms.

    No more than `POOL_S` of pieces is held, and no more than `BATCH_S`, or one piece, is in a batch with its padding.
    """
    pool: list[Piece] = []
    held = 0
    for piece in pieces:
        pool.append(piece)
        held += len(piece.samples)
        if held >= POOL_S * sample_rate:
            yield from _batched(pool, sample_rate, batch_size)
            pool, held = [], 0
    yield from _batched(pool, sample_rate, batch_size)


def _batched(pool: list[Piece], sample_rate: int, batch_size: int) -> Iterator[tuple[list[Piece], Clips]]:
    batch: list[Piece] = []
    for piece in sorted(pool, key=lambda piece: len(piece.samples)):
        # The next piece is the longest so far: it sets the length of all.
        if len(batch) == batch_size or (len(batch) + 1) * len(piece.samples) > BATCH_S * sample_rate:
            if batch:
                yield batch, padded(batch)
            batch = []
        batch.append(piece)
    if batch:
        yield batch, padded(batch)


def padded(batch: Sequence[Piece]) -> Clips:
    """Return the waveforms of pieces, padded to the longest."""
    lengths = np.array([len(piece.samples) for piece in batch])
    waveform = np.zeros((len(batch), lengths.max()), dtype=np.float32)
    for row, piece in zip(waveform, batch, strict=True):
        row[: len(piece.samples)] = piece.waveform()
    return Clips(waveform, lengths)
