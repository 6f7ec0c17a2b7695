"""What each feature costs for a whole corpus, as times of log-mel's cost, beside librosa's where it has the feature.

    python benchmarks/features.py                         the demo corpus
    python benchmarks/features.py data=ravdess            another, under paths.corpora or SER_CORPORA

Ours runs in batches on the device that it finds, librosa clip by clip on the CPU. All are measured in turn in each of several
rounds, and the fastest time of each counts, so that what else the machine does matters little. The first line is
`torch.stft` alone, which log-mel and others cannot do without.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from machine import composed, device, device_name, synchronise
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from ser.datamodules.data import SpeechData
from ser.features.logmel import LogMel
from ser.protocols.plan import planned
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate
from ser.runtime.memory import keep_freed_memory
from ser.training.build import build_data

ROUNDS = 4
QUICK, QUICK_S = 10, 0.3
"""In a round, each is repeated so often, or for so many seconds."""
CLIPS = 32
"""Of the corpus, spread over its lengths."""
OF_OTHERS = ("own", "functionals", "stack", "encoder")
"""Files of `conf/features` that are made of others."""
Batches = list[tuple[Tensor, Tensor]]
Clips = list[np.ndarray]

FFT, HOP, RATE = 1024, 256, 16000
SIZES: dict[str, Any] = {"n_fft": FFT, "hop_length": HOP, "center": False}
OF = librosa.feature


def mfcc(y: np.ndarray) -> None:
    """Compute MFCC and both slopes."""
    found = OF.mfcc(y=y, sr=RATE, n_mfcc=20, n_mels=80, **SIZES)
    OF.delta(found)
    OF.delta(found, order=2)


def spectral(y: np.ndarray) -> None:
    """Compute five shapes of one spectrum."""
    spectrum = np.abs(librosa.stft(y, **SIZES))
    for shape in (OF.spectral_centroid, OF.spectral_bandwidth, OF.spectral_rolloff, OF.spectral_contrast):
        shape(S=spectrum, sr=RATE)
    OF.spectral_flatness(S=spectrum)


LIBROSA: dict[str, Callable[[np.ndarray], object]] = {
    "logmel": lambda y: np.log(OF.melspectrogram(y=y, sr=RATE, n_mels=80, **SIZES) + 1e-6),
    "mfcc": mfcc,
    "chroma": lambda y: OF.chroma_stft(y=y, sr=RATE, tuning=0.0, **SIZES),
    "spectral": spectral,
    "zcr": lambda y: OF.zero_crossing_rate(y, frame_length=FFT, hop_length=HOP, center=False),
    "rms": lambda y: OF.rms(y=y, frame_length=FFT, hop_length=HOP, center=False),
    "pcen": lambda y: librosa.pcen(OF.melspectrogram(y=y, sr=RATE, n_mels=80, **SIZES), sr=RATE, hop_length=HOP),
    "pitch": lambda y: librosa.pyin(y, fmin=60, fmax=600, sr=RATE, frame_length=FFT, hop_length=HOP, center=False),
    "rhythm": lambda y: librosa.onset.onset_strength(y=y, sr=RATE, **SIZES),
}
"""By our name: the same of librosa's. Its pitch is pYIN, and its rhythm the onsets alone."""


def batches(data: SpeechData) -> Batches:
    """Return clips of many lengths in batches, on the device."""
    by_length = np.argsort(data.labelled.manifest["length"].to_numpy(), kind="stable")
    rows = by_length[np.linspace(0, len(by_length) - 1, min(CLIPS, len(by_length))).astype(int)]
    return [(batch.waveform, batch.lengths) for batch in data.batches(np.unique(rows), device(), 16)]


def ways(found: Batches) -> dict[str, Callable[[], object]]:
    """Return what is measured, by name: `torch.stft`, our features, and librosa's."""
    names = sorted(file.stem for file in Path(conf_dir(), "features").glob("*.yaml"))
    names = ["logmel", *(name for name in names if name not in ("logmel", *OF_OTHERS))]
    made = {name: instantiate(composed([f"features={name}"])["features"], nn.Module).to(device()) for name in names}
    clips = [row[:n].cpu().numpy() for x, lengths in found for row, n in zip(x, lengths.tolist(), strict=True)]
    whole = [clip for clip in clips if len(clip) >= FFT]  # librosa takes no shorter one
    mel = made["logmel"]
    assert isinstance(mel, LogMel)
    window = mel.mel.spectrogram.window

    def stft(x: Tensor) -> Tensor:
        return torch.stft(x, mel.fft, mel.hop, len(window), window, center=False, return_complex=True)

    def ours(feature: Callable[[Tensor, Tensor], object]) -> Callable[[], object]:
        return lambda: [feature(x, lengths) for x, lengths in found]

    def theirs(feature: Callable[[np.ndarray], object]) -> Callable[[], object]:
        return lambda: [feature(clip) for clip in whole]

    return {
        "torch.stft": ours(lambda x, _: stft(x)),
        **{name: ours(feature) for name, feature in made.items()},
        **{f"librosa {name}": theirs(feature) for name, feature in LIBROSA.items()},
    }


def seconds(measured: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the fastest time of each, in rounds that take all in turn."""
    taken: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(ROUNDS):
        for name, way in measured.items():
            until = time.perf_counter() + QUICK_S
            for _ in range(QUICK):
                began = time.perf_counter()
                way()
                synchronise()
                taken[name].append((ended := time.perf_counter()) - began)
                if ended > until:
                    break
    return {name: min(times) for name, times in taken.items()}


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    if device().type == "cpu":
        keep_freed_memory()  # as a training does
    config = composed(sys.argv[1:])
    plan = planned(config)
    found = batches(build_data(config, plan, 0))
    taken = seconds(ways(found))
    table = Table("feature", "times log-mel", "librosa, times log-mel", "librosa, times ours")
    for name in (name for name in taken if not name.startswith("librosa")):
        theirs = taken.get(f"librosa {name}")
        beside = ("-", "-") if theirs is None else (f"{theirs / taken['logmel']:.1f}", f"{theirs / taken[name]:.1f}")
        table.add_row(name, f"{taken[name] / taken['logmel']:.2f}", *beside)
    clips, minutes = sum(len(n) for _, n in found), sum(int(n.sum()) for _, n in found) / RATE / 60
    Console().print(
        table,
        f"{clips} clips, {minutes:.1f} minutes, of {'+'.join(plan.corpora)} on {device_name()}. Log-mel takes "
        f"{taken['logmel']:.3f} s, {taken['logmel'] / taken['torch.stft']:.2f} times torch.stft alone.",
    )


if __name__ == "__main__":
    main()
