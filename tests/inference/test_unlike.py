"""A recording whose embedding is far from those of the training clips has a flag."""

from pathlib import Path

import numpy as np
import pytest
import torch

import ser
from ser.audio.quality import UNLIKE
from ser.inference.familiarise import embeddings, familiar_of
from ser.inference.load import load_model
from ser.inference.predictor import Predictor
from ser.models.checkpoint import FAMILIAR, add_findings
from ser.protocols.plan import planned
from ser.runs.folder import RunFolder, checkpoint_of
from ser.training import build, experiment
from tests.conftest import Settings
from tests.inference.conftest import speech


@pytest.fixture(scope="module", params=["cnn", "lda", "normalise=speaker"])
def trained(request: pytest.FixtureRequest, small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, to read only: of a net, of a classical model, and of a net that normalises by speaker."""
    folder = tmp_path_factory.mktemp("unlike") / "run"
    chosen = request.param if "=" in request.param else f"model={request.param}"
    augment = [] if chosen == "model=lda" else ["augment=[]"]
    return Path(experiment.train(small_settings(chosen, *augment, f"paths.run={folder}")))


def adapted(folder: Path, files: list[str]) -> Predictor:
    model = ser.load(folder)
    if model.scorer.adapts_to:
        model.adapt(files)
    return model


def test_a_training_stores_it_and_predictions_use_it(trained: Path) -> None:
    (fold,) = RunFolder(trained).folds
    plan = planned(fold.settings)
    files = plan.labelled.manifest.set_index("id")["path"][fold.predictions["utterance"]].tolist()
    model = adapted(trained, files)
    familiar = model.model.familiar
    assert familiar is not None
    table = model.embed(files)
    distance = familiar.distance(table.filter(like="e_").to_numpy())
    expected = (distance > familiar.limit).tolist()
    assert [UNLIKE in words for words in table["flags"]] == expected
    assert [UNLIKE in words for words in model.predict(files)["flags"]] == expected
    model.model.familiar = None
    assert not any(UNLIKE in words for words in Predictor(model.model).predict(files)["flags"])


def test_the_limit_is_of_the_dev_clips_and_the_means_of_training(trained: Path) -> None:
    (fold,) = RunFolder(trained).folds
    data = build.build_data(fold.settings, planned(fold.settings), 0)
    model = load_model(checkpoint_of(trained))
    again, stored = familiar_of(model, data), model.familiar
    assert again is not None
    assert stored is not None
    assert again.limit == pytest.approx(stored.limit, rel=1e-3)
    dev = embeddings(model, data, data.split.dev)
    shuffled = embeddings(model, data, data.split.dev[::-1].copy())
    np.testing.assert_allclose(shuffled[::-1], dev, rtol=1e-3, atol=1e-4)
    assert (stored.distance(dev) > stored.limit * 1.001).mean() <= 0.1  # of 12 clips one


def test_what_is_nothing_like_speech_is_flagged(trained: Path) -> None:
    model = ser.load(trained)
    if model.scorer.adapts_to:
        pytest.skip("what it is adapted to decides")
    t = np.arange(16000) / 16000
    odd = [np.sign(np.sin(2 * np.pi * 3000 * t)).astype(np.float32), np.eye(1, 16000, 8000, dtype=np.float32)[0]]
    found = model.predict([*odd, np.zeros(9)], 16000, on_error="row")
    assert sum(UNLIKE in words for words in found["flags"]) >= 1
    assert UNLIKE not in found["flags"].iloc[-1]
    long = model.predict(np.concatenate([odd[0]] * 32), 16000)
    assert (UNLIKE in long["flags"][0]) == (UNLIKE in model.predict(odd[0], 16000)["flags"][0])


def test_a_model_without_it_says_nothing(run: Path, model: Predictor, version_0_1: Path) -> None:
    assert model.model.familiar is None
    assert ser.load(version_0_1 / "transformer").model.familiar is None
    before = torch.load(checkpoint_of(run), weights_only=True)
    add_findings(checkpoint_of(run), None, None)
    after = torch.load(checkpoint_of(run), weights_only=True)
    assert before.keys() == after.keys()
    assert FAMILIAR not in after
    assert all(UNLIKE not in words for words in model.predict(speech(1.0), 16000)["flags"])
