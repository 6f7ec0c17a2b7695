"""An exported model answers as the model does, says what a runner needs, and is written whole or not at all."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import ser
from ser.baselines.candidates import Clips, combinations, fit_candidates
from ser.baselines.classical import Classical
from ser.errors import ConfigError, RunError
from ser.inference.exporting import write
from ser.inference.exporting.parity import batches_of_speech
from ser.inference.exporting.write import export_checkpoint
from ser.models.calibration import Calibration
from ser.models.checkpoint import add_findings, write_model
from ser.models.classifier import SpeechClassifier
from ser.training.build import build_model
from tests.composed import composed
from tests.inference.conftest import speech

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
CLASSES = ("angry", "happy", "neutral", "sad")
CALIBRATION = Calibration(1.7, 0.9, 0.9, ((0.0, 1.0, 0.5), (0.26, 0.5, 0.1)))
SMALL = {
    "cnn": ["model.channels=[8,8,8,8]", "model.width=16"],
    "light_cnn": [],
    "bilstm": ["model.hidden=16"],
    "transformer": ["model.width=16", "model.layers=1"],
}
RMS = ["features=rms", "features.decibels=true"]
CLIPS = [speech(0.1), speech(1.3, seed=1), speech(0.37, seed=2)]
Save = Callable[..., Path]


def sharpened(model: SpeechClassifier) -> SpeechClassifier:
    """Return an untrained model whose answers differ from clip to clip."""
    for parameter in model.parameters():
        parameter.data.mul_(1.5)
    return model


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """``save("cnn", "features=mfcc")``: the checkpoint of an untrained model."""

    def make(
        name: str, *overrides: str, stamps: Sequence[str] = (), scale: Mapping[str, list[float]] | None = None
    ) -> Path:
        names = CLASSES if scale is None else ("arousal", "valence")
        torch.manual_seed(0)
        stub = SimpleNamespace(classes=names, stamps=stamps, trained_on=(), scale=lambda: scale)
        config = composed(f"model={name}", *SMALL.get(name, []), *overrides)
        model = build_model(config, stub)  # type: ignore[arg-type]
        if isinstance(model, Classical):
            fit(model)
        write_model(tmp_path / "best.ckpt", sharpened(model).eval())
        if scale is None:
            add_findings(tmp_path / "best.ckpt", CALIBRATION, None)
        return tmp_path / "best.ckpt"

    return make


def fit(model: Classical) -> None:
    """Fit the first candidate on made vectors, about those of speech, of three of the classes or of numbers."""
    *_, (waveform, lengths) = batches_of_speech(model.audio.sample_rate)
    with torch.no_grad():
        found = model.extract(waveform, lengths)[0][..., 0].double().numpy()
    random = np.random.default_rng(0)
    y = np.repeat([0, 1, 3], 20)
    x = found[random.integers(0, len(found), len(y))] * (1 + 0.3 * random.standard_normal((len(y), found.shape[1])))
    x += 0.1 * y[:, None] * found.std(axis=0)
    numbers = np.stack([y - y.mean(), x[:, 0] / x[:, 0].std()], axis=1)
    grid = combinations({"scaler": model.scaler, **model.estimator})[:1]
    target, classes = (numbers, None) if model.numeric else (y, len(CLASSES))
    clips, others = Clips(x, target), Clips(x[::2], target[::2])
    model.fitted = fit_candidates(grid, clips, others, classes, seed=0)[0].fitted


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_net_in_onnx_answers_as_in_pytorch(save: Save, tmp_path: Path, name: str) -> None:
    checkpoint = save(name)
    written = export_checkpoint(checkpoint, tmp_path / "model.onnx")
    assert written.difference < 1e-5
    own, exported = ser.load(checkpoint), ser.load(tmp_path / "model.onnx")
    table, again = (model.predict(CLIPS, rate=16000, risk=0.2) for model in (own, exported))
    np.testing.assert_allclose(again[list(CLASSES)], table[list(CLASSES)], atol=1e-5)
    assert np.ptp(table[list(CLASSES)], axis=0).max() > 1e-3, "clips have one answer each"
    assert table["set"].tolist() == again["set"].tolist()
    vectors, others = (model.embed(CLIPS, rate=16000).filter(like="e_") for model in (own, exported))
    np.testing.assert_allclose(others, vectors, atol=1e-4)


@pytest.mark.slow
def test_other_programs_find_calibrated_probabilities_and_facts(save: Save, tmp_path: Path) -> None:
    checkpoint = save("cnn", stamps=["synthetic speech"])
    export_checkpoint(checkpoint, tmp_path / "model.onnx", further={"licence": "CC0 1.0", "languages": ["English"]})
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["waveform", "lengths"]
    assert [value.name for value in session.get_outputs()] == ["probabilities", "logits", "embedding"]
    clip = np.round(speech(1.3) * 32768).astype(np.int16)
    inputs = {"waveform": clip[None].astype(np.float32) / 32768, "lengths": np.array([len(clip)])}
    table = ser.load(checkpoint).predict(clip, rate=16000)
    np.testing.assert_allclose(session.run(["probabilities"], inputs)[0], table[list(CLASSES)], atol=1e-5)
    facts = session.get_modelmeta().custom_metadata_map
    assert facts["checkpoint_sha256"] == hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    assert json.loads(facts["labels"]) == list(CLASSES)
    assert (facts["sample_rate"], facts["temperature"], facts["licence"]) == ("16000", "1.7", "CC0 1.0")
    assert json.loads(facts["stamps"]) == ["synthetic speech"]
    assert json.loads(facts["languages"]) == ["English"]
    assert json.loads(facts["audio"])["sample_rate"] == 16000


@pytest.mark.slow
def test_numbers_are_exported_in_their_unit(save: Save, tmp_path: Path) -> None:
    checkpoint = save("light_cnn", "loss=ccc", scale={"mean": [3.0, 4.0], "deviation": [0.5, 2.0]})
    export_checkpoint(checkpoint, tmp_path / "model.onnx")
    table, again = (ser.load(path).predict(CLIPS, rate=16000) for path in (checkpoint, tmp_path / "model.onnx"))
    columns = ["arousal", "valence"]
    np.testing.assert_allclose(again[columns], table[columns], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cnn", "bilstm"])
def test_program_of_torch_answers_as_the_model(save: Save, tmp_path: Path, name: str) -> None:
    checkpoint = save(name)
    assert export_checkpoint(checkpoint, tmp_path / "model.pt2", "torchexport").difference < 1e-6
    extra = {write.FACTS: ""}
    program = torch.export.load(tmp_path / "model.pt2", extra_files=extra)
    assert json.loads(json.loads(extra[write.FACTS])["labels"]) == list(CLASSES)
    clip = torch.from_numpy(np.round(speech(1.3) * 32768).astype(np.float32) / 32768)
    found, *_ = program.module(check_guards=False)(waveform=clip[None], lengths=torch.tensor([len(clip)]))
    table = ser.load(checkpoint).predict(clip, rate=16000)
    np.testing.assert_allclose(found.detach(), table[list(CLASSES)], atol=1e-5)


@pytest.mark.slow
def test_weights_as_integers_make_a_smaller_file_of_about_the_same_answers(save: Save, tmp_path: Path) -> None:
    checkpoint = save("cnn", "model.channels=[32,64,96,128]", "model.width=160")
    written = export_checkpoint(checkpoint, tmp_path / "model.onnx", quantised="int8")
    assert written.unquantised is not None
    assert written.size < 0.6 * written.unquantised
    table, again = (ser.load(path).predict(CLIPS, rate=16000) for path in (checkpoint, tmp_path / "model.onnx"))
    apart = np.abs(again[list(CLASSES)] - table[list(CLASSES)]).to_numpy().max()
    assert 0 < apart < 0.1
    assert written.difference > 1e-5, "nothing was quantised"
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["quantise"] == "int8"


@pytest.mark.parametrize("answer", [0.9, np.nan])
def test_file_that_answers_otherwise_is_not_kept(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: float
) -> None:
    def write_wrong(model: SpeechClassifier, facts: Any, path: Path) -> write.Answer:
        path.write_bytes(b"wrong")
        return lambda waveform, lengths: (np.full((len(lengths), 4), answer), np.zeros((len(lengths), 4)))

    checkpoint = save("light_cnn")
    monkeypatch.setitem(write.FORMATS, "onnx", (".onnx", write_wrong))
    with pytest.raises(RunError, match=r"with differences up to 0\.0001; got (0\.\d|nan).*was not written"):
        export_checkpoint(checkpoint, tmp_path / "out" / "model.onnx")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("out", "form", "quantised", "words"),
    [
        ("model.pt", "onnx", None, r"out must end in \.onnx with format=onnx; got .*model\.pt"),
        ("model.onnx", "torchexport", None, r"out must end in \.pt2"),
        ("model.onnx", "tflite", None, "format must be onnx or torchexport; got 'tflite'"),
        ("model.onnx", "onnx", "int4", "quantise must be int8 or null; got 'int4'"),
        ("model.pt2", "torchexport", "int8", "quantise must be null with format=torchexport; got int8"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, out: str, form: str, quantised: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        export_checkpoint(tmp_path / "best.ckpt", tmp_path / out, form, quantised=quantised)


def test_model_that_must_be_adapted_is_refused(save: Save, tmp_path: Path) -> None:
    checkpoint = save("light_cnn", "normalise=speaker")
    with pytest.raises(ConfigError, match="normalise must be training, utterance or none for an export; got speaker"):
        export_checkpoint(checkpoint, tmp_path / "out" / "model.onnx")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
def test_part_that_cannot_be_followed_is_refused(save: Save, tmp_path: Path) -> None:
    checkpoint = save("light_cnn", "cleaning=[trim]")
    with pytest.raises(ConfigError, match="model must be made of parts that can be exported; got CNN, Trim, LogMel"):
        export_checkpoint(checkpoint, tmp_path / "out" / "model.onnx")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["svm", "linear_svm", "random_forest", "logistic_regression", "mlp", "lda", "ridge", "uniform_knn"]
)
def test_classical_model_in_onnx_answers_as_scikit_learn(save: Save, tmp_path: Path, name: str) -> None:
    pytest.importorskip("skl2onnx")
    chosen = ["model.estimator.weights=uniform"] if name == "uniform_knn" else []
    checkpoint = save(name.removeprefix("uniform_"), *RMS, *chosen)
    export_checkpoint(checkpoint, tmp_path / "model.onnx")
    own, exported = ser.load(checkpoint), ser.load(tmp_path / "model.onnx")
    table, again = (model.predict(CLIPS, rate=16000) for model in (own, exported))
    np.testing.assert_allclose(again[list(CLASSES)], table[list(CLASSES)], atol=1e-4)
    assert np.ptp(table[list(CLASSES)], axis=0).max() > 1e-3, "clips have one answer each"
    vectors, others = (model.embed(CLIPS, rate=16000).filter(like="e_") for model in (own, exported))
    np.testing.assert_allclose(others, vectors, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["svm", "random_forest", "mlp", "ridge"])
def test_regressor_in_onnx_answers_as_scikit_learn(save: Save, tmp_path: Path, name: str) -> None:
    pytest.importorskip("skl2onnx")
    checkpoint = save(name, *RMS, "labels=dimensions", scale={"mean": [3.0, 4.0], "deviation": [0.5, 2.0]})
    export_checkpoint(checkpoint, tmp_path / "model.onnx")
    table, again = (ser.load(path).predict(CLIPS, rate=16000) for path in (checkpoint, tmp_path / "model.onnx"))
    columns = ["arousal", "valence"]
    np.testing.assert_allclose(again[columns], table[columns], atol=2e-4)  # 1e-4 deviations, of which one is 2
    assert np.ptp(table[columns], axis=0).min() > 1e-3, "clips have one answer each"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "words"), [("knn", "must answer as the model does"), ("xgboost", "one cannot be")])
def test_classifier_that_cannot_be_exported_leaves_no_file(save: Save, tmp_path: Path, name: str, words: str) -> None:
    pytest.importorskip("skl2onnx")
    pytest.importorskip(name if name == "xgboost" else "sklearn")
    with pytest.raises((ConfigError, RunError), match=words):
        export_checkpoint(save(name, *RMS), tmp_path / "out" / "model.onnx")
    assert list((tmp_path / "out").iterdir()) == []


def test_classical_model_is_no_program_of_torch(save: Save, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="format must be onnx for svm, which scikit-learn runs; got torchexport"):
        export_checkpoint(save("svm", *RMS), tmp_path / "model.pt2", "torchexport")
    assert not (tmp_path / "model.pt2").exists()
