"""A model that normalises by corpus takes each corpus's own clips of each side, never a label, and says so."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from omegaconf import OmegaConf

import ser
from ser.audio.decode import read_audio
from ser.corpora.demo import Demo
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.inference.score import predict_probabilities
from ser.models.classifier import SpeechClassifier
from ser.protocols.plan import planned
from ser.protocols.stamps import ADAPTED, CORPUS_ADAPTED
from ser.rescoring.recompute import recompute
from ser.runtime.composition import composed
from ser.training import build, experiment

ROUNDING: dict[str, Any] = {"atol": 1e-5, "rtol": 0}
"""Of features by the batch that they are computed in, in probabilities."""
LOUDER = 2.0
"""How much louder the clips of the corpus ``far`` are."""


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, quick_pictures: None) -> list[str]:
    """Two corpora: speakers of the demo as they are, and others, louder."""
    home = tmp_path_factory.mktemp("tables")
    rows: dict[str, list[dict[str, str]]] = {"near": [], "far": []}
    for utterance in Demo().utterances():
        if not utterance.sentence.endswith("1") or utterance.repetition != 1:
            continue
        path, name = utterance.path, "near" if utterance.speaker[-2:] in ("01", "02", "03") else "far"
        if name == "far":
            samples, rate = read_audio(path)
            path = home / f"{utterance.path.stem}.wav"
            soundfile.write(path, np.clip(LOUDER * samples, -1, 1), rate)
        rows[name].append({"path": str(path), "label": utterance.emotion, "speaker": utterance.speaker})
    for name, listed in rows.items():
        pd.DataFrame(listed).to_csv(home / f"{name}.csv", index=False)
    return [str(home / f"{name}.csv") for name in rows]


def config_of(tables: list[str], stores: Path, *overrides: str) -> dict[str, Any]:
    small = [
        "data=table",
        f"data.file={tables[0] if len(tables) == 1 else '[' + ','.join(tables) + ']'}",
        f"paths.stores={stores}",
        "batch_size=8",
        "logger=csv",
    ]
    small += ["trainer.max_epochs=1", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu", "model=cnn"]
    config = OmegaConf.to_container(composed("train", [*small, "normalise=corpus", *overrides]), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def fitted(config: dict[str, Any]) -> tuple[SpeechClassifier, SpeechData]:
    data = build.build_data(config, planned(config), 0)
    model = build.build_model(config, data)
    model.fit_statistics(data)
    return model, data


def frames_of(model: SpeechClassifier, data: SpeechData, rows: np.ndarray, corpus: str) -> list[np.ndarray]:
    """Features of each clip of a corpus, ``(feature, frame)`` in double precision, each computed alone."""
    kept = rows[(data.labelled.manifest["corpus"].iloc[rows] == corpus).to_numpy()]
    frames = []
    for row in kept:
        batch = data.gather(torch.tensor([row]), torch.device("cpu"))
        with torch.no_grad():
            frames.append(model.features(batch.waveform, batch.lengths)[0][0].double().numpy())
    return frames


@pytest.fixture(scope="module")
def both(tables: list[str], stores: Path) -> tuple[SpeechClassifier, SpeechData]:
    """Two corpora on every side."""
    return fitted(config_of(tables, stores, "protocol=speaker_cv", "protocol.folds=3"))


@pytest.mark.parametrize("side", ["train", "dev", "test"])
def test_statistics_are_numpys_of_all_clips_of_the_corpus_on_that_side(
    both: tuple[SpeechClassifier, SpeechData], side: str
) -> None:
    model, data = both
    rows = data.split.sides()[side]
    stored = {"train": model._own["train"], "dev": model.dev_statistics()}
    found = stored.get(side) or model.own_statistics(data, rows)
    assert found is not None
    assert list(data.groups["corpus"]) == ["far", "near"]
    for i, corpus in enumerate(data.groups["corpus"]):
        joined = np.concatenate(frames_of(model, data, rows, corpus), axis=1)
        np.testing.assert_allclose(found.mean[i, :, 0], joined.mean(axis=1), atol=1e-4)
        np.testing.assert_allclose(found.deviation[i, :, 0], joined.std(axis=1), atol=1e-4)


def test_unknown_corpus_has_the_mean_over_training_corpora(both: tuple[SpeechClassifier, SpeechData]) -> None:
    model, data = both
    corpora = [np.concatenate(frames_of(model, data, data.split.train, name), axis=1) for name in ("near", "far")]
    np.testing.assert_allclose(
        model.normalise.mean[:, 0], np.mean([x.mean(axis=1) for x in corpora], axis=0), atol=1e-4
    )
    spread = np.mean([x.var(axis=1) for x in corpora], axis=0)
    np.testing.assert_allclose(model.normalise.deviation[:, 0], np.sqrt(spread), atol=1e-4)


def test_each_test_clip_is_normalised_by_its_own_corpus(both: tuple[SpeechClassifier, SpeechData]) -> None:
    """By hand: each corpus's frames, standardised by numpy, then the rest of the model clip by clip."""
    model, data = both
    rows = data.split.test
    expected = np.empty((len(rows), len(model.classes)))
    corpus_of = data.labelled.manifest["corpus"].iloc[rows].to_numpy()
    for corpus in ("near", "far"):
        clips = frames_of(model, data, rows, corpus)
        joined = np.concatenate(clips, axis=1)
        for at, clip in zip(np.flatnonzero(corpus_of == corpus), clips, strict=True):
            normal = (clip - joined.mean(axis=1)[:, None]) / (joined.std(axis=1)[:, None] + model.normalise.epsilon)
            with model.evaluating():
                logits = model.classify(torch.from_numpy(normal).float()[None], torch.tensor([clip.shape[1]]))
            expected[at] = logits[0].double().softmax(dim=0).numpy()
    for size in (1, 5, None):  # whatever the padding
        found = predict_probabilities(model, data, rows, batch_size=size)
        np.testing.assert_allclose(found, expected, atol=1e-4, rtol=0)


