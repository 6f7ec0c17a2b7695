"""The curve over adaptation clips: from no adaptation clip to the run's own numbers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor

import ser
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError, RunError
from ser.evaluate import main
from ser.evaluation import predictions
from ser.evaluation.intervals import speaker_interval
from ser.evaluation.metrics import uar
from ser.evaluation.summary import write_metrics
from ser.features.logmel import LogMel
from ser.features.normalise import RELEVANCE, Moments
from ser.inference.score import score
from ser.models.classifier import SpeechClassifier
from ser.models.cnn import CNN
from ser.protocols.plan import planned
from ser.rescoring.adaptation import report
from ser.rescoring.adaptation.results import measure_adaptation
from ser.rescoring.adaptation.run import Adaptation
from ser.rescoring.recompute import SAME_PROBABILITY
from ser.rescoring.suite import Suite
from ser.runs.folder import RunFolder
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import find_class, instantiate
from ser.training import build, experiment
from tests.composed import composed

pytestmark = pytest.mark.slow
SMALL: dict[str, Any] = {"ks": [3, 1, 50], "draws": 3, "seed": 0}
CLIPS = 6
"""Of every speaker of the tiny corpus."""


@pytest.fixture(scope="module")
def config(tiny_demo: Path, stores: Path) -> dict[str, Any]:
    overrides = [f"+data.corpora.demo.root={tiny_demo}", "protocol.folds=3", f"paths.stores={stores}", "fold=all"]
    overrides += ["trainer.max_epochs=2", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
    return composed(*overrides, "batch_size=8", "logger=csv", "model=cnn", "normalise=speaker")


@pytest.fixture(scope="module")
def trained(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "trained"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        return experiment.train({**config, "paths": {**config["paths"], "run": str(folder)}})


@pytest.fixture(scope="module")
def scored(trained: Path, stores: Path) -> Path:
    """The run with a small suite's files."""
    Adaptation(**SMALL).run(trained, "corpora", str(stores))
    return trained


@pytest.fixture(scope="module")
def table(scored: Path) -> pd.DataFrame:
    return pd.read_parquet(scored / "adaptation.parquet")


@pytest.fixture(scope="module")
def measured(scored: Path) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads((scored / "adaptation.json").read_text())
    return plain


@pytest.fixture(scope="module")
def guesses(table: pd.DataFrame) -> pd.DataFrame:
    """The table with random probabilities, which differ between draws."""
    random = np.random.default_rng(0)
    names = [predictions.PREFIX + name for name in predictions.classes(table)]
    made = table.copy()
    made[names] = random.dirichlet(np.ones(len(names)), len(table))
    return made


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


@pytest.fixture(scope="module")
def data(config: dict[str, Any]) -> SpeechData:
    """Fold 0: 12 clips each train, tune and test."""
    return build.build_data(config, planned(config), 0)


@pytest.fixture(scope="module")
def model(trained: Path) -> SpeechClassifier:
    """Of fold 0."""
    return ser.load(trained / "fold_0").model


@pytest.fixture(scope="module")
def clips(data: SpeechData) -> dict[str, Tensor]:
    """Waveforms ``(1, sample)`` by utterance, of the test side."""
    ids = data.labelled.manifest["id"]
    return {ids[i]: data.gather(torch.tensor([i]), torch.device("cpu")).waveform for i in data.split.test}


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[np.ndarray]]:
    """The rows of the adaptation clips, for each scoring."""
    seen: list[np.ndarray] = []
    moments = SpeechClassifier.moments

    def watched(model: SpeechClassifier, data: SpeechData, rows: np.ndarray, *more: Any) -> Moments:
        seen.append(np.sort(rows))
        return moments(model, data, rows, *more)

    monkeypatch.setattr(SpeechClassifier, "moments", watched)
    return seen


def of(table: pd.DataFrame, k: object, draw: int = 0, fold: int | None = None) -> pd.DataFrame:
    kept = (table["k"] == str(k)) & (table["draw"] == draw)
    return table[kept if fold is None else kept & (table["fold"] == fold)].sort_values(["fold", "utterance"])


