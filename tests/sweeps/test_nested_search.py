"""Over all folds, each fold's settings are chosen by its own dev speakers; one choice for all folds is stamped."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from ser.sweeps import job
from tests.sweeps.conftest import Begun

Sweep = Callable[..., int]
PEAKS = {0: -3.5, 1: -2.0, 2: -1.5}
"""The logarithm of the rate that is best on the dev speakers of each fold."""


@pytest.fixture
def peaks() -> dict[int, float]:
    """What a test may change."""
    return dict(PEAKS)


@pytest.fixture
def dev_uar_of(peaks: dict[int, float]) -> Callable[[Mapping[str, Any]], float]:
    """Each fold has a best rate of its own."""

    def uar(settings: Mapping[str, Any]) -> float:
        folds = list(peaks) if settings["fold"] == "all" else [settings["fold"]]
        rate = math.log10(settings["optimizer"]["lr"])
        return sum(1 - abs(rate - peaks[fold]) / 10 for fold in folds) / len(folds)

    return uar


@pytest.fixture
def search(sweep: Sweep) -> Sweep:
    """``search("hydra.sweeper.n_trials=3")``: over the rate alone, on all of three folds."""
    fixed = ("hparams_search=optuna", "~space", "hydra.sweeper.params={}", "protocol.folds=3")
    return lambda *arguments: sweep(*fixed, "optimizer.lr=tag(log,interval(1e-4,1e-1))", *arguments)


def studies(folder: Path) -> dict[str, optuna.Study]:
    """By the last part of their names."""
    storage = f"sqlite:///{folder / 'study.db'}"
    names = optuna.get_all_study_names(storage)
    return {name.rpartition("-")[2]: optuna.load_study(study_name=name, storage=storage) for name in names}


def rates(begun: Begun, fold: int | str) -> list[float]:
    return [settings["optimizer"]["lr"] for settings in begun if settings["fold"] == fold and not settings["test"]]


def chosen(begun: Begun) -> dict[str, float]:
    """The rate of each fold in the test under the chosen settings."""
    return {fold: {**begun[-1], **own}["optimizer"]["lr"] for fold, own in begun[-1]["fold_settings"].items()}


@pytest.mark.slow
def test_choice_of_a_fold_does_not_depend_on_dev_scores_of_others(
    search: Sweep,
    begun: Begun,
    tmp_path: Path,
    peaks: dict[int, float],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, few = [], ("hydra.sweeper.n_trials=4", "hydra.sweeper.sampler.n_startup_trials=2")  # what follows is guided
    for name in ("one", "other"):
        assert search(*few, f"hydra.sweep.dir={tmp_path / name}") == 0
        assert [settings["test"] for settings in begun] == [False] * 12 + [True] * 2
        assert begun[-2]["fold_settings"] is None, "the first settings, in all folds"
        assert {settings["searched"] for settings in begun} == {None}
        for fold in PEAKS:
            best = max(rates(begun, fold), key=lambda rate: -abs(math.log10(rate) - peaks[fold]))
            assert chosen(begun)[f"fold_{fold}"] == best
        found.append((rates(begun, 0), rates(begun, 1), chosen(begun)))
        begun.clear()
        peaks |= {1: -3.0, 2: -3.9}
        monkeypatch.setattr("ser.sweeps.search_page.draw_search", lambda *_: {})  # once is enough
    assert found[0][0] == found[1][0], "what is tried in fold 0 depends on nothing else"
    assert found[0][1] != found[1][1]
    assert found[0][2]["fold_0"] == found[1][2]["fold_0"]
    assert found[0][2]["fold_2"] != found[1][2]["fold_2"]

    trials = pd.read_csv(tmp_path / "one" / "search" / "trials.csv")
    assert trials["fold"].value_counts().to_dict() == {0: 4, 1: 4, 2: 4}
    page = (tmp_path / "one" / "search" / "search.html").read_text()
    assert "The dev speakers of each fold chose the settings of that fold" in page
    assert page.count('<tr><th scope="row">') == 2 + 3
    for rate in found[0][2].values():
        assert f"<td>{rate!r}</td>" in page
    assert "The settings that the dev speakers of each fold chose" in capsys.readouterr().err


@pytest.mark.slow
def test_interrupted_nested_search_resumes_in_its_fold(
    search: Sweep, begun: Begun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"hydra.sweep.dir={tmp_path / 'search'}"
    trained = job.train

    def stopping(settings: Mapping[str, Any], *, terminal: bool) -> Path:
        if len(begun) == 3:
            begun.append(dict(settings))
            raise KeyboardInterrupt
        return trained(settings, terminal=terminal)

    with monkeypatch.context() as patch:
        patch.setattr(job, "train", stopping)
        assert search("hydra.sweeper.n_trials=2", where) == 130
    stopped = rates(begun, 1)[1]
    begun.clear()
    assert search("hydra.sweeper.n_trials=2", where) == 0
    assert rates(begun, 0) == [], "the study of fold 0 has its trials"
    assert rates(begun, 1) == [stopped]
    assert len(rates(begun, 2)) == 2
    states = {name: [trial.state for trial in study.trials] for name, study in studies(tmp_path / "search").items()}
    assert states == {f"fold{fold}": [TrialState.COMPLETE] * 2 for fold in PEAKS}
    begun.clear()
    assert search("hydra.sweeper.n_trials=2", where) == 0
    assert begun == [], "all is done"


@pytest.mark.slow
def test_one_choice_for_all_folds_declares_the_folds_that_chose_it(search: Sweep, begun: Begun, tmp_path: Path) -> None:
    where = f"hydra.sweep.dir={tmp_path / 'search'}"
    assert search("hydra.sweeper.n_trials=2", "hydra.sweeper.nested=false", where) == 0
    assert [settings["fold"] for settings in begun] == ["all"] * 4
    assert [settings["searched"] for settings in begun] == [[0, 1, 2]] * 4, "every result of the search is stamped"
    assert {settings["fold_settings"] for settings in begun} == {None}
