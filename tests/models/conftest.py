"""Any model of ``conf/model`` as a command line would make it, with the waveforms and clips to try it on."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ser.audio.decode import AudioSettings, read_audio, standardise
from ser.corpora.demo import Demo
from ser.models.classifier import SpeechClassifier
from ser.runtime.conf_dir import conf_dir
from ser.training.build import build_model, build_training
from ser.training.module import Training
from tests.checkpoints import save_brisk
from tests.composed import composed

EIGHT = ("angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprise")
PRETRAINED = ("data2vec", "hubert", "pretrained", "wav2vec2", "wavlm", "whisper")
CLASSICAL = {
    file.stem
    for file in Path(conf_dir(), "model").glob("*.yaml")
    if file.stem == "classical" or re.search(r"(?:\[|- )classical\b", file.read_text())
}
NAMES = sorted({file.stem for file in Path(conf_dir(), "model").glob("*.yaml")} - {*PRETRAINED, *CLASSICAL})
"""Those that train from scratch; `test_pretrained` and `tests/baselines` have the others."""
MakeModel = Callable[..., SpeechClassifier]
MakeCheckpoint = Callable[..., Path]


def training_of(model: SpeechClassifier, *overrides: str, counts: Mapping[str, int] | None = None) -> Training:
    """Return the training of a model, without augmentation unless asked for, and with as many clips of every class."""
    augment = [] if any(override.startswith("augment=") for override in overrides) else ["augment=[]"]
    config = composed("model=cnn", *augment, *overrides)
    data = SimpleNamespace(class_counts=lambda: counts or dict.fromkeys(model.classes, 1))
    return build_training(config, model, data)  # type: ignore[arg-type]


@pytest.fixture
def make_model() -> MakeModel:
    """``make_model("cnn", "augment=[]")``: seeded, untrained, in training mode."""

    def make(
        name: str, *overrides: str, classes: Sequence[str] = EIGHT, scale: Mapping[str, list[float]] | None = None
    ) -> SpeechClassifier:
        data = SimpleNamespace(classes=classes, stamps=(), trained_on=(), scale=lambda: scale)
        torch.manual_seed(0)
        return build_model(composed(f"model={name}", *overrides), data)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def demo_clips() -> list[Tensor]:
    """Two clips of each of four emotions, as a store holds them."""
    wanted = [u for u in Demo().utterances() if u.sentence.endswith("1") and u.repetition == 1]
    chosen = [u for u in wanted if u.emotion in ("angry", "happy", "neutral", "sad")][:8]
    clips = []
    for utterance in chosen:
        samples, rate = read_audio(utterance.path)
        clips.append(
            torch.from_numpy(standardise(samples, rate, AudioSettings(trim_db=30.0)).astype(np.float32) / 32768)
        )
    return clips


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> MakeCheckpoint:
    """``make_checkpoint("whisper 80", dropout=0.1)``: the folder of a small one, saved once."""
    made: dict[str, Path] = {}

    def make(name: str, **settings: Any) -> Path:
        key = f"{name} {sorted(settings.items())}"
        if key not in made:
            made[key] = save_brisk(tmp_path_factory.mktemp("checkpoint"), name, **settings)
        return made[key]

    return make
