"""Trained models of every kind, as checkpoints, without their training."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ser.inference.scorer import Clips
from ser.inference.trained import TrainedScorer
from ser.models.calibration import Calibration
from ser.models.checkpoint import checkpoint_from
from ser.models.classifier import SpeechClassifier
from ser.models.familiar import Familiar
from tests.models.conftest import make_model
from tests.models.encoders.conftest import make_checkpoint

__all__ = ["make_checkpoint", "make_model", "saved"]

Saved = Callable[..., Path]


def with_findings(model: SpeechClassifier, seed: int = 0) -> SpeechClassifier:
    """Return a model with what a training finds: statistics, a calibration, and what its clips are like."""
    random = torch.Generator().manual_seed(seed)
    model.normalise.mean.copy_(torch.randn(model.normalise.mean.shape, generator=random))
    one = Clips(np.zeros((1, 16000), dtype=np.float32), np.array([16000]))
    embedding = TrainedScorer(model).score(one, embed=True).embedding
    assert embedding is not None
    width = embedding.shape[1]
    numbers = np.random.default_rng(seed).normal(size=(3, width)).astype(np.float32).astype(float)
    model.familiar = Familiar(numbers[0], numbers.T, np.eye(3), limit=0.1 + 0.2)
    if not model.numeric:
        model.calibration = Calibration(1 / 3, 0.7, 0.9, ((0.1, 1.0, 0.3), (0.9, 0.1, 0.0)))
    return model.eval()


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """``saved(model)``: the file of its checkpoint."""

    def save(model: SpeechClassifier, name: str = "mine.ckpt") -> Path:
        torch.save(checkpoint_from(with_findings(model)), tmp_path / name)
        return tmp_path / name

    return save
