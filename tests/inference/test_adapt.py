"""A model that normalises by speaker takes each speaker's own clips, never a label nor another speaker, and says so."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.corpora.demo import Demo
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.features.normalise import RELEVANCE
from ser.inference.load import load_model
from ser.inference.predictor import Predictor
from ser.inference.score import predict_probabilities, score
from ser.models.classifier import SpeechClassifier
from ser.protocols.plan import planned
from ser.protocols.stamps import ADAPTED, DEV_SHARES_SPEAKERS
from ser.rescoring.recompute import recompute
from ser.runs.folder import checkpoint_of
from ser.training import build, experiment
from tests.checkpoints import save_brisk
from tests.composed import composed
from tests.training.test_experiment import train_until_the_third_epoch

ROUNDING: dict[str, Any] = {"atol": 1e-5, "rtol": 0}
"""Of features by the batch that they are computed in, in probabilities."""


class Run(NamedTuple):
    config: dict[str, Any]
    folder: Path
    data: SpeechData
    model: SpeechClassifier
    clips: Path  # the corpus


def config_of(clips: Path, stores: Path, *overrides: str) -> dict[str, Any]:
    small = [f"+data.corpora.demo.root={clips}", "protocol.folds=3", f"paths.stores={stores}", "batch_size=8"]
    small += ["trainer.max_epochs=3", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu", "logger=csv"]
    return composed(*small, "normalise=speaker", *overrides)


def into(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    return {**config, "paths": {**config["paths"], "run": str(folder)}}


def set_up(config: dict[str, Any]) -> SpeechData:
    return build.build_data(config, planned(config), 0)


def trained(config: dict[str, Any], clips: Path, home: Path) -> Iterator[Run]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        folder = experiment.train(into(config, home / "run"))
        yield Run(config, folder, set_up(config), load_model(checkpoint_of(folder)), clips)


def pretrained(home: Path) -> list[str]:
    pytest.importorskip("transformers")
    return [
        "model=whisper",
        f"model.encoder.checkpoint={save_brisk(home / 'checkpoint', 'whisper 80')}",
        "model.head.hidden=16",
    ]


@pytest.fixture(scope="module", params=["cnn", "whisper"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, stores: Path
) -> Iterator[Run]:
    """A CNN on log-mel energies, and a frozen encoder with a head."""
    home = tmp_path_factory.mktemp("adapt")
    chosen = ["model=cnn"] if request.param == "cnn" else pretrained(home)
    yield from trained(config_of(tiny_demo, stores, *chosen), tiny_demo, home)


@pytest.fixture(scope="module")
def two_speakers(tmp_path_factory: pytest.TempPathFactory, stores: Path) -> Iterator[Run]:
    """As TESS has no more: one tests, and dev is sentences of the other, who trains."""
    home = tmp_path_factory.mktemp("two")
    (home / "demo").mkdir()
    for utterance in Demo().utterances():
        if utterance.speaker.endswith(("f01", "m01")) and utterance.repetition == 1:
            (home / "demo" / utterance.path.name).symlink_to(utterance.path)
    yield from trained(config_of(home / "demo", stores, "model=cnn"), home / "demo", home)


def speakers_of(run: Run, rows: np.ndarray) -> np.ndarray:
    return run.data.labelled.manifest["speaker"].to_numpy()[rows]


def frames_by_speaker(run: Run, rows: np.ndarray) -> dict[str, list[np.ndarray]]:
    """Features of each clip, ``(feature, frame)`` in double precision, straight from the store, by who speaks."""
    frames: dict[str, list[np.ndarray]] = {}
    for _, clip in run.data.labelled.manifest.iloc[rows].iterrows():
        samples = (
            run.data.plan.stores[0].samples[clip["start"] : clip["start"] + clip["length"]].astype(np.float32) / 32768
        )
        with torch.no_grad():
            features, _ = run.model.features(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
        frames.setdefault(clip["speaker"], []).append(features[0].double().numpy())
    return frames


def nobody_in_particular(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each training speaker's frames, averaged over them."""
    joined = [np.concatenate(clips, axis=1) for clips in frames_by_speaker(run, run.data.split.train).values()]
    return np.mean([x.mean(axis=1) for x in joined], axis=0), np.mean([x.var(axis=1) for x in joined], axis=0)


def files_of(run: Run, rows: np.ndarray) -> list[Path]:
    ids = run.data.labelled.manifest["id"].iloc[rows]
    return [next(run.clips.glob(f"{u.partition('/')[2]}.*")) for u in ids]


