"""A training stores its temperature and its threshold; predictions use them, and a run's own numbers do not."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.errors import ConfigError, RunError
from ser.evaluation import predictions
from ser.evaluation.calibration import apply_temperature
from ser.evaluation.conformal import LEVEL, sets
from ser.inference.calibrate import calibration_of
from ser.inference.predictor import Predictor
from ser.models.calibration import Calibration
from ser.models.checkpoint import CALIBRATION
from ser.protocols.plan import planned
from ser.rescoring.recompute import recompute
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from ser.training import experiment
from tests.conftest import Settings
from tests.inference.conftest import probabilities, speech

CALIBRATED = Calibration(temperature=0.5, threshold=0.84, level=LEVEL)


@pytest.fixture(scope="module")
def trained(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, to read only."""
    folder = tmp_path_factory.mktemp("calibration") / "run"
    return Path(experiment.train(small_settings("augment=[]", f"paths.run={folder}")))


def test_a_training_stores_what_its_profile_says(trained: Path) -> None:
    found, (fold,) = ser.load(trained).scorer.calibration, RunFolder(trained).folds
    assert found == calibration_of(fold.dev_predictions)
    assert found is not None
    assert (profile := RunFolder(trained).profile) is not None
    assert found.threshold == profile["conformal"]["thresholds"][0]["threshold"]
    assert found.temperature == profile["calibration"]["temperatures"][0]["temperature"]


def test_predictions_are_those_of_the_run_with_the_temperature(trained: Path) -> None:
    fold = RunFolder(trained).folds[0]
    model = ser.load(trained)
    model.scorer.calibration = CALIBRATED
    table = fold.predictions
    clips = planned(fold.settings).labelled.manifest.set_index("id")["path"]
    files = clips[table["utterance"]].tolist()
    plain, scaled = model.predict(files, calibrated=False), model.predict(files)
    stored = predictions.probabilities(table)
    np.testing.assert_allclose(probabilities(plain), stored, atol=1e-6)
    np.testing.assert_allclose(probabilities(scaled), apply_temperature(stored, 0.5), atol=1e-5)
    assert plain["label"].tolist() == scaled["label"].tolist()
    assert (plain.attrs["calibrated"], scaled.attrs["calibrated"]) == (False, True)
    members = sets(probabilities(plain), CALIBRATED.threshold)
    assert (
        scaled["set"].tolist()
        == plain["set"].tolist()
        == [[name for name, inside in zip(model.classes, row, strict=True) if inside] for row in members]
    )
    assert list(scaled.columns) == ["audio", "label", *model.classes, "set", "flags"]


def test_the_run_still_verifies(trained: Path, stores: Path) -> None:
    assert [check for check in verify(trained, stores=str(stores)) if check.ok is False] == []
    recompute(trained, "corpora", str(stores), rescore=True)


def test_the_temperature_is_applied_to_each_window(model: Predictor) -> None:
    samples = speech(40.0)
    model.scorer.calibration = CALIBRATED
    parts = probabilities(model.predict(samples.reshape(10, -1).tolist(), rate=16000))
    np.testing.assert_allclose(probabilities(model.predict(samples, rate=16000))[0], parts.mean(axis=0), atol=1e-4)
    segment = model.segments(speech(2.0), rate=16000).table[list(model.classes)]
    np.testing.assert_allclose(segment, probabilities(model.predict(speech(2.0), rate=16000)), atol=1e-6)
    bad = model.predict([np.zeros(9), speech(1.0)], rate=16000, on_error="row")
    assert bad["set"][0] is None
    assert isinstance(bad["set"][1], list)


def test_what_a_model_was_trained_on_and_that_it_is_not_calibrated_are_said_once(
    model: Predictor, caplog: pytest.LogCaptureFixture
) -> None:
    assert model.scorer.calibration is None
    assert model.trained_on[0]["title"] == "synthetic demo speech"
    with caplog.at_level(logging.WARNING, "ser"):
        quiet = model.predict(speech(1.0), rate=16000, calibrated=False)
        (origin,) = caplog.messages
        assert origin.startswith("Trained on synthetic demo speech (English, synthetic); ")
        tables = [model.predict(speech(1.0), rate=16000) for _ in range(2)]
    assert caplog.messages[0] == origin
    (calibration,) = caplog.messages[1:]
    assert "not calibrated" in calibration
    for table in tables:
        assert "set" not in table
        assert table.attrs["calibrated"] is False
        np.testing.assert_array_equal(probabilities(table), probabilities(quiet))


def test_the_temperature_of_a_dev_side_that_is_all_right_is_one() -> None:
    right = pd.DataFrame({"target": list("ab"), "p_a": [0.9, 0.1], "p_b": [0.1, 0.9]})
    assert calibration_of(right).temperature == 1.0
    assert calibration_of(right.assign(target=["b", "a"])).temperature > 10


def test_a_damaged_calibration_is_refused(trained: Path, tmp_path: Path) -> None:
    whole = torch.load(RunFolder(trained).folds[0].path / "checkpoints" / "best.ckpt", weights_only=True)
    for wrong in ({"temperature": 2.0}, 3, {"temperature": "x", "threshold": 0.5, "level": 0.9}):
        torch.save({**whole, CALIBRATION: wrong}, tmp_path / "best.ckpt")
        with pytest.raises(RunError, match="does not fit"):
            ser.load(tmp_path / "best.ckpt")


def test_a_model_is_unsure_below_the_confidence_of_its_risk(trained: Path) -> None:
    model = ser.load(trained)
    curve = model.scorer.calibration.curve  # type: ignore[union-attr]
    assert curve
    model.scorer.calibration = Calibration(0.5, 0.9, 0.9, ((0.0, 1.0, 0.6), (0.5, 0.7, 0.3), (0.9, 0.2, 0.1)))
    clips = [speech(0.5, seed=seed) for seed in range(6)]
    confidence = probabilities(model.predict(clips, 16000)).max(axis=1)
    for risk, least in ((0.7, 0.0), (0.5, 0.5), (0.1, 0.9), (0.05, 2.0)):
        table = model.predict([*clips, np.zeros(9)], 16000, on_error="row", risk=risk)
        assert table["unsure"].tolist()[:-1] == (confidence < least).tolist()
        assert pd.isna(table["unsure"].iloc[-1])
        raw = model.predict(clips, 16000, calibrated=False, risk=risk)
        assert raw["unsure"].tolist() == table["unsure"].tolist()[:-1]
    assert list(table.columns) == ["audio", "label", *model.classes, "set", "unsure", "flags", "error"]
    for risk in (0, 1.0, True, "0.1"):
        with pytest.raises(ConfigError, match=r"^risk must be a share of errors between 0 and 1; got "):
            model.predict(clips, 16000, risk=risk)  # type: ignore[arg-type]
    model.scorer.calibration = CALIBRATED
    with pytest.raises(ConfigError, match=r"^risk must be null unless the training stored how often its model errs"):
        model.predict(clips, 16000, risk=0.1)
