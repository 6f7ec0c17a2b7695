"""Models of several folds that answer together."""

import pickle
from pathlib import Path

import numpy as np
import pytest

import ser
from ser.errors import ConfigError, RunError
from ser.inference.average import AverageScorer
from ser.inference.predictor import Predictor
from ser.protocols.stamps import AVERAGE, SYNTHETIC
from ser.runs.folder import RunFolder, models_of
from ser.training.experiment import train
from tests.conftest import Settings
from tests.inference.conftest import probabilities, speech

RATE = 16000


@pytest.fixture(scope="module")
def run(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of several folds."""
    folder = tmp_path_factory.mktemp("average")
    return train(small_settings("model=lda", "features=mfcc", "fold=all", f"paths.runs={folder}"), terminal=False)


def test_the_answer_is_the_mean_of_those_of_the_folds(run: Path) -> None:
    clips = [speech(0.6), speech(1.3, seed=1), speech(35.0, seed=2)]
    model, folds = ser.load(run, folds="average"), [ser.load(fold.path) for fold in RunFolder(run).folds]
    assert len(folds) > 1
    found, each = model.predict(clips, RATE), [fold.predict(clips, RATE) for fold in folds]
    np.testing.assert_allclose(probabilities(found), np.mean([probabilities(one) for one in each], axis=0), atol=1e-9)
    assert found["label"].tolist() == [model.classes[best] for best in probabilities(found).argmax(axis=1)]
    raw = [probabilities(fold.predict(clips, RATE, calibrated=False)) for fold in folds]
    mean = np.mean(raw, axis=0)
    np.testing.assert_allclose(probabilities(model.predict(clips, RATE, calibrated=False)), mean, atol=1e-9)
    least = 1 - np.mean([fold.scorer.calibration.threshold for fold in folds])  # type: ignore[union-attr]
    assert found["set"].tolist() == [
        [name for name, p in zip(model.classes, row, strict=True) if p >= least] for row in mean
    ]
    vectors = model.embed(clips, RATE).filter(regex="^e_")
    parts = [fold.embed(clips, RATE).filter(regex="^e_").to_numpy() for fold in folds]
    np.testing.assert_allclose(vectors.to_numpy(), np.concatenate(parts, axis=1), atol=1e-9)
    np.testing.assert_allclose(
        probabilities(pickle.loads(pickle.dumps(model)).predict(clips, RATE)), probabilities(found)
    )


def test_it_is_further_from_the_training_clips_where_its_models_are(run: Path) -> None:
    model = ser.load(run, folds="average")
    folds = [ser.load(fold.path).scorer for fold in RunFolder(run).folds]
    vectors = np.random.default_rng(0).normal(size=(5, len(folds[0].familiar.centre)))  # type: ignore[union-attr]
    shares = [fold.familiar.distance(vectors) / fold.familiar.limit for fold in folds]  # type: ignore[union-attr]
    assert model.scorer.familiar is not None
    assert model.scorer.familiar.limit == 1
    np.testing.assert_allclose(model.scorer.familiar.distance(np.tile(vectors, len(folds))), np.mean(shares, axis=0))
    noise = np.random.default_rng(0).uniform(-1, 1, RATE)
    assert "unlike training data" in model.predict(noise, RATE)["flags"].iloc[0]


def test_it_says_what_it_is_and_what_it_cannot(run: Path) -> None:
    model, count = ser.load(run, folds="average"), len(RunFolder(run).folds)
    assert model.stamps == (SYNTHETIC, f"{AVERAGE} ({count})")
    assert repr(model).startswith(f"Predictor(average of {count} ")
    with pytest.raises(ConfigError, match=f"^risk must be null unless .*average of {count}"):
        model.predict(speech(0.5), RATE, risk=0.1)
    with pytest.raises(ConfigError, match="model must be a checkpoint for its module; got average of"):
        _ = model.model
    with pytest.raises(ConfigError, match=r"^folds must be average or null; got 'mean'"):
        ser.load(run, folds="mean")
    with pytest.raises(RunError, match="their average with folds=average"):
        ser.load(run)
    fold = RunFolder(run).folds[0].path
    assert models_of(fold, "average") == models_of(fold)


def test_models_of_other_classes_have_no_average(run: Path, small_settings: Settings, tmp_path: Path) -> None:
    other = train(small_settings("model=lda", "features=mfcc", "labels=four", f"paths.runs={tmp_path}"), terminal=False)
    scorers = [ser.load(RunFolder(run).folds[0].path).scorer, ser.load(other).scorer]
    with pytest.raises(ConfigError, match=r"^classes must be the same in every model of an average; got "):
        Predictor(AverageScorer(scorers))