def one_test_speaker(run: Run) -> tuple[str, np.ndarray]:
    rows = run.data.split.test
    name = min(speakers_of(run, rows))
    return name, rows[speakers_of(run, rows) == name]


# ---- what it knows


def test_unknown_speaker_statistics_are_of_training_speakers_only(run: Run) -> None:
    mean, variance = nobody_in_particular(run)
    sides = run.data.split.sides()
    assert {name: len(set(speakers_of(run, rows))) for name, rows in sides.items()} == dict.fromkeys(sides, 2)
    np.testing.assert_allclose(run.model.normalise.mean[:, 0], mean, atol=1e-4)
    np.testing.assert_allclose(run.model.normalise.deviation[:, 0], np.sqrt(variance), atol=1e-4)


def test_clips_of_test_speaker_are_normalised_by_their_own_statistics(run: Run) -> None:
    """By hand: the formula on this speaker's frames, then the rest of the model clip by clip."""
    _, rows = one_test_speaker(run)
    (clips,) = frames_by_speaker(run, rows).values()
    prior, spread = nobody_in_particular(run)
    joined, alpha = np.concatenate(clips, axis=1), len(clips) / (len(clips) + RELEVANCE)
    mean = alpha * joined.mean(axis=1) + (1 - alpha) * prior
    deviation = np.sqrt(alpha * joined.var(axis=1) + (1 - alpha) * spread)
    expected = []
    for clip in clips:
        normal = (clip - mean[:, None]) / (deviation[:, None] + run.model.normalise.epsilon)
        with torch.no_grad():
            logits = run.model.classify(torch.from_numpy(normal).float()[None], torch.tensor([clip.shape[1]]))
        expected.append(logits[0].double().softmax(dim=0).numpy())
    np.testing.assert_allclose(predict_probabilities(run.model, run.data, rows), np.stack(expected), atol=1e-4, rtol=0)


def test_other_test_speakers_do_not_matter(run: Run) -> None:
    name, rows = one_test_speaker(run)
    together, alone = score(run.model, run.data, run.data.split.test), score(run.model, run.data, rows)
    kept = together[together["speaker"] == name]
    assert list(kept["utterance"]) == list(alone["utterance"])
    np.testing.assert_allclose(predictions.probabilities(kept), predictions.probabilities(alone), **ROUNDING)
    # The speaker's own are: with half of them known, all come out otherwise.
    half = predict_probabilities(run.model, run.data, rows, known=rows[::2])
    assert np.abs(half - predictions.probabilities(alone)).max() > 1e-4


def test_labels_do_not_matter(run: Run) -> None:
    other = set_up(run.config)
    other._target = other._target.flip(0)
    other.labelled.manifest["emotion"] = other.labelled.manifest["emotion"].to_numpy()[::-1]
    assert not torch.equal(other._target, run.data._target)
    rows = run.data.split.test
    np.testing.assert_array_equal(
        predict_probabilities(run.model, other, rows), predict_probabilities(run.model, run.data, rows)
    )


def test_batch_does_not_matter(run: Run) -> None:
    rows = run.data.split.test
    expected = predict_probabilities(run.model, run.data, rows)
    for size in (1, 3, 8):
        np.testing.assert_allclose(
            predict_probabilities(run.model, run.data, rows, batch_size=size), expected, **ROUNDING
        )


def test_speaker_in_train_and_dev_is_known_by_each_sides_own_clips(
    two_speakers: Run,
) -> None:
    run, split = two_speakers, two_speakers.data.split
    assert set(speakers_of(run, split.dev)) == set(speakers_of(run, split.train)) != set(speakers_of(run, split.test))
    mean, variance = nobody_in_particular(run)  # of the one speaker's training clips, without the dev clips
    np.testing.assert_allclose(run.model.normalise.mean[:, 0], mean, atol=1e-4)
    np.testing.assert_allclose(run.model.normalise.deviation[:, 0], np.sqrt(variance), atol=1e-4)
    about = json.loads((run.folder / "metrics.json").read_text())["run"]
    assert {ADAPTED, DEV_SHARES_SPEAKERS} <= set(about["stamps"])
    dev_loss_is_that_of_the_scored(run)


def test_dev_speakers_are_normalised_alike_in_training_and_scoring(run: Run) -> None:
    dev_loss_is_that_of_the_scored(run)


