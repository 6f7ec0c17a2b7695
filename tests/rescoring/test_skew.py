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
from ser.features.normalise import Moments, Normalise
from ser.inference.score import predict_probabilities
from ser.models.classifier import SpeechClassifier
from ser.protocols.plan import planned
from ser.rescoring.adaptation.skew import (
    ALL,
    BALANCED,
    MOST_NEUTRAL,
    NEUTRAL_ALONE,
    NONE,
    Skew,
    iterated,
    moments_by_clip,
    normalised_by,
    skewed,
    without_own,
)
from ser.runs.folder import RunFolder
from ser.training import build, experiment
from tests.composed import composed

SMALL: dict[str, Any] = {"clips": 4, "shares": [0.7], "draws": 2, "seed": 0, "rounds": 2}
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


def test_rounds_find_the_shift_of_a_speaker_in_skewed_clips() -> None:
    """Two speakers are shifted by constants; angry clips by 3 more. Half of the known clips are neutral."""
    speaker, angry = np.repeat(["a", "b"], 20), np.tile(np.repeat([False, True], 10), 2)
    known = np.tile(np.arange(20) % 5 < 4, 2)
    values = torch.from_numpy(np.where(speaker == "a", -1.0, 7.0) + 3 * angry)[:, None, None]
    by_clip = Moments(40, 1)
    by_clip.add(values, torch.ones(40), torch.arange(40))
    normalise, shifts = Normalise(1, "speaker", relevance=0), []

    def scored(chosen: np.ndarray) -> np.ndarray:
        shifts.append(normalise.statistics(without_own(by_clip, speaker, chosen)).mean.numpy().ravel())
        neutral = 1 / (1 + np.exp(values.numpy().ravel() - shifts[-1]))
        return np.column_stack([1 - neutral, neutral])

    probabilities = iterated(scored, speaker, known, 1, 3)
    assert len(shifts) == 4
    assert np.abs(shifts[0] - np.where(speaker == "a", -1, 7)).min() > 1.3  # half of 3, but for the clip itself
    np.testing.assert_allclose(shifts[-1], np.where(speaker == "a", -1, 7), atol=1e-6)
    assert ((probabilities[:, 0] > 0.9) == angry).all()


@pytest.mark.slow
def test_rows_of_rounds_need_a_neutral_class(
    model: SpeechClassifier, data: SpeechData, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, same = RunFolder(trained).folds[0], RunFolder(trained).folds[0].predictions
    named = [set(Skew(**SMALL | {"rounds": r}).score_fold(model, data, same, fold)["known"]) for r in (0, 1)]
    assert named[1] - named[0] == {"70 % of one class" + MOST_NEUTRAL}
    monkeypatch.setattr("ser.rescoring.adaptation.skew.NEUTRAL", "calm")
    assert set(Skew(**SMALL).score_fold(model, data, same, fold)["known"]) == named[0] - {NEUTRAL_ALONE}


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
    assert "quote the row of 70 % of one class." in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("key", "value"), [("clips", 0), ("draws", 1.5), ("seed", -1), ("rounds", -1), ("shares", [1.0]), ("shares", 0.7)]
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
