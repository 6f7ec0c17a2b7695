"""A speaker-adapted run by the classes of the known clips: what is known, and what a clip is normalised by."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.inference.score import predict_probabilities
from ser.models.classifier import SpeechClassifier
from ser.protocols.plan import planned
from ser.rescoring.adaptation.skew import (
    ALL,
    BALANCED,
    NEUTRAL_ALONE,
    NONE,
    Skew,
    moments_by_clip,
    normalised_by,
    skewed,
    without_own,
)
from ser.training import build, experiment
from tests.composed import composed

SMALL: dict[str, Any] = {"clips": 4, "shares": [0.7], "draws": 2, "seed": 0}
CLASSES = ("happy", "neutral", "sad")


@pytest.fixture(scope="module")
def config(tiny_demo: Path, stores: Path) -> dict[str, Any]:
    overrides = [f"+data.corpora.demo.root={tiny_demo}", "protocol.folds=3", f"paths.stores={stores}", "fold=0"]
    return composed(*overrides, "logger=csv", "model=linear_svm", "features=mfcc", "normalise=speaker")


@pytest.fixture(scope="module")
def trained(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "trained"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        return experiment.train({**config, "paths": {**config["paths"], "run": str(folder)}})


@pytest.fixture(scope="module")
def data(config: dict[str, Any]) -> SpeechData:
    return build.build_data(config, planned(config), 0)


@pytest.fixture(scope="module")
def model(trained: Path) -> SpeechClassifier:
    return ser.load(trained / "fold_0").model


def test_the_share_of_one_class_is_as_asked() -> None:
    speaker = np.repeat(["a", "b"], 60)
    target = np.tile(np.repeat(CLASSES, 20), 2)
    choices = {
        (known.name, known.draw): known.clips for known in Skew(20, [0.7, 0.9], 2, 0).choices(speaker, target, 0)
    }
    names = list(dict.fromkeys(name for name, _ in choices))
    assert names == [NONE, BALANCED, "70 % of one class", "90 % of one class", NEUTRAL_ALONE, ALL]
    for name in np.unique(speaker):
        own = speaker == name
        assert not choices[NONE, 0].any()
        assert choices[ALL, 0].all()
        assert pd.Series(target[choices[BALANCED, 0] & own]).value_counts().tolist() == [7, 7, 7]
        assert set(target[choices[NEUTRAL_ALONE, 1] & own]) == {"neutral"}
        for share, (number, others) in {"70": (14, 6), "90": (18, 2)}.items():
            for draw, of_draw in enumerate(CLASSES * 2):
                known = choices[f"{share} % of one class", draw] & own
                assert int((target[known] == of_draw).sum()) == number
                assert int((target[known] != of_draw).sum()) == others


def test_a_class_of_few_clips_keeps_its_share() -> None:
    is_class = np.array([True] * 8 + [False] * 52)
    known = skewed(np.full(60, "a"), is_class, 0.7, 20, np.random.default_rng(0))
    assert (int((known & is_class).sum()), int((known & ~is_class).sum())) == (8, 3)


def test_a_clip_is_never_normalised_by_itself(model: SpeechClassifier, data: SpeechData) -> None:
    """Leaving a clip out of the known ones by hand gives its probabilities, for every clip."""
    rows = data.split.test
    speaker = data.labelled.manifest["speaker"].to_numpy(dtype=str)[rows]
    by_clip = moments_by_clip(model, data, rows)
    known = np.random.default_rng(0).random(len(rows)) < 0.6
    own = model.normalise.statistics(without_own(by_clip, speaker, known))
    found = normalised_by(model, data, rows, own)
    for at in range(len(rows)):
        others = known.copy()
        others[at] = False
        alone = predict_probabilities(model, data, rows[[at]], known=rows[others])
        np.testing.assert_allclose(found[at], alone[0], rtol=0, atol=1e-6)


def test_the_numbers_are_of_the_table_and_start_from_nobody(
    trained: Path, stores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Skew(**SMALL).run(trained, "corpora", str(stores))
    table, measured = pd.read_parquet(trained / "skew.parquet"), json.loads((trained / "skew.json").read_text())
    points = {point["known"]: point for point in measured["points"]}
    assert list(points)[:3] == [NONE, BALANCED, "70 % of one class"]
    assert measured["suite"] == SMALL
    hit = predictions.probabilities(table).argmax(axis=1) == predictions.target_indices(table)
    recall = table.assign(hit=hit).groupby(["known", "draw", "target"])["hit"].mean()
    uars = recall.groupby(["known", "draw"]).mean()
    for known, point in points.items():
        assert point["draws"] == len(uars[known])
        assert point["uar"] == pytest.approx(uars[known].mean())
        assert point["change"] == pytest.approx(uars[known].mean() - uars[NONE].mean())
    assert (trained / "skew.png").stat().st_size > 10_000
    assert "quote the row of 70 %" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("key", "value"), [("clips", 0), ("draws", 1.5), ("seed", -1), ("shares", [1.0]), ("shares", 0.7)]
)
def test_invalid_settings_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"suite\.{key} "):
        Skew(**{**SMALL, key: value})


def test_statistics_without_known_clips_are_those_of_training(model: SpeechClassifier, data: SpeechData) -> None:
    rows = data.split.test
    speaker = data.labelled.manifest["speaker"].to_numpy(dtype=str)[rows]
    own = model.normalise.statistics(
        without_own(moments_by_clip(model, data, rows), speaker, np.zeros(len(rows), bool))
    )
    torch.testing.assert_close(own.mean, model.normalise.mean.expand_as(own.mean))