@pytest.mark.slow
def test_all_clips_known_gives_the_stored_predictions(
    scored: Path, table: pd.DataFrame, measured: dict[str, Any]
) -> None:
    stored = predictions.read_predictions(scored / "predictions.parquet").sort_values(["fold", "utterance"])
    metrics = json.loads((scored / "metrics.json").read_text())
    assert list(table.columns) == [*stored.columns, "k", "draw"]
    last = measured["curve"][-1]
    assert last["k"] == "all"
    assert last["uar"] == metrics["uar"]
    assert last["uar_interval"] == metrics["uar_interval"]
    known = predictions.probabilities(of(table, "all"))
    np.testing.assert_allclose(known, predictions.probabilities(stored), rtol=0, atol=SAME_PROBABILITY)
    for draw in range(3):  # a speaker has fewer than 50 clips: all of them
        more = predictions.probabilities(of(table, 50, draw))
        np.testing.assert_allclose(more, known, rtol=0, atol=SAME_PROBABILITY)
    assert measured["clips_per_speaker"] == [CLIPS, CLIPS]
    assert measured["run"]["stamps"] == ["synthetic speech", "speaker-adapted"]
    assert measured["suite"] == {"ks": [1, 3, 50], "draws": 3, "seed": 0}


def test_no_clip_known_uses_the_training_mean(
    table: pd.DataFrame, model: SpeechClassifier, clips: dict[str, Tensor]
) -> None:
    """Without adaptation clips, each clip is scored as if alone."""
    rows = of(table, 0, fold=0)
    alone = [model.probabilities(clips[u], torch.tensor([clips[u].shape[1]]))[0] for u in rows["utterance"]]
    np.testing.assert_allclose(predictions.probabilities(rows), torch.stack(alone), rtol=0, atol=SAME_PROBABILITY)
    apart = predictions.probabilities(rows) - predictions.probabilities(of(table, "all", fold=0))
    assert abs(apart).max() > 1e-3, "knowing the speakers changed nothing"


def test_k_clips_of_every_speaker_are_known(data: SpeechData, model: SpeechClassifier, heard: list[np.ndarray]) -> None:
    speaker = data.labelled.manifest["speaker"].to_numpy()
    known = score(model, data, data.split.test)
    heard.clear()
    Adaptation([1, 3, 50], 3, 0).score_fold(model, data, known, RunFolder(Path()))
    nobody, *rest = heard
    assert len(nobody) == 0
    assert len(rest) == 9
    ones, threes, fifties = rest[:3], rest[3:6], rest[6:]
    for k, drawn in ((1, ones), (3, threes), (CLIPS, fifties)):
        for rows in drawn:
            assert set(rows) <= set(data.split.test)
            assert pd.Series(speaker[rows]).value_counts().to_dict() == dict.fromkeys(speaker[data.split.test], k)
    assert all(set(one) < set(three) for one, three in zip(ones, threes, strict=True))
    assert len({tuple(rows) for rows in threes}) == 3, "draws do not differ"


def test_statistics_are_of_the_k_clips(
    data: SpeechData, model: SpeechClassifier, heard: list[np.ndarray], clips: dict[str, Tensor]
) -> None:
    """In NumPy, clip by clip: the moments of three clips have the weight 3 / 7, those of the training speakers 4 / 7."""
    known = score(model, data, data.split.test)
    heard.clear()
    table = Adaptation([3], 1, 0).score_fold(model, data, known, RunFolder(Path()))
    manifest = data.labelled.manifest
    about = manifest.iloc[heard[1]]
    speaker = about["speaker"].iloc[0]
    ids = about.loc[about["speaker"] == speaker, "id"]
    assert len(ids) == 3

    def features(utterance: str) -> np.ndarray:
        with torch.no_grad():
            found: Tensor = model.features(clips[utterance], torch.tensor([clips[utterance].shape[1]]))[0]
        return found[0].double().numpy()

    frames = np.concatenate([features(utterance) for utterance in ids], axis=1)
    own, weight = model.normalise, 3 / (3 + RELEVANCE)
    prior, spread = own.mean.double().numpy()[:, 0], own.deviation.double().numpy()[:, 0] ** 2
    mean = weight * frames.mean(axis=1) + (1 - weight) * prior
    deviation = np.sqrt(weight * frames.var(axis=1) + (1 - weight) * spread)
    rows = of(table, 3)
    rows = rows[rows["speaker"] == speaker]
    assert len(rows) == CLIPS
    for utterance, expected in zip(rows["utterance"], predictions.probabilities(rows), strict=True):
        x = (features(utterance) - mean[:, None]) / (deviation[:, None] + own.epsilon)
        with torch.no_grad():
            logits = model.classify(torch.from_numpy(x).float()[None], torch.tensor([x.shape[1]]))
        np.testing.assert_allclose(logits.double().softmax(dim=1)[0], expected, rtol=0, atol=SAME_PROBABILITY)


