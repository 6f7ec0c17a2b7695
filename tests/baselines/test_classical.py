"""A classical model from the command's settings to a run that is loaded, rescored, verified and compared like any other."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.comparison.leaderboard import rank_systems
from ser.comparison.systems import find
from ser.corpora.demo import Demo
from ser.errors import ConfigError, RunError
from ser.evaluation import predictions
from ser.inference.predictor import Predictor
from ser.inference.score import predict_probabilities
from ser.protocols.plan import planned
from ser.protocols.stamps import ADAPTED
from ser.rescoring.recompute import recompute
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from ser.runtime.composition import composed as compose_command
from ser.training.build import build_data, build_model
from ser.training.experiment import train
from tests.baselines.conftest import classical
from tests.conftest import Settings


def test_run_has_the_files_of_any_run(forest: Path) -> None:
    run = RunFolder(forest)
    assert run.is_finished
    for fold in run.folds:
        assert len(fold.history) == 1
        assert fold.about["dev_uar"] == pytest.approx(fold.dev_metrics["uar"], abs=1e-12)
        assert fold.history["dev_loss"][0] == pytest.approx(fold.dev_metrics["cross_entropy"], abs=1e-9)
        assert set(fold.about["chosen"]) == {"min_samples_leaf"}
        assert fold.checkpoint.is_file()
    text = (forest / "card.html").read_text()
    assert "min_samples_leaf" in text
    assert "random_forest" in text
    assert "epoch" not in text.partition("How it was trained")[2].partition("</section>")[0]


def test_every_check_of_verification_holds(forest: Path) -> None:
    checks = verify(forest)
    assert [check for check in checks if not check.ok] == []


def test_scoring_again_gives_the_same_probabilities(forest: Path, stores: Path) -> None:
    recompute(forest, "", str(stores), rescore=True)


def test_loaded_model_predicts_recordings_as_it_scored_them(forest: Path) -> None:
    table = RunFolder(forest).folds[0].predictions.set_index("utterance")
    clips = {u.id: u.path for u in Demo().utterances() if u.id in table.index}
    chosen = list(clips)[:5]
    said = ser.load(forest / "fold_0").predict([clips[id_] for id_ in chosen], calibrated=False)
    stored = predictions.probabilities(table.loc[chosen].reset_index())
    np.testing.assert_allclose(said[list(predictions.classes(table))].to_numpy(), stored, atol=0.051)  # a tree of 20
    assert said["label"].tolist() == [predictions.classes(table)[i] for i in stored.argmax(axis=1)]


def test_changed_speech_is_scored_anew_and_not_from_cached_features(forest: Path, small_settings: Settings) -> None:
    config = classical(small_settings, "random_forest")
    data = build_data(config, planned(config), 0)
    model = ser.load(forest / "fold_0").model
    rows = data.split.test
    plain = predict_probabilities(model, data, rows)
    noisy = predict_probabilities(
        model, data, rows, lambda batch: batch._replace(waveform=torch.randn_like(batch.waveform))
    )
    assert np.abs(plain - noisy).max() > 0.1


def test_comparison_names_classical_models_and_tells_settings_apart(
    forest: Path, tmp_path: Path, small_settings: Settings
) -> None:
    other = classical(small_settings, "random_forest", "fold=all", f"paths.run={tmp_path / 'run'}")
    other["model"]["estimator"]["n_estimators"] = 5  # type: ignore[index]
    train(other, terminal=False)
    comparison, _ = rank_systems(*find([forest, tmp_path]))
    assert sorted(comparison.systems) == ["random_forest, n_estimators=20", "random_forest, n_estimators=5"]
    assert all(row.parameters is None for row in comparison.sections[0].group.rows)


def test_dev_decides_and_test_has_no_part_in_it(small_settings: Settings) -> None:
    config = classical(small_settings, "lda", "normalise=none")
    data = build_data(config, planned(config), 0)
    seen: list[np.ndarray] = []
    batches = data.batches

    def watched(rows: np.ndarray, *rest: Any) -> Any:
        seen.append(rows)
        return batches(rows, *rest)

    data.batches = watched  # type: ignore[method-assign]
    model = build_model(config, data)
    data.use_cached_features = lambda *_: None  # type: ignore[method-assign]
    model.fit(data, "dev_uar")
    assert not np.isin(np.concatenate(seen), data.split.test).any()


def test_normalised_by_speaker_is_stamped_and_another_result(small_settings: Settings, tmp_path: Path) -> None:
    config = classical(small_settings, "logistic_regression", "normalise=speaker", f"paths.run={tmp_path / 'run'}")
    run = RunFolder(train(config, terminal=False))
    assert ADAPTED in run.about["stamps"]


def test_same_seed_gives_the_same_forest(small_settings: Settings, tmp_path: Path, forest: Path) -> None:
    overrides = ["fold=0", "model.estimator.n_estimators=20", f"paths.run={tmp_path / 'run'}"]
    again = RunFolder(train(classical(small_settings, "random_forest", *overrides), terminal=False))
    pd.testing.assert_frame_equal(again.predictions, RunFolder(forest).folds[0].predictions)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["augment=[mixup]"], r"augment must not be set with model=svm, which is fitted once .* Leave it out"),
        (["trainer.accelerator=gpuu"], "trainer.accelerator must be auto, cpu, gpu or cuda; got 'gpuu'"),
        (["normalise=utterance"], "normalise must not be utterance with model=svm"),
    ],
)
def test_settings_without_a_meaning_are_refused(
    settings: Settings, tmp_path: Path, overrides: list[str], words: str
) -> None:
    config = settings("model=svm", "trainer.max_epochs=1", *overrides)
    with pytest.raises(ConfigError, match=words):
        train(config, terminal=False)


def test_settings_of_a_training_are_named_as_not_used(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    from ser.training.checks import check_kind

    caplog.set_level("INFO", "ser")
    check_kind(settings("model=svm", "optimizer=sgd", "loss=focal"), numeric=False)
    assert "Not used by model=svm, which is fitted once: loss, optimizer." in caplog.messages


def test_a_model_that_was_not_fitted_does_not_predict(small_settings: Settings) -> None:
    config = classical(small_settings, "svm")
    model = build_model(config, build_data(config, planned(config), 0))
    with pytest.raises(RunError, match="svm must be fitted before it predicts"):
        Predictor(model).predict(np.sin(np.arange(16000, dtype=np.float32)), 16000)


def test_features_that_are_not_finite_are_named(small_settings: Settings) -> None:
    config = classical(small_settings, "svm")
    data = build_data(config, planned(config), 0)
    model: Any = build_model(config, data)
    model.features.of.floor = float("nan")
    data.use_cached_features = lambda *_: None  # type: ignore[method-assign]
    with pytest.raises(RunError, match=r"features must be finite for every clip; got NaN or infinity in mel_0_mean"):
        model.fit(data, "dev_uar")


@pytest.mark.slow
def test_classical_model_is_trained_and_scored_without_lightning(stores: Path, tmp_path: Path) -> None:
    code = (
        "import sys, ser\n"
        f"where = ['paths.runs={tmp_path}', 'paths.stores={stores}']\n"
        "run = ser.train('model=lda', 'features=mfcc', 'data=demo', *where)\n"
        "ser.evaluate(run.path, 'rescore=true', where[1])\n"
        "print(sorted({'lightning', 'torchmetrics', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("[]\n"), done.stdout


def test_card_covers_the_settings_of_each_fold(forest: Path) -> None:
    card = json.loads((forest / "card.json").read_text())
    assert all("chosen" in fold for fold in card["training"]["folds"].values())


def test_a_setting_of_a_group_that_is_left_out_is_named() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr must not be set with these choices"):
        compose_command("train", ["model=svm", "optimizer.lr=0.1"])
