"""How reliably duplicates are found: the share of altered copies that are found, and how alike different clips can be.

    python benchmarks/duplicates.py                       every corpus that is present, under paths.corpora or SER_CORPORA
    python benchmarks/duplicates.py demo ravdess          these

For each alteration of 60 clips drawn from each corpus: how many are found, and the median and lowest share of equal bits
and correlation. For each corpus: the highest of either between clips of it that differ, and the time it takes.
"""

import hashlib
import io
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table

from ser.audio import duplicates
from ser.audio.decode import AudioSettings, resample
from ser.audio.store import Store, prepare
from ser.corpora.corpus import Corpus
from ser.errors import CorpusNotFoundError
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate

CORPORA = ("demo", "ravdess", "savee", "tess")
CLIPS, RATE = 60, 16000
LEAST = 0.65
"""Share of equal bits from which pairs are listed, far under what is called alike, to show how far."""
RANDOM = np.random.default_rng(0)


def through(rate: int) -> Callable[[np.ndarray], np.ndarray]:
    """To another sampling rate and back."""
    return lambda clip: resample(resample(clip, RATE, rate), rate, RATE)


def clipped(share: float) -> Callable[[np.ndarray], np.ndarray]:
    """Cut what exceeds a share of the peak."""
    return lambda clip: np.clip(clip, -share * np.abs(clip).max(), share * np.abs(clip).max())


def noisy(decibel: float) -> Callable[[np.ndarray], np.ndarray]:
    """Add white noise at a signal-to-noise ratio over the whole clip."""
    return lambda clip: clip + RANDOM.normal(0, clip.std() * 10 ** (-decibel / 20), len(clip))


def trimmed(clip: np.ndarray) -> np.ndarray:
    """Cut off 0.3 s and half a hop at either end."""
    cut = round(0.3 * RATE) + RATE // 200
    return clip[cut:-cut]


def cut_anywhere(clip: np.ndarray) -> np.ndarray:
    """Cut off up to 0.4 s at either end, at any sample."""
    start, end = RANDOM.integers(1, 2 * RATE // 5, size=2)
    return clip[start:-end]


def mp3(clip: np.ndarray) -> np.ndarray:
    """Code as MP3 of 24 kbit/s and decode."""
    file = io.BytesIO()
    soundfile.write(file, clip / 32768, RATE, format="MP3", compression_level=0.9, bitrate_mode="CONSTANT")
    file.seek(0)
    decoded: np.ndarray = soundfile.read(file)[0]
    return 32768 * decoded


WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "8 kHz and back": through(8000),
    "44.1 kHz and back": through(44100),
    "a tenth as loud": lambda clip: 0.1 * clip,
    "half as loud": lambda clip: 0.5 * clip,
    "inverted": lambda clip: -clip,
    "clipped at half peak": clipped(0.5),
    "clipped at 0.3 peak": clipped(0.3),
    "trimmed by 305 ms": trimmed,
    "trimmed anywhere": cut_anywhere,
    "MP3, 24 kbit/s": mp3,
    "noise, 30 dB": noisy(30),
    "noise, 20 dB": noisy(20),
    "noise, 10 dB": noisy(10),
}


def altered(store: Store, folder: Path) -> Store:
    """A store of copies, ``<way>:<id>``, of some clips, altered in every way."""
    drawn = np.sort(RANDOM.permutation(len(store.manifest))[:CLIPS])
    copies, records, start = [], [], 0
    for source, begin, length in store.manifest[["id", "start", "length"]].iloc[drawn].itertuples(index=False):
        clip = np.asarray(store.samples[begin : begin + length], dtype=np.float64)
        for name, way in WAYS.items():
            copy = np.clip(np.rint(way(clip)), -32768, 32767).astype("<i2")
            copies.append(copy)
            records.append((f"{name}:{source}", start, len(copy), hashlib.sha256(copy.tobytes()).hexdigest()))
            start += len(copy)
    np.concatenate(copies).tofile(folder / "waveforms.i16")
    manifest = pd.DataFrame(records, columns=["id", "start", "length", "sha256"])
    return Store(folder, manifest, {**store.card, "fingerprint": "altered"})


def measured(store: Store, copies: Store) -> pd.DataFrame:
    """Return one row per copy: whether it is found, and how alike it is to its source (NaN where they are never compared)."""
    found = {frozenset(pair) for pair in duplicates.find_duplicates([store, copies])[["one", "other"]].to_numpy()}
    compared = duplicates.compare_clips([store, copies], LEAST)
    likeness = {frozenset(pair): i for i, pair in enumerate(compared[["one", "other"]].to_numpy())}
    content = store.manifest.set_index("id")["sha256"]
    rows = []
    for name, sha256 in copies.manifest[["id", "sha256"]].itertuples(index=False):
        way, source = name.split(":")
        bits, waves = 1.0, 1.0  # where the alteration left the samples as they were
        if sha256 != content[source]:
            i = likeness.get(frozenset((sha256, content[source])))
            bits, waves = (np.nan, np.nan) if i is None else compared[["similarity", "correlation"]].to_numpy()[i]
        rows.append((way, frozenset((name, source)) in found, bits, waves))
    return pd.DataFrame(rows, columns=["way", "found", "bits", "waves"])


def report(store: Store, console: Console) -> None:
    """Measure a corpus and print."""
    began = time.perf_counter()
    known = duplicates.find_duplicates([store])
    taken = time.perf_counter() - began
    others = duplicates.compare_clips([store], LEAST)
    with tempfile.TemporaryDirectory() as folder:
        copies = measured(store, altered(store, Path(folder)))
    table = Table("copy", "found", "equal bits", "lowest", "correlation", "lowest")
    for way, rows in copies.groupby("way", sort=False):
        cells = [f"{value:.3f}" for measure in ("bits", "waves") for value in rows[measure].agg(["median", "min"])]
        table.add_row(str(way), f"{rows['found'].sum()} of {len(rows)}", *cells)
    console.print(
        f"\n{store.card['title']}: {len(store.manifest)} clips in {taken:.1f} s. Its own duplicates:", known.to_numpy()
    )
    alike = others[others["similarity"] >= duplicates.ALIKE]
    correlated = f" (their highest correlation is {alike['correlation'].max():.3f})" if len(alike) else ""
    console.print(
        f"Different recordings share at most {others['similarity'].max():.3f} of their bits. {len(alike)} pairs share at "
        f"least {duplicates.ALIKE} and so are compared sample by sample{correlated}; from {duplicates.CORRELATED} on they "
        f"would count as duplicates. {len(others)} pairs share at least {LEAST}; they correlate with at most "
        f"{others['correlation'].max():.3f}. The table lists copies that share at least {LEAST}, whether found or not.",
        table,
    )


def main() -> None:
    """Measure and print."""
    console = Console(soft_wrap=True)
    for name in sys.argv[1:] or CORPORA:
        with initialize_config_dir(conf_dir(), version_base="1.3"):
            config = compose("prepare", [f"data={name}"])
        corpus_config = OmegaConf.to_container(config.data.corpora[name], resolve=True)
        try:
            store = prepare(instantiate(corpus_config, Corpus), config.paths.stores, AudioSettings())  # type: ignore[arg-type]
        except CorpusNotFoundError as error:
            console.print(f"\n{name} is absent: {str(error).splitlines()[0]}")
            continue
        report(store, console)


if __name__ == "__main__":
    main()
