import base64
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

import ser
from ser.errors import ConfigError, CorpusNotFoundError, RunError
from ser.evaluation import predictions
from ser.models.embedding import last_layer
from ser.pictures import attribution, importance
from ser.pictures import explain as pages
from ser.pictures.attribution import layer_below
from ser.pictures.explained import explained_fold
from ser.runs.folder import RunFolder
from ser.training.experiment import train
from tests.composed import composed
from tests.conftest import Settings
from tests.pictures.test_explore import texts

pytestmark = pytest.mark.slow

Explain = Callable[..., Path]


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory, small_settings: Settings) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "bilstm"
    overrides = "model=bilstm", "model.hidden=8", "trainer.max_epochs=1", "augment=[]"
    return train(small_settings(*overrides, f"paths.run={folder}"), terminal=False)


@pytest.fixture(scope="module")
def forest(tmp_path_factory: pytest.TempPathFactory, small_settings: Settings) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "forest"
    overrides = "model=random_forest", "model.estimator.n_estimators=10", "features=mfcc", "trainer.max_epochs=1"
    return train(small_settings(*overrides, f"paths.run={folder}"), terminal=False)


@pytest.fixture
def settings_of(stores: Path, tmp_path: Path) -> Callable[..., dict[str, object]]:
    def settings_of(run: Path, *overrides: str) -> dict[str, object]:
        about = f"run={run}", f"paths.stores={stores}", f"out={tmp_path / 'page'}", "device=cpu", "map=tsne", "steps=4"
        return composed(*about, "clips=2", *overrides, config="explain")

    return settings_of


@pytest.fixture
def explained(settings_of: Callable[..., dict[str, object]]) -> Explain:
    return lambda run, *overrides: pages.explain(OmegaConf.create(settings_of(run, *overrides)))


def test_page_of_a_net_lists_its_stored_mistakes_with_their_recordings(net: Path, explained: Explain) -> None:
    page = explained(net, "mistakes=2")
    table, seen = RunFolder(net).predictions, texts(page)
    target, predicted = predictions.target_indices(table), predictions.predicted_indices(table)
    wrong = np.flatnonzero(target != predicted)
    assert f"{len(wrong)} of {len(table)} utterances are wrong" in seen
    surest = wrong[np.argsort(-predictions.probabilities(table)[wrong, predicted[wrong]], kind="stable")[:2]]
    listed = re.findall(r"demo/\w+ demo/\w+ \w+ [\d.]+ % \w+ [\d.]+ %", seen)
    assert [line.split()[0] for line in listed] == table["utterance"].iloc[surest].tolist()
    sounds = re.findall(r'src="data:audio/flac;base64,(.*?)"', page.read_text())
    assert len(sounds) == 2
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sounds[0])))
    assert rate == 16000
    assert abs(samples).max() > 0.01
    assert "Test speakers, as the run predicted them" in seen


def test_mistakes_sound_as_they_are_stored(net: Path, settings_of: Callable[..., dict[str, object]]) -> None:
    from ser.pictures.mistakes import sound

    shown = explained_fold(settings_of(net))
    row = int(shown.rows[0])
    data = base64.b64decode(sound(shown.data, row).uri.partition(",")[2])
    samples, _ = soundfile.read(io.BytesIO(data), dtype="int16")
    start, length = shown.data.labelled.manifest.loc[row, ["start", "length"]]
    np.testing.assert_array_equal(samples, shown.data.plan.stores[0].samples[start : start + length])


def test_last_layer_gives_the_stored_probabilities(net: Path, settings_of: Callable[..., dict[str, object]]) -> None:
    shown = explained_fold(settings_of(net, "side=dev"))
    hidden, _ = layer_below(shown.model, shown.data, shown.rows, shown.own)
    layer = last_layer(shown.model)
    logits = hidden @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
    given = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(given, predictions.probabilities(shown.table), atol=1e-5)


def test_permutation_importances_are_near_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "REPEATS", 100)
    random = np.random.default_rng(0)
    target = random.integers(2, size=60)
    vectors = random.normal(size=(60, 3)) + np.outer(target, [2.0, 0.7, 0.0])
    classifier = LogisticRegression().fit(vectors, target)
    fitted = SimpleNamespace(outputs=classifier.predict_log_proba)
    model: Any = SimpleNamespace(name="x", classes=("calm", "sad"), numeric=False, fitted=fitted, answers=torch.exp)
    groups = {"a": [0], "b": [1], "c": [2], "all": [0, 1, 2]}
    whole, lost = importance.permutation_importances(model, vectors, target, groups, seed=0)
    others = permutation_importance(
        classifier, vectors, target, scoring="balanced_accuracy", n_repeats=100, random_state=1
    )
    assert whole == pytest.approx(balanced_accuracy_score(target, classifier.predict(vectors)))
    found = [lost[name].mean() for name in "abc"]
    np.testing.assert_allclose(found, others.importances_mean, atol=0.02)  # of 100 shuffles each
    assert whole - lost["all"].mean() == pytest.approx(0.5, abs=0.02)  # chance: rows are shuffled whole


def test_statistics_of_a_feature_are_one_group(forest: Path) -> None:
    model: Any = ser.load(forest).model
    groups = importance.grouped(model)
    assert sorted(column for columns in groups.values() for column in columns) == list(range(model.n_features))
    for name, columns in groups.items():
        assert all(re.fullmatch(rf"{name}_(mean|std|slope|p\d+)", model.features.names[column]) for column in columns)


def test_page_of_a_forest_shows_every_feature_by_its_statistics(forest: Path, explained: Explain) -> None:
    seen = texts(explained(forest, "mistakes=0"))
    assert "Permutation importance" in seen
    assert "Functionals of MFCC" in seen
    assert "audio" not in seen


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["side=train"], "side must be test or dev; got 'train'"),
        (["clips=0"], "clips must be an integer of 1 or more; got 0"),
        (["clip=demo/nobody"], "clip must be a test utterance of the fold, such as demo/"),
    ],
)
def test_a_setting_out_of_its_range_is_named(net: Path, explained: Explain, overrides: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        explained(net, *overrides)


def test_without_captum_the_page_says_so(net: Path, explained: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "find_spec", lambda name: None)
    assert "pip install 'ser[explain]'" in texts(explained(net, "mistakes=0"))
    with pytest.raises(ConfigError, match="clip must be null for this run"):
        explained(net, "clip=x")


def test_a_run_whose_recordings_are_gone_is_a_sentence(
    net: Path, explained: Explain, tmp_path: Path, stores: Path
) -> None:
    moved = tmp_path / "run"
    shutil.copytree(net, moved)
    places = moved / "machine.json"
    places.write_text(
        re.sub(r'"data.corpora.demo.root": "[^"]*"', '"data.corpora.demo.root": "/nowhere"', places.read_text())
    )
    with pytest.raises(CorpusNotFoundError, match="nowhere"):
        explained(moved, f"paths.corpora={tmp_path}", f"paths.stores={tmp_path / 'none'}")


def test_predictions_of_another_split_are_refused(net: Path, explained: Explain, tmp_path: Path) -> None:
    moved = tmp_path / "run"
    shutil.copytree(net, moved)
    table = RunFolder(net).predictions
    for file in moved.rglob("predictions.parquet"):
        table.iloc[1:].to_parquet(file, index=False)
    with pytest.raises(RunError, match="must have the test utterances of the run's split"):
        explained(moved)
