"""Pretrained encoders in ONNX answer as in PyTorch, whatever the length of a clip and the clips beside it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import ser
from ser.features.mask import frame_mask
from ser.inference.exporting import write
from ser.inference.exporting.encoders import ExportableGroupNorm
from ser.inference.exporting.write import export_checkpoint
from ser.inference.predictor import Predictor
from ser.models.classifier import SpeechClassifier
from ser.models.encoders.waveform import ClipGroupNorm
from ser.training.build import build_model
from tests.checkpoints import SYSTEMS, save_brisk
from tests.composed import composed
from tests.inference.conftest import speech

CLASSES = ("angry", "happy", "neutral", "sad")
CLIPS = [speech(0.1), speech(1.3, seed=1), speech(0.37, seed=2)]


def untrained(name: str, folder: Path) -> SpeechClassifier:
    """A model on a tiny random encoder, with heads that are not trained."""
    positions = {"max_source_positions": 1500} if name.startswith("whisper") else {}
    torch.manual_seed(0)
    checkpoint = f"model.encoder.checkpoint={save_brisk(folder, name, **positions)}"
    stub = SimpleNamespace(classes=CLASSES, stamps=(), trained_on=(), scale=lambda: None)
    model: Any = build_model(composed(f"model={SYSTEMS[name]}", checkpoint), stub)  # type: ignore[arg-type]
    for parameter in model.heads.parameters():
        parameter.data.mul_(3)
    return model.eval()  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["whisper 80", "wav2vec2 base", "hubert base", "wavlm base"])
def test_encoder_in_onnx_answers_as_in_pytorch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript")
    model = untrained(name, tmp_path / "encoder")
    monkeypatch.setattr(write, "load_model", lambda path: model)
    (tmp_path / "best.ckpt").touch()
    assert export_checkpoint(tmp_path / "best.ckpt", tmp_path / "model.onnx").difference < 1e-5
    table, again = (one.predict(CLIPS, rate=16000) for one in (Predictor(model), ser.load(tmp_path / "model.onnx")))
    np.testing.assert_allclose(again[list(CLASSES)], table[list(CLASSES)], atol=1e-5)
    assert np.ptp(table[list(CLASSES)], axis=0).max() > 1e-3, "clips have one answer each"


def test_norm_of_all_clips_at_once_is_that_of_each_alone() -> None:
    norm = nn.GroupNorm(2, 6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    frames, features = torch.tensor([9, 4]), torch.randn(2, 6, 9)
    features *= frame_mask(frames, 9)[:, None]
    found = []
    for other in (ClipGroupNorm(norm), ExportableGroupNorm(norm)):
        other.present.frames = frames
        found.append(other(features))
    torch.testing.assert_close(found[1], found[0])
