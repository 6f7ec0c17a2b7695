"""Measure training on this machine's device and print a Markdown table; `benchmarks/gpu.sh` prepares what it needs.

    python benchmarks/gpu.py                              RAVDESS, under SER_CORPORA
    python benchmarks/gpu.py memory data_path             these sections only
    TINY=1 python benchmarks/gpu.py                       a dry run on the demo corpus

Rows are printed as they are measured. A section that would begin after ``LATEST`` seconds is left out, and says so.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from loading import WAYS, seconds
from machine import composed, device, device_name, peak, synchronise

from ser.datamodules.speech import SpeechDataModule
from ser.protocols.plan import planned
from ser.training.build import build_data, build_model, build_training

TINY = os.environ.get("TINY") == "1"
LATEST = 250
DATA = "data=demo" if TINY else "data=ravdess"
SHORT, LONG = (1, 4) if TINY else (3, 13)
"""Epochs of two trainings, whose difference is the time of an epoch without starting and ending."""
TINY_NET = ["model.channels=[4,4,4,4]", "model.width=8", "model.attention=4"]
SETTINGS = [
    ["model=cnn", "trainer.precision=32-true"],
    ["model=cnn", "trainer.precision=bf16-mixed"],
    ["model=transformer", "trainer.precision=bf16-mixed"],
]
if TINY:
    SETTINGS = [["model=cnn", "trainer.precision=32-true", *TINY_NET]]
BATCHES = (32, 128)
Row = tuple[str, str, str]


def train(*overrides: str) -> dict[str, Any]:
    """Train in a process of its own and return its ``metrics.json``, with ``wall`` seconds of the whole command."""
    with tempfile.TemporaryDirectory() as runs:
        settings = ["logger=csv", "trainer.enable_progress_bar=false", f"paths.runs={runs}", DATA, *overrides]
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "ser.train", *settings], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(settings)}: {done.stderr[-2000:]}")
        metrics: dict[str, Any] = json.loads(next(Path(runs).glob("*/metrics.json")).read_text())
    return metrics | {"wall": time.perf_counter() - began}


def bare_epoch(overrides: list[str]) -> tuple[float, float, int]:
    """Train without Lightning: return the seconds of an epoch, the peak memory in GiB and the number of batches."""
    config = composed([DATA, *overrides])
    data = build_data(config, planned(config), 0)
    training = build_training(config, build_model(config, data), data).to(device()).train()
    optimizer = torch.optim.AdamW(training.parameters(), lr=1e-3)
    half = config["trainer"]["precision"] == "bf16-mixed"
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    taken = []
    for _ in range(2 if TINY else 4):
        began = time.perf_counter()
        loader = SpeechDataModule(data).train_dataloader()
        for loaded in loader:
            batch = data.to_device(loaded, device())
            with torch.autocast(device().type, torch.bfloat16, enabled=half):
                loss = training.training_step(batch)
            torch.autograd.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
        synchronise()
        taken.append(time.perf_counter() - began)
    return min(taken[1:]), peak(), len(loader)


def training_steps() -> Iterator[Row]:
    """An epoch of `ser.train`, dev scoring and weight averaging included, against a loop with nothing else."""
    for setting in SETTINGS:
        bare, _, batches = bare_epoch(setting)
        short, long = (
            train(*setting, f"trainer.max_epochs={epochs}")["run"]["train_seconds"] for epochs in (SHORT, LONG)
        )
        epoch = (long - short) / (LONG - SHORT)
        name = " ".join(setting[:2])
        yield "training step, bare loop", name, f"{1000 * bare / batches:.1f} ms"
        yield (
            "training step, ser.train",
            name,
            f"{1000 * epoch / batches:.1f} ms ({epoch / bare:.2f} times the bare loop)",
        )


def data_path() -> Iterator[Row]:
    """An epoch of batches on the device, without training."""
    for name, (way, resident) in WAYS.items():
        config = composed([DATA]) | {"resident": resident}
        data = build_data(config, planned(config), 0)
        yield "an epoch of batches", name, f"{seconds(way, data):.3f} s"


def memory() -> Iterator[Row]:
    """Peak memory of training steps."""
    for setting in SETTINGS:
        for batch in BATCHES:
            _, most, _ = bare_epoch([*setting, f"batch_size={batch}"])
            where = "of the GPU" if torch.cuda.is_available() else "of the process"
            yield f"peak memory {where}", f"{' '.join(setting[:2])} batch_size={batch}", f"{most:.2f} GiB"


def one_fold() -> Iterator[Row]:
    """A whole fold with the default settings, as the README's table has it."""
    settings = ["fold=0", *(["trainer.max_epochs=1", *TINY_NET] if TINY else ["trainer.precision=bf16-mixed"])]
    metrics = train(*settings)
    name = f"{DATA} {' '.join(setting for setting in settings if setting not in TINY_NET)}"
    epochs = metrics["run"]["epochs"]
    yield "a fold, trained", name, f"{metrics['run']['train_seconds']:.0f} s, {epochs} epoch{'s' * (epochs != 1)}"
    yield "a fold, the whole command", name, f"{metrics['wall']:.0f} s"
    yield "a fold, UAR", name, f"{100 * metrics['uar']:.1f}"


SECTIONS: list[Callable[[], Iterator[Row]]] = [data_path, memory, one_fold, training_steps]
"""In this order, so that what may be left out is what takes longest."""


def main(names: list[str]) -> None:
    """Print the table, of the sections named or of all."""
    began = time.perf_counter()
    planned(composed([DATA]))  # before the table, since the progress bar of preparing a corpus ends with an empty line
    warnings.filterwarnings("ignore", message=".*self.log.*")  # the bare loop has no trainer to log to
    print(f"| {device_name()}, torch {torch.__version__} | setting | result |\n|---|---|---|", flush=True)
    for section in [section for section in SECTIONS if not names or section.__name__ in names]:
        if time.perf_counter() - began > LATEST and not TINY:
            print(f"| {section.__name__} | | not measured: the time was up |", flush=True)
            continue
        for row in section():
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
