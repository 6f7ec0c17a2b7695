"""From a table with arousal and valence to a carded run that is compared, verified, scored again, loaded and asked."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.comparison.cross_corpus import transfers
from ser.comparison.leaderboard import compare
from ser.comparison.leakage import leaks
from ser.corpora.demo import Demo
from ser.errors import ConfigError, LabelError, RunError
from ser.protocols.plan import planned
from ser.rescoring.recompute import recompute
from ser.rescoring.robustness.run import Robustness
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from ser.training.build import build_data
from ser.training.experiment import train
from tests.conftest import Settings

AROUSAL = {"angry": 6.0, "disgust": 3.5, "fear": 5.0, "happy": 5.5, "neutral": 3.0, "sad": 2.0}
"""Synthetic speech: made-up numbers, which no result is about."""
NAMES = ["arousal", "valence"]


@pytest.fixture(scope="module")
def table(tiny_demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips of the tiny corpus, each with two numbers and no label."""
    rows = [
        {
            "path": clip.path,
            "speaker": str(clip.speaker).partition("/")[2],
            "sex": clip.sex,
            "arousal": AROUSAL[str(clip.emotion)],
            "valence": -0.1 * place,
        }
        for place, clip in enumerate(Demo(tiny_demo).utterances())
    ]
    file = tmp_path_factory.mktemp("numbers") / "my.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def of_numbers(small_settings: Settings, table: Path) -> Settings:
    def settings(*overrides: str, **kwargs: Any) -> dict[str, Any]:
        own = ["data=table", f"data.file={table}", "labels=dimensions", "labels.targets=[arousal,valence]"]
        model = ["model=bilstm", "model.hidden=4", "protocol.folds=3"]
        return small_settings(*own, *model, *overrides, **kwargs)

    return settings


