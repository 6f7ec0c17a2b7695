"""How often the flag `no speech` is right: false alarms among acted clips by emotion, and sounds that are no speech.

    python benchmarks/speech.py DIR      a folder with ravdess, tess or savee in it; two minutes for all of them

Prints how many recordings have the flag, and the probability of speech that the least likely of the clips, and the most
likely of the other sounds, has at its best frame.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from ser.audio.activity import SpeechDetector
from ser.audio.decode import read_audio
from ser.audio.quality import SPEECH_LEAST
from ser.corpora.corpus import Corpus
from ser.corpora.ravdess import Ravdess
from ser.corpora.savee import Savee
from ser.corpora.tess import Tess

RATE, SECONDS, EACH = 16000, 3, 40
CORPORA: dict[str, Callable[[Path], Corpus]] = {"ravdess": Ravdess, "savee": Savee, "tess": Tess}


def best(samples: np.ndarray, rate: float) -> float:
    """Return the highest probability of speech in a recording."""
    return float(SpeechDetector(rate).feed(samples, last=True).max(initial=0.0))


def sounds() -> Iterator[tuple[str, list[np.ndarray]]]:
    """Yield kinds of sounds that are no speech, `EACH` of them, soft and loud."""
    rng, time = np.random.default_rng(0), np.arange(SECONDS * RATE) / RATE
    levels = np.geomspace(3e-3, 0.9, EACH)
    for name, slope in (("white noise", 0.0), ("pink noise", 0.5), ("brown noise", 1.0)):
        yield name, [level * scaled(coloured(rng, slope)) for level in levels]
    yield "pure tones", [0.3 * np.sin(2 * np.pi * hertz * time) for hertz in np.geomspace(80, 7000, EACH)]
    yield "tunes of harmonic tones", [0.3 * scaled(tune(rng, (0,))) for _ in range(EACH)]
    yield "major chords of them", [0.3 * scaled(tune(rng, (0, 4, 7))) for _ in range(EACH)]


def scaled(samples: np.ndarray) -> np.ndarray:
    """Return samples with a peak of 1."""
    return np.asarray(samples / np.abs(samples).max())


def coloured(rng: np.random.Generator, slope: float) -> np.ndarray:
    """Return noise whose amplitude falls with a power of the frequency."""
    spectrum = np.fft.rfft(rng.standard_normal(SECONDS * RATE))
    return np.fft.irfft(spectrum / np.maximum(1, np.arange(len(spectrum))) ** slope)


def tune(rng: np.random.Generator, steps: tuple[int, ...]) -> np.ndarray:
    """Return tones of up to seven harmonics that fade, at random notes of two octaves, with others some semitones above."""
    notes: list[np.ndarray] = []
    while sum(map(len, notes)) < SECONDS * RATE:
        length = float(rng.choice([0.2, 0.3, 0.5]))
        time = np.arange(round(length * RATE)) / RATE
        envelope = np.clip(40 * np.minimum(time, length - time), 0, 1) * np.exp(-2 * time / length)
        base = 220 * 2 ** (rng.integers(25) / 12)
        hertz = [k * base * 2 ** (step / 12) for step in steps for k in range(1, 8)]
        loud = [1 / k for _ in steps for k in range(1, 8)]
        tones = [a * np.sin(2 * np.pi * f * time) for a, f in zip(loud, hertz, strict=True) if f < RATE / 2]
        notes.append(envelope * np.sum(tones, axis=0))
    return np.concatenate(notes)[: SECONDS * RATE]


def main(folder: Path) -> None:
    """Print both tables."""
    console = Console()
    clips = Table("clips", "emotion", "number", "no speech", "least")
    for name, corpus in CORPORA.items():
        if not (folder / name).is_dir():
            continue
        found = defaultdict(list)
        for clip in corpus(folder / name).utterances():
            found[str(clip.emotion)].append(best(*read_audio(clip.path)))
        for emotion, values in [*sorted(found.items()), ("all", [value for each in found.values() for value in each])]:
            clips.add_row(name, emotion, *numbers(values), f"{min(values):.3f}")
    others = Table("sounds", "number", "no speech", "most")
    for name, kind in sounds():
        values = [best(one.astype(np.float32), RATE) for one in kind]
        others.add_row(name, *numbers(values), f"{max(values):.3f}")
    console.print(clips, others)


def numbers(values: list[float]) -> tuple[str, str]:
    """Return how many values there are, and of how many a recording would have the flag."""
    return str(len(values)), str(sum(value < SPEECH_LEAST for value in values))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
