"""A published model gives the numbers of its run bit for bit, offline, and its folder is written whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import ser
from ser.errors import ConfigError, RunError
from ser.inference.load import load_model
from ser.inference.scorer import Clips
from ser.models.classifier import SpeechClassifier
from ser.models.published_files import FACTS, PIPELINE, README, WEIGHTS
from ser.runs.folder import checkpoint_of
from ser.runs.publishing.publish import publish
from ser.runtime.files import sha256_of
from ser.training.experiment import train
from tests.conftest import Settings
from tests.models.conftest import NAMES, MakeCheckpoint, MakeModel
from tests.runs.publishing.conftest import Saved

pytest.importorskip("safetensors")


def clips(seed: int = 0) -> Clips:
    waveform = 0.1 * np.random.default_rng(seed).standard_normal((3, 12000)).astype(np.float32)
    lengths = np.array([12000, 9001, 300])
    return Clips(waveform * (np.arange(12000) < lengths[:, None]), lengths)


def check_same(model: SpeechClassifier, folder: Path) -> None:
    """Check that a published model has the numbers of a model, bit for bit."""
    again = ser.load(folder).model
    assert type(again) is type(model)
    assert (again.classes, again.stamps, again.audio, again.calibration) == (
        model.classes,
        model.stamps,
        model.audio,
        model.calibration,
    )
    one, two = ({k: v for k, v in each.state_dict().items() if isinstance(v, torch.Tensor)} for each in (model, again))
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert value.dtype == two[name].dtype
        assert torch.equal(value, two[name])
    assert model.familiar is not None
    for name in ("centre", "whitening", "means", "limit"):
        np.testing.assert_array_equal(getattr(again.familiar, name), getattr(model.familiar, name))
    batch = torch.from_numpy(clips().waveform), torch.from_numpy(clips().lengths)
    answers = (each.probabilities(*batch) for each in (model, again))
    assert torch.equal(*answers)


@pytest.mark.parametrize("name", NAMES)
def test_published_net_is_the_same_bit_for_bit(
    make_model: MakeModel, saved: Saved, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = saved(make_model(name))
    publish(checkpoint, tmp_path / "out", "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted([FACTS, README, WEIGHTS])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # nothing of the configuration, the store or the corpus is looked for
    check_same(load_model(checkpoint), tmp_path / "out")


@pytest.mark.parametrize(
    "overrides",
    [
        ["features=stack", "features.parts=[mfcc,pitch,rms]"],
        ["cleaning=[band_pass,loudness]"],
        ["normalise=utterance"],
    ],
    ids=lambda overrides: overrides[0],
)
def test_features_and_cleaning_are_inside(
    make_model: MakeModel, saved: Saved, tmp_path: Path, overrides: list[str]
) -> None:
    checkpoint = saved(make_model("light_cnn", *overrides))
    check_same(load_model(checkpoint), publish(checkpoint, tmp_path / "out", "out"))


def test_model_of_numbers_keeps_its_units(make_model: MakeModel, saved: Saved, tmp_path: Path) -> None:
    scale = {"mean": [3.1, 1 / 3], "deviation": [0.7, 1.9]}
    checkpoint = saved(make_model("cnn", classes=["arousal", "valence"], scale=scale))
    check_same(load_model(checkpoint), publish(checkpoint, tmp_path / "out", "out"))


@pytest.mark.parametrize("tuning", ["none", "lora"])
def test_pretrained_encoder_is_inside(
    make_model: MakeModel,
    make_checkpoint: MakeCheckpoint,
    saved: Saved,
    tmp_path: Path,
    tuning: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lora = [] if tuning == "none" else ["model.finetune.lora={rank: 2, alpha: 4}"]
    overrides = [f"model.encoder.checkpoint={make_checkpoint('wav2vec2 base')}", "model.finetune.layers=none", *lora]
    checkpoint = saved(make_model("pretrained", *overrides))
    publish(checkpoint, tmp_path / "out", "out")
    monkeypatch.setattr("ser.models.pretrained.fetch", lambda *_: pytest.fail("the checkpoint was looked for"))
    check_same(load_model(checkpoint), tmp_path / "out")
    assert str(make_checkpoint("wav2vec2 base").parent) not in (tmp_path / "out" / FACTS).read_text()


@pytest.fixture(scope="module")
def lda(tmp_path_factory: pytest.TempPathFactory, small_settings: Settings) -> Path:
    """A finished run of a classical model."""
    folder = tmp_path_factory.mktemp("lda") / "run"
    return train(small_settings("model=lda", "trainer.max_epochs=1", f"paths.run={folder}"), terminal=False)


def test_classical_model_is_published_with_its_pipeline(lda: Path, tmp_path: Path) -> None:
    publish(checkpoint_of(lda), tmp_path / "out", "out")
    assert (tmp_path / "out" / PIPELINE).read_bytes().startswith(b"PK")
    model = ser.load(lda).model
    check_same(model, tmp_path / "out")
    assert json.loads((tmp_path / "out" / FACTS).read_text())["files"].keys() == {WEIGHTS, PIPELINE}


def test_published_model_predicts_and_is_adapted_as_its_run(
    make_model: MakeModel, saved: Saved, tmp_path: Path
) -> None:
    from ser.models.checkpoint import read_checkpoint, write_adapted

    checkpoint = saved(make_model("light_cnn"))
    folder = publish(checkpoint, tmp_path / "out", "out")
    sound = 0.1 * np.random.default_rng(0).standard_normal(16000)
    one, two = (ser.load(path).predict(sound, 16000) for path in (checkpoint, folder))
    assert one.equals(two)
    model = load_model(checkpoint_of(folder))
    write_adapted(checkpoint_of(folder), tmp_path / "adapted.ckpt", model)
    assert read_checkpoint(tmp_path / "adapted.ckpt").keys() == read_checkpoint(checkpoint_of(folder)).keys()
    assert publish(checkpoint_of(folder), tmp_path / "again", "again").is_dir()
    assert sha256_of(tmp_path / "again" / WEIGHTS) == sha256_of(folder / WEIGHTS)


def test_nothing_is_left_of_a_folder_that_answers_otherwise(
    make_model: MakeModel, saved: Saved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = saved(make_model("light_cnn"))

    def load_changed(path: Path) -> SpeechClassifier:
        model = load_model(path)
        if path.name == FACTS:
            model.normalise.mean += 1e-3
        return model

    monkeypatch.setattr("ser.runs.publishing.publish.load_model", load_changed)
    with pytest.raises(RunError, match="bit for bit"):
        publish(checkpoint, tmp_path / "out", "out")
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.name]


def test_folder_with_something_in_it_is_refused(make_model: MakeModel, saved: Saved, tmp_path: Path) -> None:
    checkpoint = saved(make_model("light_cnn"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    (tmp_path / "empty").mkdir()
    for out in (tmp_path / "full", checkpoint):
        with pytest.raises(ConfigError, match="out must be a new or empty folder"):
            publish(checkpoint, out, "out")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["notes.txt"]
    publish(checkpoint, tmp_path / "empty", "out")
    assert ser.load(tmp_path / "empty").classes == load_model(checkpoint).classes


def test_training_that_has_not_finished_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no checkpoint"):
        publish(checkpoint_of(tmp_path), tmp_path / "out", "out")