@pytest.fixture(scope="module")
def runs(of_numbers: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs of a fold that differ in the loss."""
    folder = tmp_path_factory.mktemp("runs")
    for loss in ("ccc", "mse"):
        train(of_numbers("trainer.max_epochs=1", f"loss={loss}", f"paths.run={folder / loss}"), terminal=False)
    return folder


def test_card_and_predictions_are_of_numbers_in_their_own_unit(runs: Path, table: Path) -> None:
    run = RunFolder(runs / "ccc")
    given = pd.read_csv(table)
    assert [c for c in run.predictions if "_" in c] == [f"{p}_{n}" for p in ("target", "predicted") for n in NAMES]
    numbers = given.set_index(given["path"].map(lambda path: Path(path).name))[NAMES]
    stated = numbers.loc[run.predictions["utterance"].map(lambda id_: Path(id_).name)]
    np.testing.assert_array_equal(run.predictions[[f"target_{name}" for name in NAMES]], stated)
    assert abs(run.predictions["predicted_arousal"].mean() - given["arousal"].mean()) < given["arousal"].std()
    assert run.card is not None
    assert run.card["classes"] == run.metrics["dimensions"] == NAMES
    assert run.metrics["run"]["labels"] == "dimensions: arousal, valence"
    assert "CCC" in repr(run)
    assert "UAR" not in repr(run)
    page = (run.path / "card.html").read_text()
    assert f'<div class="uar">{run.metrics["ccc"]:.3f}</div>'.replace("-", "\N{MINUS SIGN}") in page
    assert "UAR" not in page
    assert "By number" in page
    assert {"dev_ccc", "dev_loss", "train_loss"} <= set(run.folds[0].history)


def test_run_is_verified_and_a_changed_number_is_found(runs: Path, stores: Path, tmp_path: Path) -> None:
    checks = verify(runs / "ccc", stores=str(stores))
    assert [check for check in checks if check.ok is not True] == []
    forged = tmp_path / "forged"
    shutil.copytree(runs / "ccc", forged)
    (fold,) = RunFolder(forged).folds
    table = fold.predictions
    table.assign(target_valence=table["target_valence"] + 1).to_parquet(fold.path / "predictions.parquet", index=False)
    wrong = {check.name: check.detail for check in verify(forged, stores=str(stores)) if check.ok is False}
    assert {"files", f"{fold.name} numbers", "pooling", "corpus"} <= wrong.keys()
    assert "target_valence" in wrong["corpus"]


def test_checkpoints_give_the_stored_predictions(runs: Path, stores: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recompute(runs / "ccc", str(runs), str(stores), rescore=True)
    out = capsys.readouterr().out
    assert "agree with the checkpoint" in out
    assert "By number" in out
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_loaded_model_gives_a_number_for_each_dimension(runs: Path) -> None:
    fold = RunFolder(runs / "ccc").folds[0]
    model = ser.load(fold.path)
    clips = planned(RunFolder(runs / "ccc").settings).labelled.manifest.set_index("id")["path"]
    stored = fold.predictions.head(3)
    found = model.predict(clips[stored["utterance"]].tolist())
    assert list(found) == ["audio", *NAMES, "flags"]
    np.testing.assert_allclose(found[NAMES], stored[[f"predicted_{name}" for name in NAMES]], atol=1e-4)


def test_scale_is_of_the_training_speakers_alone(of_numbers: Settings) -> None:
    settings = of_numbers()
    data = build_data(settings, planned(settings), 0)
    before = data.scale()
    assert before is not None
    train_targets = data.labelled.target[data.split.train]
    np.testing.assert_allclose(before["mean"], train_targets.mean(axis=0))
    np.testing.assert_allclose(before["deviation"], train_targets.std(axis=0))
    for side in (data.split.dev, data.split.test):
        data.labelled.target[side] = 1e6
    assert data.scale() == before
    data.labelled.target[data.split.train, 1] = 7
    with pytest.raises(LabelError, match="must differ between training clips; got valence = 7 in all of fold 0"):
        data.scale()


def test_training_of_numbers_is_standardised_and_prediction_is_not(runs: Path, of_numbers: Settings) -> None:
    model = ser.load(RunFolder(runs / "mse").folds[0].path).model
    settings = of_numbers()
    data = build_data(settings, planned(settings), 0)
    for rows in (data.split.train, data.split.dev):
        for batch in data.batches(rows, torch.device("cpu")):
            stated = data.labelled.target[batch.index]
            np.testing.assert_allclose(model.answers(batch.target).numpy(), stated, rtol=1e-6, atol=1e-6)


def test_numbers_far_from_zero_are_trained_on_exactly(of_numbers: Settings) -> None:
    settings = of_numbers()
    plan = planned(settings)
    near = build_data(settings, plan, 0)
    far = build_data(settings, replace(plan, labelled=replace(plan.labelled, target=plan.labelled.target + 1e9)), 0)
    rows = torch.arange(len(near.labelled.target))
    first, other = (data.gather(rows, torch.device("cpu")).target for data in (near, far))
    torch.testing.assert_close(first, other, rtol=0, atol=1e-6)


def test_runs_are_compared_by_ccc(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = compare([runs], out=tmp_path / "out")
    rows = pd.read_csv(out / "comparison.csv").set_index("system")
    for loss in ("ccc", "mse"):
        metrics = RunFolder(runs / loss).metrics
        assert rows.loc[f"bilstm, loss={loss}", "ccc"] == pytest.approx(metrics["ccc"])
        assert rows.loc[f"bilstm, loss={loss}", "rmse"] == pytest.approx(metrics["rmse"])
    printed = capsys.readouterr().out
    assert "Differences in CCC to the best" in printed
    assert "UAR" not in printed + (out / "comparison.md").read_text() + (out / "comparison.html").read_text()
    assert sorted(p.name for p in (out / "pictures" / "table").iterdir()) == ["recall.svg", "speakers.svg"]


def test_numbers_are_scored_under_noise(
    runs: Path, stores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = RunFolder(shutil.copytree(runs / "ccc", tmp_path / "ccc"))
    effects = {"gain": {"_target_": "ser.rescoring.robustness.channel.Gain", "levels": [-20]}}
    Robustness("robustness", 0, effects).run(run.path, str(runs), str(stores))
    measured = json.loads((run.path / "robustness.json").read_text())
    (quiet,) = measured["conditions"]
    assert measured["clean"]["ccc"] == pytest.approx(run.metrics["ccc"], abs=1e-5)
    assert quiet["change"] == pytest.approx(quiet["ccc"] - measured["clean"]["ccc"])
    printed = capsys.readouterr().out
    assert "CCC: concordance" in printed
    assert "UAR" not in printed


@pytest.mark.parametrize("report", [leaks, transfers])
def test_studies_of_classes_refuse_a_run_of_numbers(runs: Path, report: Callable[[list[Path]], pd.DataFrame]) -> None:
    with pytest.raises(RunError, match=r"experiment=\w+ must be of a run that predicts classes; got one of numbers"):
        report([runs / "ccc"])


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["loss=cross_entropy"], "loss must be ccc or mse to predict numbers with these labels; got CrossEntropy"),
        (["selection=dev_uar"], r"selection\.by must be dev_ccc or dev_loss with these labels; got dev_uar"),
        (["callbacks.early_stopping.by=dev_uar"], r"callbacks\.early_stopping\.by must be dev_ccc or dev_loss"),
        (["batch_size=1"], "batch_size must be 2 or more with the loss CCC; got 1"),
    ],
)
def test_settings_that_do_not_fit_numbers_are_refused_before_a_run_has_a_folder(
    of_numbers: Settings, tmp_path: Path, overrides: list[str], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        train(of_numbers(*overrides, f"paths.runs={tmp_path / 'runs'}"), terminal=False)
    assert not (tmp_path / "runs").exists()


def test_loss_of_numbers_is_refused_for_classes(small_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="loss must be a loss of classes, such as cross_entropy"):
        train(small_settings("loss=mse", f"paths.runs={tmp_path / 'runs'}"), terminal=False)
