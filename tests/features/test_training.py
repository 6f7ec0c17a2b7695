"""A training on stacked features: its folder needs no other file, and costly features are computed once and kept."""

from pathlib import Path

import pytest
import torch
from torch import nn

import ser
from ser.datamodules.cache import FeatureCache
from ser.features.logmel import LogMel
from ser.models.cnn import CNN
from ser.protocols.plan import planned
from ser.runs.folder import RunFolder
from ser.training import build, experiment
from tests.conftest import Settings

STACK = ("features=stack", "features.parts=[rms,pitch]", "trainer.max_epochs=1")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def finished(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch on two stacked features, to read only."""
    return experiment.train(small_settings(*STACK, f"paths.run={tmp_path_factory.mktemp('stacked') / 'run'}"))


def test_stored_configuration_has_the_whole_of_every_part(finished: Path) -> None:
    parts = RunFolder(finished).config["features"]["parts"]
    assert [part["_target_"] for part in parts] == ["ser.features.samples.RMS", "ser.features.pitch.Pitch"]
    assert all(part["sample_rate"] == 16000 for part in parts)


def test_checkpoint_alone_predicts(finished: Path) -> None:
    model = ser.load(finished)
    assert model.model.features.names == ("rms", "log_f0", "voicing")
    table = model.predict(0.1 * torch.randn(8000).numpy(), rate=16000)
    assert table[list(model.classes)].sum(axis=1).item() == pytest.approx(1)


def test_costly_features_are_kept_and_equal_those_of_the_waveforms(small_settings: Settings, finished: Path) -> None:
    config = small_settings(*STACK)
    data = build.build_data(config, planned(config), 0)
    model = build.build_model(config, data)
    with model.evaluating():
        plain = {int(i): (f, n) for b in data.batches(data.split.test, CPU, 4) for i, f, n in of(model, b.index, b)}
    model.features.forward = lambda *_: pytest.fail("computed again")  # type: ignore[method-assign, assignment]
    model.use_cached_features(data)
    assert isinstance(data._cache, FeatureCache)
    for batch in data.batches(data.split.test, CPU, 4):
        assert batch.features is not None
        for i, found, frames in zip(batch.index, *batch.features, strict=True):
            expected, count = plain.pop(int(i))
            assert frames == count
            torch.testing.assert_close(found[:, :frames], expected[:, :count], atol=1e-6, rtol=0)
    assert not plain


def of(model: nn.Module, index: torch.Tensor, batch: object) -> zip:  # type: ignore[type-arg]
    return zip(index, *model.features(batch.waveform, batch.lengths), strict=True)  # type: ignore[attr-defined, operator]


def test_key_of_kept_features_has_their_settings_and_their_code() -> None:
    task = {"classes": ["angry", "sad"], "audio": {}, "normalise": {"_target_": "ser.features.normalise.Normalise"}}
    pitch = {"_target_": "ser.features.pitch.Pitch", "low_hz": 70.0}
    key = CNN({**task, "features": pitch}).cache_key()
    assert key is not None
    assert key["features"] == pitch
    assert len(key["code"]) == 64
    assert CNN({**task, "features": {"_target_": "ser.features.logmel.LogMel"}}).cache_key() is None  # cheap
    assert CNN({**task, "features": LogMel()}).cache_key() is None


def test_key_and_provenance_of_opensmile_have_its_version_and_licence() -> None:
    opensmile = pytest.importorskip("opensmile")
    task = {"classes": ["angry", "sad"], "audio": {}, "normalise": {"_target_": "ser.features.normalise.Normalise"}}
    model = CNN({**task, "features": {"_target_": "ser.features.smile.OpenSmile"}})
    made_by = model.provenance()["features"]
    assert made_by["library"] == f"opensmile {opensmile.__version__}"
    key = model.cache_key()
    assert key is not None
    assert key["features"] == {"_target_": "ser.features.smile.OpenSmile"}
    assert key["made_by"]["features"] == made_by
