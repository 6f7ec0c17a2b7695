"""What only a GPU can show: a model trained there gives the same probabilities on the CPU. `benchmarks/gpu.sh` runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import nn

import ser
from ser.augment.augmentation import Augmentation
from ser.cleaning.cleaning import Cleaning
from ser.evaluation import predictions
from ser.runtime.instantiate import instantiate
from tests.composed import composed

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(scope="module", params=["32-true", "bf16-mixed"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, stores: Path
) -> Path:
    """A finished training of two epochs on the GPU."""
    runs = tmp_path_factory.mktemp("runs")
    settings = [f"trainer.precision={request.param}", "trainer.accelerator=gpu", "trainer.max_epochs=2", "logger=csv"]
    settings += [f"+data.corpora.demo.root={tiny_demo}", "protocol.folds=3", "batch_size=8", f"paths.runs={runs}"]
    command = [sys.executable, "-m", "ser.train", *settings, f"paths.stores={stores}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(runs.glob("*/metrics.json")).parent


def test_checkpoint_from_gpu_predicts_the_same_on_cpu(run: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip.wav"
    soundfile.write(clip, 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    tables = [ser.load(run, device=device).predict(clip) for device in ("cpu", "cuda")]
    classes = list(tables[0].columns[2:])
    np.testing.assert_allclose(tables[0][classes], tables[1][classes], atol=1e-4)


def test_every_test_clip_has_finite_probabilities(run: Path) -> None:
    table = predictions.read_predictions(run / "predictions.parquet")
    assert np.isfinite(predictions.probabilities(table)).all()
    assert len(table) == 12


@pytest.mark.parametrize(
    "name", ["augment=heavy", "augment=classic", "cleaning=[band_pass,spectral_gate,trim,loudness]"]
)
def test_sounds_are_changed_on_the_gpu_as_on_the_cpu(name: str) -> None:
    group = name.partition("=")[0]
    config = {key: step for key, step in composed(name)[group].items() if key != "name"}
    lengths = torch.tensor([16000, 9000, 20000, 70])
    x = 0.1 * torch.randn(4, 20000) * (torch.arange(20000) < lengths[:, None])
    if group == "cleaning":
        here, there = (Cleaning(config).to(device)(x.to(device), lengths.to(device)) for device in ("cpu", "cuda"))
        assert here[1].tolist() == there[1].tolist()
        torch.testing.assert_close(here[0], there[0].cpu(), atol=1e-4, rtol=1e-3)
    for step in (instantiate(each, nn.Module) for each in config.values() if group == "augment"):
        if isinstance(step, Augmentation) and step.domain == "waveform":
            drawn = step.draw(x, lengths, torch.arange(4))
            one, counts = step.change(x, lengths, drawn)
            two, found = step.change(x.cuda(), lengths.cuda(), tuple(part.cuda() for part in drawn))
            assert counts.tolist() == found.tolist()
            torch.testing.assert_close(one, two.cpu(), atol=1e-3, rtol=1e-2)