def test_draws_depend_on_the_seed(data: SpeechData, model: SpeechClassifier) -> None:
    known = score(model, data, data.split.test)
    one, again, other = (
        Adaptation([2], 2, seed).score_fold(model, data, known, RunFolder(Path())) for seed in (0, 0, 1)
    )
    pd.testing.assert_frame_equal(one, again)
    apart = predictions.probabilities(of(one, 2)) - predictions.probabilities(of(other, 2))
    assert abs(apart).max() > 1e-4


def test_cached_features_are_computed_once_with_the_same_result(
    run: Path, stores: Path, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "curve", lambda *_, **__: None)  # takes a second, and is tested elsewhere
    monkeypatch.setattr(CNN, "cache_key", lambda _: {"of": "log-mel", "for": "tests/test_adaptation.py"})
    computed: list[int] = []
    forward = LogMel.forward

    def counted(features: LogMel, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        computed.append(len(lengths))
        return forward(features, waveform, lengths)

    monkeypatch.setattr(LogMel, "forward", counted)
    Adaptation(**SMALL).run(run, "corpora", str(stores))
    assert sum(computed) == 6 * CLIPS, "three folds share the features of one corpus"
    again = pd.read_parquet(run / "adaptation.parquet")
    pd.testing.assert_frame_equal(again, table, check_exact=False, rtol=0, atol=SAME_PROBABILITY)


def test_numbers_are_of_the_table(table: pd.DataFrame, guesses: pd.DataFrame, measured: dict[str, Any]) -> None:
    again = measure_adaptation(table)
    assert {key: measured[key] for key in again} == again
    names = np.array(predictions.classes(table))
    hit = names[predictions.probabilities(guesses).argmax(axis=1)] == guesses["target"]
    recall = guesses.assign(hit=hit).groupby(["k", "draw", "target"])["hit"].mean()
    uars = recall.groupby(["k", "draw"]).mean()
    curve = measure_adaptation(guesses)["curve"]
    assert [(point["k"], point["draws"]) for point in curve] == [(0, 1), (1, 3), (3, 3), (50, 3), ("all", 1)]
    for point in curve:
        mine = uars[str(point["k"])].to_numpy()
        assert point["uar"] == pytest.approx(mine.mean(), abs=1e-12)
        assert point["change"] == pytest.approx(mine.mean() - uars["0", 0], abs=1e-12)
        assert point["uar_sd"] == (None if len(mine) == 1 else pytest.approx(mine.std(ddof=1), abs=1e-12))
    assert curve[1]["uar_sd"] > 0


def test_interval_is_of_the_mean_over_draws(guesses: pd.DataFrame) -> None:
    counts = [predictions.confusion_by_speaker(of(guesses, 1, draw))[1] for draw in range(3)]
    mean = speaker_interval(np.stack(counts, axis=1), lambda draws: np.asarray(uar(draws).mean(axis=-1)))
    interval = measure_adaptation(guesses)["curve"][1]["uar_interval"]
    assert (interval["low"], interval["high"]) == (pytest.approx(mean.low), pytest.approx(mean.high))
    assert interval["low"] < interval["high"]


def test_run_without_speaker_normalisation_is_refused(tmp_path: Path, stores: Path) -> None:
    write_metrics({"run": {"stamps": ["synthetic speech"]}}, tmp_path / "metrics.json")
    with pytest.raises(ConfigError, match=r"must be trained with normalise=speaker"):
        Adaptation(**SMALL).run(tmp_path, "corpora", str(stores))


def test_predictions_that_differ_from_the_checkpoint_are_refused(run: Path, stores: Path) -> None:
    for file in run.glob("adaptation.*"):
        file.unlink()
    stored = predictions.read_predictions(run / "fold_0" / "predictions.parquet")
    stored.loc[3, ["p_angry", "p_sad"]] = [float(p) for p in stored.loc[3, ["p_sad", "p_angry"]]]
    predictions.write_predictions(stored, run / "fold_0" / "predictions.parquet")
    with pytest.raises(RunError, match=stored["utterance"][3]):
        Adaptation(**SMALL).run(run, "corpora", str(stores))
    assert not list(run.glob("adaptation.*"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ks", [0, 1]),
        ("ks", [1.5]),
        ("ks", "12"),
        ("ks", 5),
        ("draws", 0),
        ("draws", True),
        ("seed", -1),
        ("seed", 0.5),
    ],
)
def test_invalid_settings_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"suite\.{key} "):
        Adaptation(**{**SMALL, key: value})


