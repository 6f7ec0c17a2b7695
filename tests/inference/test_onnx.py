"""A model in ONNX predicts without PyTorch; files of another kind are refused with a plain error."""

import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

import ser
from ser.errors import ConfigError, RunError
from ser.models.familiar import Familiar
from tests.inference.conftest import speech
from tests.loudness import save_loudness

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save_loudness(tmp_path / "loudness.onnx")


def energy(clip: np.ndarray) -> float:
    """A hundredth of the sum of the squares of a clip as a store holds it."""
    samples = np.round(clip.astype(float) * 32768).clip(-32768, 32767) / 32768
    return 0.01 * float((samples**2).sum())


def test_probabilities_are_those_of_the_net_with_its_temperature(file: Path) -> None:
    clips = [speech(0.5), 0.3 * speech(1.2, seed=1)]
    logits = np.array([[energy(clip), -energy(clip)] for clip in clips])
    model = ser.load(file)
    for calibrated, temperature in ((True, 2.0), (False, 1.0)):
        table = model.predict(clips, rate=16000, calibrated=calibrated)
        np.testing.assert_allclose(table[["loud", "soft"]], softmax(logits / temperature, axis=1), atol=1e-4)
        assert (table.attrs["stamps"], table.attrs["calibrated"]) == (["synthetic speech"], calibrated)
    assert table["label"].tolist() == ["loud", "loud"]
    unsure = model.predict(clips, rate=16000, risk=0.2)["unsure"]
    assert unsure.tolist() == (softmax(logits / 2, axis=1).max(axis=1) < 0.7).tolist()
    np.testing.assert_allclose(model.embed(clips, rate=16000)["e_0"], logits[:, 0], rtol=1e-3)


def test_a_recording_unlike_the_training_clips_is_flagged(tmp_path: Path) -> None:
    near = Familiar(np.zeros(1), np.eye(1), np.array([[energy(speech(0.5))]]), limit=0.01)
    model = ser.load(save_loudness(tmp_path / "loudness.onnx", familiar=near.text()))
    flags = model.predict([speech(0.5), 2 * speech(0.5)], rate=16000)["flags"]
    assert ["unlike training data" in words for words in flags] == [False, True]
    with pytest.raises(RunError, match="must be a model that ser exported"):
        ser.load(save_loudness(tmp_path / "damaged.onnx", familiar="AAAA"))


def test_numbers_are_given_as_they_are(tmp_path: Path) -> None:
    facts = {"numeric": "true", "temperature": None, "labels": '["arousal", "valence"]'}
    file, clip = save_loudness(tmp_path / "numbers.onnx", **facts), speech(0.5)
    table = ser.load(str(file)).predict(clip, rate=16000)
    np.testing.assert_allclose(table[["arousal", "valence"]], [[energy(clip), -energy(clip)]], rtol=1e-3)
    assert "label" not in table


def test_model_can_be_sent_to_another_process(file: Path) -> None:
    model = ser.load(file)
    again = pickle.loads(pickle.dumps(model))
    clip = speech(0.5)
    assert again.predict(clip, rate=16000).equals(model.predict(clip, rate=16000))
    assert repr(again) == "Predictor(loudness.onnx (Loudness); loud, soft; 16000 Hz; synthetic speech)"


def test_other_files_are_refused(file: Path, tmp_path: Path) -> None:
    content = file.read_bytes()
    for name, wrong in (("short", content[: len(content) // 2]), ("empty", b""), ("text", b"hello\n")):
        (tmp_path / f"{name}.onnx").write_bytes(wrong)
        with pytest.raises(RunError, match=rf"{name}\.onnx must be a model in ONNX; got a damaged file"):
            ser.load(tmp_path / f"{name}.onnx")
    with pytest.raises(RunError, match=r"missing\.onnx has no checkpoint .* or the file of a model"):
        ser.load(tmp_path / "missing.onnx")


@pytest.mark.parametrize(
    "facts",
    [
        {"labels": None},
        {"labels": "loud"},
        {"audio": '{"rate": 1}'},
        {"temperature": "-1"},
        {"level": "much"},
        {"curve": None},
        {"trained_on": "[1]"},
        {"trained_on": "3"},
    ],
)
def test_model_of_another_program_is_refused(tmp_path: Path, facts: dict[str, str | None]) -> None:
    file = save_loudness(tmp_path / "other.onnx", **facts)
    with pytest.raises(RunError, match=r"other\.onnx must be a model that ser exported"):
        ser.load(file)


def test_absent_device_is_named(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"device must be auto, or cpu.*got 'gpu'"):
        ser.load(file, device="gpu")
    assert ser.load(file, device="auto").classes == ("loud", "soft")


def test_missing_package_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'ser\[onnx\]'"):
        ser.load(file)


def test_model_is_no_module_of_torch(file: Path) -> None:
    model: Any = ser.load(file)
    with pytest.raises(ConfigError, match="must be a checkpoint"):
        model.model.to(torch.float64)
    with pytest.raises(ConfigError, match="normalise must be speaker or corpus to adapt a model"):
        model.adapt(speech(0.5), rate=16000)
