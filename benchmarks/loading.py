"""How long an epoch of batches takes: decoded file by file, read by workers, or gathered from resident samples.

    python benchmarks/loading.py                          the demo corpus
    python benchmarks/loading.py data=ravdess             another, under paths.corpora or SER_CORPORA

Prints the seconds of an epoch and the ratio to the first way, on the device that it runs on.
"""

import sys
import time
from collections.abc import Callable, Iterator

import torch
from machine import composed, device, synchronise
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ser.audio.decode import read_audio, standardise
from ser.datamodules.data import SpeechData
from ser.datamodules.speech import SpeechDataModule
from ser.protocols.plan import planned
from ser.training.build import build_data

EPOCHS = 3


def decoded(data: SpeechData, where: torch.device) -> Iterator[Tensor]:
    """Decode, resample and trim each clip when its batch is needed, as a Dataset of files does."""
    paths = data.labelled.manifest["path"]
    for rows in SpeechDataModule(data).train_dataloader().sampler:
        index = [int(i) for i in torch.from_numpy(data.split.train)[rows]]
        clips = [torch.from_numpy(standardise(*read_audio(paths[i]), data.plan.settings)) for i in index]
        padded = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
        yield padded.to(where).float().div_(32768.0)


def loaded(data: SpeechData, where: torch.device) -> Iterator[Tensor]:
    """Load batches as training does."""
    for batch in SpeechDataModule(data).train_dataloader():
        yield data.to_device(batch, where).waveform


Way = Callable[[SpeechData, torch.device], Iterator[Tensor]]
WAYS: dict[str, tuple[Way, bool]] = {
    "decoded file by file": (decoded, True),
    "memory map, 2 workers": (loaded, False),
    "resident, gathered": (loaded, True),
}
"""By name: how batches are made, and whether the samples are resident on the device."""


def seconds(way: Way, data: SpeechData) -> float:
    """Return the seconds of the fastest of a few epochs, after one that warms up."""
    taken = []
    for _ in range(1 + EPOCHS):
        began = time.perf_counter()
        for _ in way(data, device()):
            pass
        synchronise()
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def main() -> None:
    """Measure and print."""
    config = composed(sys.argv[1:])
    table = Table("an epoch of batches", "seconds", "times as fast")
    first, plan = 0.0, planned(config)
    for name, (way, resident) in WAYS.items():
        data = build_data({**config, "resident": resident}, plan, 0)
        taken = seconds(way, data)
        first = first or taken
        table.add_row(name, f"{taken:.3f}", f"{first / taken:.1f}")
    Console().print(
        table, f"{len(data.split.train)} clips of {'+'.join(plan.corpora)} on {device()}, best of {EPOCHS}."
    )


if __name__ == "__main__":
    main()