@pytest.mark.parametrize("file", sorted((Path(conf_dir()) / "suite").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_file_of_conf_suite_names_a_suite(file: Path) -> None:
    assert find_class(OmegaConf.load(file)["_target_"], Suite)


def test_other_classes_are_refused_as_a_suite() -> None:
    with pytest.raises(ConfigError, match=r"CNN is not a Suite"):
        instantiate({"_target_": "ser.models.cnn.CNN"}, Suite)


def test_command_writes_and_prints_the_curve(
    run: Path, stores: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    GlobalHydra.instance().clear()
    line = ["evaluate", f"run={run}", f"paths.stores={stores}", "suite=adaptation"]
    monkeypatch.setattr("sys.argv", [*line, "suite.ks=[2]", "suite.draws=1"])
    main()
    plain = json.loads((run / "adaptation.json").read_text())
    assert [point["k"] for point in plain["curve"]] == [0, 2, "all"]
    assert (run / "adaptation.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert f"{100 * plain['curve'][1]['uar']:.1f} %" in printed
    assert "draws" not in printed


def test_table_fits_80_columns(measured: dict[str, Any]) -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(report.curve_table(measured, "demo, speaker_cv: adaptation", ("speaker-adapted",)))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 80
    assert "SPEAKER-ADAPTED" in text
    assert "too few" in " ".join(text.split())
    for point in measured["curve"]:
        (line,) = [line for line in text.splitlines() if line.split()[:1] == [str(point["k"])] and "%" in line]
        assert f"{100 * point['uar']:.1f} %" in line
        assert f"{100 * point['uar_interval']['high']:.1f}]" in line
        change = f"{100 * point['change']:+.1f}".replace("-", "\N{MINUS SIGN}")
        assert (change in line) == (point["k"] != 0)


@pytest.mark.parametrize("intervals", [True, False])
def test_picture_shows_the_curve(
    guesses: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, intervals: bool
) -> None:
    """With intervals (six speakers) and without (one speaker)."""
    figures: list[Figure] = []
    savefig = Figure.savefig

    def kept(figure: Figure, *arguments: Any, **options: Any) -> None:
        figures.append(figure)
        savefig(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", kept)
    numbers = measure_adaptation(guesses if intervals else guesses[guesses["speaker"] == guesses["speaker"].iloc[0]])
    assert (numbers["curve"][0]["uar_interval"]["low"] is not None) == intervals
    report.curve(numbers, tmp_path / "curve.png", "demo, speaker_cv: adaptation", stamps=("speaker-adapted",))
    (figure,) = figures
    (axes,) = figure.axes
    (line,) = [line for line in axes.lines if line.get_label() == "UAR"]
    np.testing.assert_allclose(np.asarray(line.get_ydata()), [100 * point["uar"] for point in numbers["curve"]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "3", "50", "all"]
    assert ("95 % over speakers" in [words.get_text() for words in figure.legends[0].get_texts()]) == intervals
    assert any("SPEAKER-ADAPTED" in words.get_text() for words in figure.texts)
