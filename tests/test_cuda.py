"""What only a GPU can show: a model trained there gives the same probabilities on the CPU. `benchmarks/gpu.sh` runs it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import ser
from ser.evaluation import predictions

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
