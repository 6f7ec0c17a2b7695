"""One clip of a corpus as a store holds it: decoded from the first of its copies that can be used, with its problems."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ser.audio.checks import KINDS, Finding, below
from ser.audio.decode import AudioSettings, read_recording, standardise
from ser.corpora.manifest import Utterance
from ser.errors import AudioError

_ALIKE = 0.8
"""Correlation of the loudness over time from which two copies are of one recording."""
_LAG = 10
"""Frames that copies may be apart: formats begin with up to 0.1 s of their own."""


@dataclass(frozen=True)
class Problem:
    """A problem of a file: ``kind`` is one of `ser.audio.checks.KINDS`, ``left_out`` whether the store excludes the clip."""

    utterance: str
    path: str
    kind: str
    detail: str
    left_out: bool


class Decoded(NamedTuple):
    """A clip: its utterance with the path of the copy that is used, ``(sample,)`` int16 or ``None``, and its problems."""

    utterance: Utterance
    samples: np.ndarray | None
    problems: list[Problem]


def problem_of(utterance: Utterance, path: Path, kind: str, detail: str) -> Problem:
    """Return a problem of a clip's file."""
    return Problem(utterance.id, str(path), kind, detail, KINDS[kind].left_out)


def decode_clip(utterance: Utterance, others: Sequence[Path], settings: AudioSettings) -> Decoded:
    """Decode a clip; of several copies, the first that can be used."""
    bad: list[Problem] = []
    for number, path in enumerate((utterance.path, *others)):
        try:
            samples, findings = _decode(path, utterance, settings)
        except AudioError as error:
            bad.append(problem_of(utterance, path, error.kind, error.detail))
            continue
        problems = [problem_of(utterance, path, *finding) for finding in findings]
        problems += [problem_of(utterance, Path(p.path), "bad copy", f"{p.kind}: {p.detail}") for p in bad]
        for other in others[number:]:
            problems += _compared(utterance, other, samples, settings)
        return Decoded(replace(utterance, path=path), samples, problems)
    return Decoded(utterance, None, bad)


def _decode(path: Path, utterance: Utterance, settings: AudioSettings) -> tuple[np.ndarray, list[Finding]]:
    """Return the samples of a file as stored, and its problems.

    Raises:
        AudioError: If it cannot be used.
    """
    samples, rate, findings = read_recording(path, utterance.piece)
    findings = [*findings, *below(rate, settings.sample_rate)]
    clip = standardise(samples, rate, settings)
    if len(clip) < settings.min_ms * settings.sample_rate / 1000:
        raise AudioError(path, "too short", f"{1000 * len(clip) / settings.sample_rate:.0f} ms of sound")
    return clip, findings


def _compared(utterance: Utterance, other: Path, samples: np.ndarray, settings: AudioSettings) -> list[Problem]:
    """Return what is wrong with a copy that is not used."""
    try:
        copy, _ = _decode(other, utterance, settings)
    except AudioError as error:
        return [problem_of(utterance, other, "bad copy", f"{error.kind}: {error.detail}")]
    if _same_recording(samples, copy, settings.sample_rate):
        return []
    return [problem_of(utterance, other, "two recordings", f"not the recording of {utterance.path}, which is used")]


def _same_recording(one: np.ndarray, other: np.ndarray, rate: int) -> bool:
    """Whether two clips have the same loudness over time, whatever their formats changed."""
    frame = max(1, rate // 100)
    if abs(len(one) - len(other)) > max(_LAG * frame, 0.05 * len(one)):
        return False
    a, b = (_loudness(x, frame) for x in (one, other))
    middle, scale = len(b) - 1, np.sqrt(np.square(a).sum() * np.square(b).sum())
    near = np.correlate(a, b, mode="full")[max(0, middle - _LAG) : middle + _LAG + 1]
    return bool(scale == 0 or near.max() >= _ALIKE * scale)


def _loudness(samples: np.ndarray, frame: int) -> np.ndarray:
    """Return the root mean square of frames, ``(frame,)``, less its mean."""
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    loudness: np.ndarray = np.sqrt(np.square(frames).mean(axis=1))
    loudness -= loudness.mean()
    return loudness
