"""Folds with settings of their own, and settings that dev speakers of other folds chose."""

import json

import pandas as pd
import pytest

from ser.errors import ConfigError
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from ser.training import experiment
from tests.conftest import Settings


@pytest.mark.slow
def test_fold_is_trained_with_settings_of_its_own(settings: Settings) -> None:
    knn = settings("model=knn", "fold=1")
    alone = RunFolder(experiment.train(knn, terminal=False))
    config = settings("model=lda", "fold=all")
    plain = RunFolder(experiment.train(config, terminal=False))
    mixed = RunFolder(
        experiment.train({**config, "fold_settings": {"fold_1": {"model": knn["model"]}}}, terminal=False)
    )
    assert [fold.name for fold in mixed.folds] == ["fold_0", "fold_1", "fold_2"]
    pd.testing.assert_frame_equal(mixed.folds[0].predictions, plain.folds[0].predictions)
    pd.testing.assert_frame_equal(mixed.folds[1].predictions, alone.predictions)
    assert not mixed.folds[1].predictions.equals(plain.folds[1].predictions)
    pd.testing.assert_frame_equal(mixed.folds[2].predictions, plain.folds[2].predictions)
    assert [check.name for check in verify(mixed.path) if check.ok is not True] == []
    page = (mixed.path / "card.html").read_text()
    assert "settings of fold 1" in page
    assert "settings of fold 0" not in page


@pytest.mark.slow
def test_settings_chosen_on_test_speakers_stamp_every_file(settings: Settings) -> None:
    run = RunFolder(experiment.train(settings("model=lda", "fold=all", "searched=[0,1,2]"), terminal=False))
    stamp = "settings chosen on test speakers: 6 of 6"  # three folds of two speakers
    for part in (run, *run.folds):
        assert stamp in part.about["stamps"]
    assert stamp in json.loads((run.path / "card.json").read_text())["stamps"]
    page = (run.path / "card.html").read_text()
    assert stamp in page
    assert "expect a lower score on new speakers" in page
    assert [check.name for check in verify(run.path) if check.ok is not True] == [], (
        "the stamp follows from the settings"
    )
    one = RunFolder(experiment.train(settings("model=lda", "fold=0", "searched=[2]"), terminal=False))
    assert "settings chosen on test speakers: 2 of 2" in one.about["stamps"], "fold 0 tests whom fold 2 chose by"
    own = RunFolder(experiment.train(settings("model=lda", "fold=0", "searched=[0]"), terminal=False))
    assert not [stamp for stamp in own.about["stamps"] if stamp.startswith("settings chosen")]


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"1": {}}, "fold_settings must be those of fold_0, fold_1, ...; got 1"),
        ({"fold_1": {"labels": {}}}, "fold_settings.fold_1 must be settings in which folds may differ; got labels"),
        ({"fold_1": {"lr": 1}}, "fold_settings.fold_1 must be settings in which folds may differ; got lr"),
    ],
)
def test_wrong_settings_of_a_fold_are_named(settings: Settings, own: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment.train({**settings(), "fold_settings": own}, terminal=False)
