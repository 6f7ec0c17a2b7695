"""Batches carry the features of a frozen encoder, which hears every clip once, and no other's."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ser.datamodules import cache
from ser.datamodules.data import SpeechData
from ser.datamodules.speech import SpeechDataModule
from ser.evaluation import predictions
from ser.inference import score
from ser.models.encoders.waveform import WaveformEncoder
from ser.models.pretrained import Pretrained
from ser.protocols.plan import planned
from ser.training import build, experiment
from tests.checkpoints import save_brisk
from tests.conftest import Settings

CPU = torch.device("cpu")
pytest.importorskip("peft")

LORA = "model.finetune.lora={rank: 2, alpha: 4}"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_brisk(tmp_path_factory.mktemp("checkpoints") / "tiny", "wav2vec2 base")


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many clips went through encoders, batch by batch."""
    forward, seen = WaveformEncoder.forward, list[int]()

    def watched(encoder: WaveformEncoder, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        seen.append(len(lengths))
        return forward(encoder, waveform, lengths)

    monkeypatch.setattr(WaveformEncoder, "forward", watched)
    return seen


Config = Callable[..., dict[str, Any]]


@pytest.fixture
def config(settings: Settings, checkpoint: Path, tmp_path: Path) -> Config:
    """Settings of a frozen encoder, with stores of the test's own."""

    def made(*overrides: str) -> dict[str, Any]:
        chosen = [
            f"model.encoder.checkpoint={checkpoint}",
            "model.head.hidden=16",
            f"paths.stores={tmp_path / 'stores'}",
        ]
        return settings("model=wav2vec2", *chosen, *overrides)

    return made


def made_of(config: dict[str, Any]) -> tuple[Pretrained, SpeechData]:
    data = build.build_data(config, planned(config), 0)
    model = build.build_model(config, data)
    assert isinstance(model, Pretrained)
    return model, data


def use_cache(model: Pretrained, data: SpeechData) -> Path:
    """The folder in which the features are."""
    key = model.cache_key()
    assert key is not None
    with model.evaluating():
        data.use_cached_features(key, model.features, model.n_features, CPU)
    assert data._cache is not None
    return data._cache.folder


@pytest.mark.parametrize(
    "settings_of",
    [("model.head.pool=attentive",), ("model.head.pool=mean", "model.encoder.layer=1"), ()],
)
def test_cached_features_equal_those_of_the_waveforms(config: Config, settings_of: tuple[str, ...]) -> None:
    model, data = made_of(config(*settings_of))
    rows = np.random.default_rng(0).permutation(36)
    with model.evaluating():
        plain = {
            int(i): (f[:, :n], n, speaker, target)
            for b in data.batches(rows, CPU, 5)
            for i, f, n, speaker, target in zip(
                b.index, *model.features(b.waveform, b.lengths), b.speaker, b.target, strict=True
            )
        }
    use_cache(model, data)
    assert data.uses_cached_features
    for batch in data.batches(rows, CPU, 7):
        assert batch.features is not None
        assert batch.waveform.shape == (len(batch.index), 0)
        for i, f, n, speaker, target in zip(batch.index, *batch.features, batch.speaker, batch.target, strict=True):
            expected, frames, who, what = plain.pop(int(i))
            assert (n, speaker, target) == (frames, who, what)
            torch.testing.assert_close(f[:, :n], expected, atol=1e-5, rtol=0)
            assert not f[:, n:].any()
    assert not plain
    data.use_waveforms()
    (batch,) = data.batches(rows[:3], CPU, 3)
    assert batch.features is None
    assert batch.waveform.shape[1] > 8000


def test_cache_key_has_everything_that_features_depend_on(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And by no more: the head and the fold are of no matter."""
    save_brisk(tmp_path / "seed1", "wav2vec2 base", seed=1)
    save_brisk(tmp_path / "copy" / "of it", "wav2vec2 base")
    save_brisk(tmp_path / "whisper", "whisper 80")
    monkeypatch.setattr(cache, "_compute", lambda *_: None)
    monkeypatch.setattr("ser.datamodules.data.open_cache", lambda *a: cache.open_cache(*a))
    monkeypatch.setattr(cache, "FeatureCache", lambda folder: type("Named", (), {"folder": folder})())

    def folder(*overrides: str) -> Path:
        return use_cache(*made_of(config(*overrides)))

    usual = folder()
    assert folder("model.head.hidden=null", "fold=1", "seed=3", "model.head.dropout=0") == usual
    assert folder(f"model.encoder.checkpoint={tmp_path / 'copy' / 'of it'}") == usual
    whisper = ["model=whisper", f"model.encoder.checkpoint={tmp_path / 'whisper'}"]
    others = [
        folder(f"model.encoder.checkpoint={tmp_path / 'seed1'}"),
        folder("model.encoder.layer=1"),
        folder("model.encoder.layer=2"),
        folder("model.head.pool=mean"),
        folder("model.head.pool=attentive"),
        folder("audio.trim_db=null"),
        folder("labels=four"),
        folder(*whisper),
        folder(*whisper, "model.encoder.silence=0.5"),
    ]
    assert len({usual, *others}) == 10


@pytest.mark.parametrize("overrides", [("model.finetune.layers=1",), (LORA,), ("model.encoder.cache=false",)])
def test_trainable_features_are_not_cached(config: Config, overrides: tuple[str, ...]) -> None:
    model, _ = made_of(config(*overrides))
    assert model.cache_key() is None


@pytest.mark.parametrize("augmented", [False, True])
def test_features_of_augmented_waveforms_are_not_cached(config: Config, augmented: bool) -> None:
    """An augmentation of waveforms never gives the same clip twice."""
    settings = config()
    model, data = made_of(settings)
    training = build.build_training(settings, model, data)
    if augmented:
        training.waveform_augment.append(torch.nn.Identity())
    training._trainer = SimpleNamespace(datamodule=SpeechDataModule(data), ckpt_path=None)  # type: ignore[assignment]
    training.on_fit_start()
    batch = next(iter(data.batches(data.split.train, torch.device("cpu"))))
    assert (batch.features is None) == augmented


@pytest.mark.slow
def test_encoder_computes_every_clip_once_over_epochs_folds_and_runs(config: Config, heard: list[int]) -> None:
    experiment.train(config("fold=all", "trainer.max_epochs=2"))
    assert sum(heard) == 36
    experiment.train(config("seed=1", "model.head.hidden=8"))
    assert sum(heard) == 36


def test_interrupted_computation_of_features_is_resumed(
    config: Config, heard: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser.datamodules.data.SECONDS_A_BATCH", 8)
    forward = WaveformEncoder.forward

    def stop(*arguments: Any) -> Any:
        if len(heard) == 4:
            raise ProcessLookupError("stands for whatever ends a process")
        return forward(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(WaveformEncoder, "forward", stop)
        with pytest.raises(ProcessLookupError):
            experiment.train(config())
    done = sum(heard)
    assert 0 < done < 36
    experiment.train(config())
    assert sum(heard) == 36


@pytest.mark.slow
def test_results_without_a_cache_are_the_same(config: Config, heard: list[int]) -> None:
    remembered = experiment.train(config("trainer.max_epochs=3"))
    heard.clear()
    plain = experiment.train(config("trainer.max_epochs=3", "model.encoder.cache=false"))
    assert sum(heard) > 3 * 24
    one, two = (
        predictions.probabilities(predictions.read_predictions(f / "predictions.parquet")) for f in (remembered, plain)
    )
    # Rounding of features by the batch that they are computed in, through a few steps of AdamW.
    np.testing.assert_allclose(one, two, atol=1e-4, rtol=0)
    assert np.ptp(one, axis=0).max() > 1e-2


def test_changed_speech_is_not_read_from_the_cache(config: Config, heard: list[int]) -> None:
    model, data = made_of(config())
    rows = data.split.test
    direct = score.predict_probabilities(model, data, rows)
    use_cache(model, data)
    heard.clear()
    np.testing.assert_allclose(score.predict_probabilities(model, data, rows), direct, atol=1e-5, rtol=0)
    assert heard == []
    louder = score.predict_probabilities(
        model, data, rows, lambda b: b._replace(waveform=b.waveform + 2 * b.waveform.square())
    )
    assert sum(heard) == len(rows)
    assert np.abs(louder - direct).max() > 1e-3
    use_cache(model, data)
    same = score.predict_probabilities(model, data, rows, lambda batch: batch)
    np.testing.assert_allclose(same, direct, atol=1e-5, rtol=0)
    assert sum(heard) == 2 * len(rows)
