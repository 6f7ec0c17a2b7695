"""Cleaning belongs to the model: training, scoring, caches, checkpoints and prediction agree about it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ser.augment.level import Gain
from ser.cleaning.cleaning import Cleaning
from ser.inference.load import load
from ser.models.classifier import SpeechClassifier
from ser.runs.folder import RunFolder, checkpoint_of
from ser.runs.identity import differing, identity
from ser.training.build import build_model
from ser.training.experiment import train
from tests.composed import composed
from tests.conftest import Settings

CLEANING = "cleaning=[pre_emphasis,loudness,trim,spectral_gate,band_pass]"


@pytest.fixture(scope="module")
def cleaned(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of one epoch with every cleaning."""
    where = tmp_path_factory.mktemp("cleaned")
    more = [f"paths.runs={where}", "trainer.max_epochs=1", "audio.trim_db=null"]
    return RunFolder(train(small_settings(CLEANING, *more), terminal=False))


def test_a_file_gets_the_numbers_that_the_run_scored(cleaned: RunFolder, tiny_demo: Path) -> None:
    model = load(checkpoint_of(cleaned.path))
    assert len(model.model.cleaning.steps) == 5
    scored = cleaned.predictions
    paths = [next(tiny_demo.glob(f"{utterance.rpartition('/')[2]}.*")) for utterance in scored["utterance"]]
    columns = [f"p_{name}" for name in model.classes]
    np.testing.assert_allclose(model.predict(paths, calibrated=False)[list(model.classes)], scored[columns], atol=1e-6)
    model.model.cleaning = Cleaning({})
    assert (
        np.abs(
            model.predict(paths, calibrated=False)[list(model.classes)].to_numpy() - scored[columns].to_numpy()
        ).max()
        > 1e-3
    )


def test_card_and_identity_name_the_cleaning(cleaned: RunFolder) -> None:
    page = (cleaned.path / "card.html").read_text()
    assert "<dt>cleaning</dt><dd>" in page
    assert all(name in page for name in ("band_pass", "spectral_gate", "trim", "loudness", "pre_emphasis"))
    config = cleaned.config
    without = {key: value for key, value in config.items() if key != "cleaning"}
    assert identity(config) != identity(without)
    assert any(difference.startswith("cleaning.trim") for difference in differing(config, without))


def model_with(*overrides: str) -> SpeechClassifier:
    data: Any = SimpleNamespace(classes=("angry", "sad"), stamps=(), trained_on=(), scale=lambda: None)
    torch.manual_seed(0)
    return build_model(composed("model=cnn", *overrides), data)


def test_loudness_undoes_a_gain_before_the_features() -> None:
    """Augmented waveforms are cleaned as recordings are."""
    x, lengths = 0.1 * torch.randn(2, 16000), torch.tensor([16000, 9000])
    x[1, 9000:] = 0
    louder, _, _ = Gain(db=[6.0, 6.0])(x, lengths, torch.eye(2))
    for overrides, same in (("cleaning=loudness",), True), ((), False):
        model = model_with(*overrides)
        one, two = (model.extract(waveform, lengths)[0] for waveform in (x, louder))
        assert torch.allclose(one, two, atol=1e-3) == same


def test_features_are_cached_apart_by_cleaning(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    data: Any = SimpleNamespace(use_cached_features=lambda key, *_: keys.append(key))
    for overrides in ((), ("cleaning=none",), ("cleaning=trim",), ("cleaning=trim", "cleaning.trim.below_db=20")):
        model = model_with(*overrides)
        monkeypatch.setattr(model, "cache_key", lambda: {"layer": 1})
        model.use_cached_features(data)
    assert keys[0] == keys[1] == {"layer": 1}
    assert keys[2]["cleaning"]["trim"]["below_db"] == 30
    assert keys[3]["cleaning"]["trim"]["below_db"] == 20