def test_labels_do_not_matter(both: tuple[SpeechClassifier, SpeechData], tables: list[str], stores: Path) -> None:
    model, data = both
    config = config_of(tables, stores, "protocol=speaker_cv", "protocol.folds=3")
    other = build.build_data(config, planned(config), 0)
    other._target = other._target.flip(0)
    assert not torch.equal(other._target, data._target)
    again = build.build_model(config, other)
    again.fit_statistics(other)
    for one, two in zip(
        (*model._own["train"], *model._own["dev"]), (*again._own["train"], *again._own["dev"]), strict=True
    ):
        assert torch.equal(one, two)
    rows = data.split.test
    np.testing.assert_array_equal(predict_probabilities(model, other, rows), predict_probabilities(model, data, rows))


def test_a_single_corpus_trains_on_its_training_clips_and_tests_on_its_test_clips(
    tables: list[str], stores: Path
) -> None:
    model, data = fitted(config_of(tables[:1], stores, "data.name=near", "protocol.folds=3"))
    train, test = (
        np.concatenate(frames_of(model, data, rows, "near"), axis=1) for rows in (data.split.train, data.split.test)
    )
    np.testing.assert_allclose(model.normalise.mean[:, 0], train.mean(axis=1), atol=1e-4)
    found = model.own_statistics(data, data.split.test)
    assert found is not None
    np.testing.assert_allclose(found.mean[0, :, 0], test.mean(axis=1), atol=1e-4)
    assert np.abs(test.mean(axis=1) - train.mean(axis=1)).max() > 1e-2


@pytest.fixture(scope="module")
def run(tables: list[str], stores: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on ``near``, tested on ``far``."""
    folder = tmp_path_factory.mktemp("corpus") / "run"
    across = ["protocol=cross_corpus", "protocol.train=[near]", "protocol.test=[far]", f"paths.run={folder}"]
    return experiment.train(config_of(tables, stores, *across))


def test_results_are_stamped_and_follow_from_a_rescoring(run: Path, stores: Path) -> None:
    for file in ("metrics.json", "card.json"):
        found = json.loads((run / file).read_text())
        stamps = found.get("run", found)["stamps"]
        assert CORPUS_ADAPTED in stamps, file
        assert ADAPTED not in stamps, file
    assert CORPUS_ADAPTED in (run / "card.html").read_text()
    recompute(run, "corpora", str(stores), rescore=True)


def test_adapted_to_the_files_of_a_new_corpus_it_predicts_as_it_was_scored(run: Path, tables: list[str]) -> None:
    model = ser.load(run)
    files = pd.read_csv(tables[1])["path"].tolist()
    with pytest.raises(
        ConfigError, match=r"adapted to a corpus, as it normalises by corpus; got none\. Call model\.adapt"
    ):
        model.predict(files)
    model.adapt(files)
    table = model.predict(files, calibrated=False)  # as stored predictions are
    assert CORPUS_ADAPTED in table.attrs["stamps"]
    stored = predictions.read_predictions(run / "predictions.parquet")
    assert len(stored) == len(files)
    by_id = dict(zip(stored["utterance"].map(lambda u: Path(u).stem), predictions.probabilities(stored), strict=True))
    expected = np.stack([by_id[Path(file).stem] for file in files])
    np.testing.assert_allclose(table[list(model.classes)].to_numpy(), expected, **ROUNDING)