def dev_loss_is_that_of_the_scored(run: Run) -> None:
    """What an epoch was chosen by is what scoring the dev clips by themselves gives."""
    epoch = json.loads((run.folder / "metrics.json").read_text())["run"]["best_epoch"]
    logged = pd.read_csv(run.folder / "fold_0" / "metrics.csv").set_index("epoch")["dev_loss"][epoch]
    dev = predictions.read_predictions(run.folder / "dev_predictions.parquet")
    target = [run.model.classes.index(name) for name in dev["target"]]
    of_target = predictions.probabilities(dev)[np.arange(len(dev)), target]
    assert logged == pytest.approx(-np.log(of_target).mean(), abs=1e-5)


# ---- what it says


def test_results_of_adapted_model_are_stamped(run: Run) -> None:
    for file in ("metrics.json", "card.json"):
        found = json.loads((run.folder / file).read_text())
        assert ADAPTED in found.get("run", found)["stamps"], file
    assert ADAPTED in (run.folder / "card.html").read_text()
    _, rows = one_test_speaker(run)
    model = ser.load(run.folder)
    model.adapt(files_of(run, rows))
    assert ADAPTED in model.predict(files_of(run, rows)).attrs["stamps"]


def test_model_without_speaker_statistics_is_not_stamped(tiny_demo: Path, stores: Path) -> None:
    config = config_of(tiny_demo, stores, "normalise=training")
    assert ADAPTED not in build.stamps_of(config, set_up(config))


# ---- how it is used


def test_prediction_without_a_known_speaker_is_refused(run: Run) -> None:
    model = ser.load(run.folder)
    files = files_of(run, run.data.split.test)
    with pytest.raises(ConfigError, match=r"normalises by speaker; got none\. Call model\.adapt\(\[\.\.\.\]\)"):
        model.predict(files)
    with pytest.raises(ConfigError, match="batch_size must be at least 1; got 0"):
        model.adapt(files, batch_size=0)
    with pytest.raises(ConfigError, match=r"Call model\.adapt"):
        model.predict(files)


def test_model_adapted_to_files_predicts_as_scoring_with_known_rows(run: Run) -> None:
    model = ser.load(run.folder)
    _, rows = one_test_speaker(run)
    for known in (rows, rows[:2], rows[:1]):
        expected = predict_probabilities(run.model, run.data, rows, known=known)
        for size in (1, 4):
            model.adapt(files_of(run, known), batch_size=size)
            table = model.predict(files_of(run, rows), batch_size=size, calibrated=False)
            np.testing.assert_allclose(table[list(model.classes)].to_numpy(), expected, **ROUNDING)
    module = model.model
    # Whom it is adapted to changes nothing where a speaker is named by the data.
    np.testing.assert_allclose(
        predict_probabilities(module, run.data, rows), predict_probabilities(run.model, run.data, rows), **ROUNDING
    )
    assert not module.training


def test_adapting_to_arrays_equals_adapting_to_files(run: Run) -> None:
    _, rows = one_test_speaker(run)
    clips = [run.data.gather(torch.tensor([row]), torch.device("cpu")).waveform[0].numpy() for row in rows]
    one, other = ser.load(run.folder), ser.load(run.folder)
    one.adapt(clips, rate=16000)
    other.adapt(files_of(run, rows))
    found = [predictor.model.normalise.adapted for predictor in (one, other)]
    assert found[0] is not None
    assert found[1] is not None
    for x, y in zip(*found, strict=True):
        torch.testing.assert_close(x, y, atol=1e-3, rtol=0)
    with pytest.raises(ConfigError, match="sampling rate"):
        other.adapt(clips)


def test_model_that_does_not_normalise_by_speaker_cannot_be_adapted(run: Run, tiny_demo: Path, stores: Path) -> None:
    config = config_of(tiny_demo, stores, "normalise=training")
    model = build.build_model(config, run.data)
    with pytest.raises(ConfigError, match="normalise must be speaker or corpus to adapt a model"):
        Predictor(model).adapt(files_of(run, run.data.split.test))


# ---- a run of it


def test_rescoring_agrees(run: Run, stores: Path) -> None:
    recompute(run.folder, "corpora", str(stores), rescore=True)


def test_resumed_run_equals_uninterrupted_run(run: Run, tmp_path: Path) -> None:
    train_until_the_third_epoch(into(run.config, tmp_path / "resumed"))
    resumed = experiment.train({**into(run.config, tmp_path / "resumed"), "ckpt": "last"})
    for file in ("predictions.parquet", "dev_predictions.parquet"):
        one, two = (predictions.read_predictions(folder / file) for folder in (run.folder, resumed))
        pd.testing.assert_frame_equal(one, two, check_exact=True)
    one, two = (pd.read_csv(folder / "fold_0" / "metrics.csv") for folder in (run.folder, resumed))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
