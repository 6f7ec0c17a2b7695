"""Classical models of numbers: the twins of classifiers, chosen by dev CCC, stored and explained like these."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

import ser
from ser.baselines.candidates import Clips, combinations, estimator_for, fit_candidates, unconverged
from ser.baselines.fitted import fitted_from
from ser.corpora.demo import Demo
from ser.errors import ConfigError
from ser.evaluation.agreement import ccc_per_dimension, moments
from ser.pictures import explain as pages
from ser.rescoring.recompute import recompute
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from ser.runtime.conf_dir import conf_dir
from ser.training.checks import check_kind
from ser.training.experiment import train
from tests.composed import composed
from tests.conftest import Settings
from tests.models.conftest import CLASSICAL
from tests.pictures.test_explore import texts

Pair = tuple[Clips, Clips]
WITHOUT = ("classical", "layer_average", "lda", "logistic_regression")
"""Models that name no regressor."""
SHIPPED = sorted(CLASSICAL - {*WITHOUT})


def shipped(name: str) -> dict[str, Any]:
    """The first candidate of a file of conf/model, for numbers."""
    model: Any = OmegaConf.to_container(OmegaConf.load(f"{conf_dir()}/model/{name}.yaml"))["model"]
    settings = combinations(model["estimator"])[0]
    small = {"n_estimators": 50, "colsample_bytree": 1.0, "max_iter": 500, "C": 1.0, "alpha": 1.0}
    settings |= {key: value for key, value in small.items() if key in settings}
    return estimator_for(name, settings, model.get("regressor"), numeric=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_regressor_learns_numbers_and_is_stored(name: str, lines: Pair) -> None:
    if name == "xgboost":
        pytest.importorskip("xgboost")
    (one,) = fit_candidates([{"scaler": "standard", **shipped(name)}], *lines, None, seed=0)
    dev = lines[1]
    outputs = one.fitted.outputs(dev.x)
    scores = ccc_per_dimension(moments(dev.y, outputs).sum(axis=0))
    assert scores.min() > 0.5
    assert one.measured == {
        "dev_ccc": pytest.approx(scores.mean()),
        "dev_loss": pytest.approx(np.mean((outputs - dev.y) ** 2)),
    }
    file = io.BytesIO()
    torch.save(one.fitted.state(), file)
    file.seek(0)
    again = fitted_from(torch.load(file, weights_only=True))
    assert (again.outputs(dev.x) == outputs).all()


def test_several_numbers_are_those_of_each_alone(lines: Pair) -> None:
    train, dev = lines
    for target, theirs in (("svm", SVR(gamma="scale")), ("ridge", Ridge())):
        (both,) = fit_candidates([{"scaler": "standard", **shipped(target)}], *lines, None, seed=0)
        for number in range(2):
            alone = make_pipeline(StandardScaler(), theirs).fit(train.x, train.y[:, number]).predict(dev.x)
            np.testing.assert_allclose(both.fitted.outputs(dev.x)[:, number], alone, atol=1e-9)


def test_a_regressor_that_stopped_early_is_known(lines: Pair) -> None:
    settings = {"scaler": "standard", **shipped("linear_svm")}
    assert unconverged(fit_candidates([{**settings, "max_iter": 1}], *lines, None, seed=0)[0].fitted)
    assert not unconverged(fit_candidates([{**settings, "max_iter": 10000}], *lines, None, seed=0)[0].fitted)


@pytest.mark.parametrize("name", ["lda", "logistic_regression"])
def test_a_model_without_a_regressor_is_refused_for_numbers(name: str, small_settings: Settings) -> None:
    with pytest.raises(ConfigError, match=rf"labels must be classes with model={name}, whose \w+ has no twin .*ridge"):
        check_kind(small_settings(f"model={name}"), numeric=True)


def test_any_regressor_can_be_named(small_settings: Settings) -> None:
    named = "model.name=bayes", "model.estimator={_target_: sklearn.linear_model.BayesianRidge}", "selection=dev_ccc"
    check_kind(small_settings("model=classical", *named), numeric=True)
    with pytest.raises(ConfigError, match=r"selection\.by must be dev_ccc or dev_loss; got 'dev_uar'"):
        check_kind(small_settings("model=classical", *named, "selection=dev_uar"), numeric=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, small_settings: Settings) -> Path:
    """A run of a small forest on two numbers; loudness has no meaning, of synthetic speech."""
    folder = tmp_path_factory.mktemp("numbers")
    clips = list(Demo(tiny_demo).utterances())
    about = [(c.path, str(c.speaker), len(str(c.emotion)), -10.0 * place) for place, c in enumerate(clips)]
    pd.DataFrame(about, columns=["path", "speaker", "letters", "place"]).to_csv(folder / "my.csv", index=False)
    data = "data=table", f"data.file={folder / 'my.csv'}", "labels=dimensions", "labels.targets=[letters,place]"
    small = "model=random_forest", "model.estimator.n_estimators=20", "features=mfcc", "protocol.folds=3"
    return train(small_settings(*data, *small, "trainer.max_epochs=1", f"paths.run={folder / 'run'}"), terminal=False)


def test_run_of_numbers_is_scored_verified_and_loaded_as_any_other(run: Path, stores: Path, tiny_demo: Path) -> None:
    (fold,) = RunFolder(run).folds
    assert fold.about["dev_ccc"] == pytest.approx(fold.dev_metrics["ccc"], abs=1e-9)
    assert set(fold.about["chosen"]) == {"min_samples_leaf"}
    assert [check for check in verify(run) if not check.ok] == []
    recompute(run, "", str(stores), rescore=True)
    said = ser.load(run).predict(str(next(Demo(tiny_demo).utterances()).path))
    assert -360 < float(said["place"].iloc[0]) < 0  # in its own unit
    assert "label" not in said


@pytest.mark.slow
def test_page_of_a_regressor_says_what_ccc_is_lost(
    run: Path, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ser.report.drawing.DPI", 30)
    about = f"run={run}", f"paths.stores={stores}", f"out={tmp_path}", "device=cpu", "map=tsne", "mistakes=0"
    seen = texts(pages.explain(OmegaConf.create(composed(*about, config="explain"))))
    assert "is the CCC of the test clips" in seen
    assert "CCC that is lost when a feature is shuffled" in seen
