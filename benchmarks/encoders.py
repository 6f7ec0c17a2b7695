"""What a pretrained encoder costs: its features cached or not, Whisper on true lengths or 30 s, and how much audio fits.

    python benchmarks/encoders.py model=whisper data=savee model.encoder.checkpoint=DIR

Prints, for the device that it runs on: seconds and peak memory of two epochs of a frozen encoder without and with cached
features; for Whisper, seconds of a batch with true lengths and with padding to 30 s, and how alike the states are; on a GPU,
how many seconds of audio fit in a GiB, by what is trained.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from machine import composed, device, peak, synchronise
from rich.console import Console
from rich.table import Table

from ser.datamodules.batch import Batch
from ser.datamodules.speech import SpeechDataModule
from ser.models.pretrained import Pretrained
from ser.protocols.plan import planned
from ser.training.build import build_data, build_model, build_training

EPOCHS = 2
CLIPS = 16
console = Console()


def epochs(overrides: list[str]) -> None:
    """Time epochs of training on a frozen encoder, and print each and the peak memory."""
    from ser.training.build import build_trainer

    config = composed(overrides)
    data = build_data(config, planned(config), 0)
    torch.manual_seed(0)
    training = build_training(config, build_model(config, data), data)
    with tempfile.TemporaryDirectory() as folder:
        import lightning as L

        class Clock(L.Callback):
            def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
                self.began = time.perf_counter()

            def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
                sys.stdout.write(f"{time.perf_counter() - self.began}\n")

        trainer = build_trainer(config, Path(folder), [], Clock())
        began = time.perf_counter()
        trainer.fit(training, datamodule=SpeechDataModule(data))
        sys.stdout.write(f"{time.perf_counter() - began}\n{peak()}\n")


def cached_or_not(overrides: list[str]) -> None:
    """Time epochs without and with cached features, each in its own process so that peak memory is its own."""
    table = Table("frozen encoder", "first epoch, s", "second epoch, s", "whole, s", "peak memory, GiB")
    seconds = []
    with tempfile.TemporaryDirectory() as stores:
        plan = planned(composed([*overrides, f"paths.stores={stores}"]))
        for name, cache in (("computed every time", False), ("cached", True)):
            settings = [
                f"paths.stores={stores}",
                f"model.encoder.cache={cache}",
                f"trainer.max_epochs={EPOCHS}",
                "trainer.enable_progress_bar=false",
                *overrides,
            ]
            command = [sys.executable, __file__, "--epochs", *settings]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            *each, whole, memory = (float(line) for line in done.stdout.split()[-EPOCHS - 2 :])
            seconds.append(each[-1])
            table.add_row(name, *(f"{value:.1f}" for value in each), f"{whole:.1f}", f"{memory:.1f}")
    clips = len(plan.labelled.manifest)
    console.print(
        table, f"The second epoch is {seconds[0] / seconds[1]:.0f} times as fast with cached features ({clips} clips)."
    )


def batch_of(config: dict[str, Any]) -> Batch:
    """Return a batch of clips spread over the training side."""
    data = build_data(config, planned(config), 0)
    return next(iter(data.batches(data.split.train[:: max(1, len(data.split.train) // CLIPS)], device(), CLIPS)))


def lengths_or_padding(overrides: list[str]) -> None:
    """Compare Whisper on true lengths, with little silence behind each clip, with Whisper on 30 s."""
    config = composed([*overrides, "model.encoder.layer=mix", "model.head.pool=attentive", "augment=[]"])
    batch = batch_of(config)
    table = Table("silence behind each clip", "seconds a batch", "times as fast", "cosine to 30 s, last layer")
    states = {}
    taken = {}
    for silence in (30.0, 1.0, 0.0):
        config["model"]["silence"] = silence
        model = model_of(config)
        encoder = model.features.encoder
        with torch.no_grad():
            for _ in range(2):  # the first warms up
                began = time.perf_counter()
                states[silence], frames = encoder(batch.waveform, batch.lengths)
                synchronise()
                taken[silence] = time.perf_counter() - began
        real = torch.arange(states[silence].shape[2], device=device()) < frames[:, None]
        alike = torch.cosine_similarity(states[silence][:, -1], states[30.0][:, -1], dim=-1)[real].mean()
        ratio = taken[30.0] / taken[silence]
        table.add_row(f"{silence:g} s", f"{taken[silence]:.2f}", f"{ratio:.1f}", f"{alike:.3f}")
    seconds = float(batch.lengths.sum()) / config["audio"]["sample_rate"]
    console.print(table, f"{CLIPS} clips, {seconds:.0f} s of audio, on {device()}.")


def model_of(config: dict[str, Any]) -> Pretrained:
    """Return the model of a configuration, on the device."""
    data = build_data(config, planned(config), 0)
    model = build_model(config, data)
    assert isinstance(model, Pretrained)
    return model.to(device())


def what_fits(overrides: list[str]) -> None:
    """Measure the peak memory of a training step by the seconds of audio in it, on a GPU."""
    table = Table("trained", "precision", "weights and states, GiB", "seconds of audio a GiB")
    for trained, extra in (("2", []), ("all", []), ("all", ["model.finetune.gradient_checkpointing=true"])):
        for precision in ("32-true", "bf16-mixed"):
            config = composed(
                [*overrides, f"model.finetune.layers={trained}", *extra, f"trainer.precision={precision}"]
            )
            model = model_of(config)
            optimizer = torch.optim.AdamW(p for p in model.parameters() if p.requires_grad)
            used = []
            for seconds in (20, 80):
                waveform = torch.randn(seconds // 4, 4 * 16000, device=device()) * 0.1
                lengths = torch.full((len(waveform),), 4 * 16000, device=device())
                target = torch.zeros(len(waveform), dtype=torch.int64, device=device())
                for _ in range(2):
                    torch.cuda.reset_peak_memory_stats()
                    with torch.autocast("cuda", torch.bfloat16, enabled=precision != "32-true"):
                        loss = torch.nn.functional.cross_entropy(model(waveform, lengths).float(), target)
                    torch.autograd.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                used.append(peak())
            a_second = (used[1] - used[0]) / 60
            name = trained + (", gradient checkpointing" if extra else "")
            table.add_row(name, precision, f"{used[0] - 20 * a_second:.1f}", f"{1 / a_second:.0f}")
    console.print(table)


def main() -> None:
    """Measure and print."""
    overrides = [*sys.argv[1:], "logger=csv"]
    cached_or_not(overrides)
    if composed(overrides)["model"]["checkpoint"].rstrip("/").rpartition("/")[2].startswith("whisper"):
        lengths_or_padding(overrides)
    if torch.cuda.is_available():
        what_fits(overrides)
    else:
        console.print("No GPU: how much audio fits in a GiB is not measured.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--epochs"]:
        epochs(sys.argv[2:])
    else:
        main()
