"""What each augmentation and cleaning costs beside a training step, and what a step costs with each policy.

    python benchmarks/augmentation.py                          the CNN on the demo corpus
    python benchmarks/augmentation.py data=ravdess model=bilstm

All clips of the batch are changed (a probability of 1), and the step is one without augmentation: forward, backward and
optimizer. Prints the median of several repeats on the device that it runs on, and ratios to the step of the same run.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from machine import composed, device, device_name, synchronise
from rich.console import Console
from rich.table import Table
from torch import nn

from ser.cleaning.cleaning import Cleaning
from ser.datamodules.batch import Batch
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.protocols.plan import planned
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate
from ser.training.build import build_data, build_model, build_training

REPEATS = 15
POLICIES = ("none", "[warp,spec_augment,mixup]", "light", "classic", "heavy")
"""The first is what the others are compared with; the second is the default."""


def milliseconds(work: Callable[[], object]) -> float:
    """Return the median time of some work, after two runs that warm up."""
    taken = []
    for _ in range(2 + REPEATS):
        synchronise()
        began = time.perf_counter()
        work()
        synchronise()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken[2:])


def step(overrides: list[str], data: SpeechData, batch: Batch) -> Callable[[], object]:
    """Return a training step: forward, backward and optimizer."""
    config = composed(overrides)
    training = build_training(config, build_model(config, data), data).to(device())
    training.log = lambda *_, **__: None  # type: ignore[method-assign]  # no trainer listens
    optimizer = instantiate(
        config["optimizer"], torch.optim.Optimizer, params=training.model.parameter_groups(config["optimizer"]["lr"])
    )

    def work() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(training.training_step(batch))
        optimizer.step()

    return work


def files(group: str) -> list[str]:
    """Return the choices of a group that need no folder of recordings."""
    found = sorted(Path(conf_dir(), group).glob("*.yaml"))
    return [file.stem for file in found if "???" not in file.read_text(encoding="utf-8")]


def alone(overrides: list[str], data: SpeechData, batch: Batch) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield each augmentation and cleaning by name, applied to all clips of a batch."""
    target = nn.functional.one_hot(batch.target, len(data.classes)).float()
    features = build_model(composed(overrides), data).to(device()).extract(batch.waveform, batch.lengths)
    for name in files("augment"):
        config = composed([*overrides, f"augment=[{name}]"])["augment"].get(name)
        if config is None:
            continue  # a policy
        made = instantiate({**config, "share" if name == "mixup" else "probability": 1.0}, nn.Module)
        x, lengths = (batch.waveform, batch.lengths) if made.domain == "waveform" else features
        yield f"{name}, {made.domain}", partial(made, x, lengths, target)
    for name in files("cleaning"):
        if name == "none":
            continue
        try:
            cleaning = Cleaning(composed([*overrides, f"cleaning=[{name}]"])["cleaning"]).to(device())
        except ConfigError as error:
            print(error)
            continue
        yield f"{name}, cleaning", partial(cleaning, batch.waveform, batch.lengths)


def main() -> None:
    """Measure and print."""
    overrides = sys.argv[1:]
    config = composed(overrides)
    data = build_data(config, planned(config), 0)
    batch = next(data.batches(data.split.train[: config["batch_size"]], device(), config["batch_size"]))
    torch.manual_seed(0)
    console, steps, parts = Console(), Table("a step with", "ms", "times"), Table("alone", "ms", "share of a step")
    none = 0.0
    for name in POLICIES:
        taken = milliseconds(step([*overrides, f"augment={name}"], data, batch))
        none = none or taken
        steps.add_row(name, f"{taken:.1f}", f"{taken / none:.2f}")
    with torch.no_grad():
        for name, work in alone(overrides, data, batch):
            taken = milliseconds(work)
            parts.add_row(name, f"{taken:.2f}", f"{taken / none:.3f}")
    seconds = float(batch.lengths.sum()) / config["audio"]["sample_rate"]
    console.print(steps, parts, f"{len(batch.lengths)} clips, {seconds:.0f} s of speech, on {device_name()}.")


if __name__ == "__main__":
    main()
