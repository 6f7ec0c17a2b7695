"""``python -m ser.adapt``: the statistics of a voice, not of its mix of classes; held-out clips; and what is refused."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import ser
from ser.audio.decode import read_audio, standardise
from ser.corpora.demo import Demo
from ser.errors import ConfigError
from ser.inference.load import load_model
from ser.inference.predictor import Predictor
from ser.inference.voice import Adaptation, HeldOut, adapt_to_voice
from ser.models.checkpoint import write_adapted
from ser.models.classifier import SpeechClassifier
from ser.report.adapted import UNKNOWN, WORSE, adaptation_in_words
from ser.runs.folder import BEST, checkpoint_of
from ser.training import experiment
from tests import forked
from tests.conftest import Settings
from tests.inference.conftest import probabilities


@pytest.fixture(scope="module")
def by_speaker(small_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that normalises by speaker, to read only."""
    folder = tmp_path_factory.mktemp("voice") / "run"
    chosen = ["normalise=speaker", "augment=[]", "trainer.max_epochs=1"]
    return Path(experiment.train(small_settings(*chosen, f"paths.run={folder}")))


@pytest.fixture
def trained(by_speaker: Path) -> SpeechClassifier:
    return load_model(checkpoint_of(by_speaker))


@pytest.fixture
def me(tmp_path: Path) -> Path:
    """A table of a speaker's clips: two of every class."""
    clips = [u for u in Demo().utterances() if u.speaker.endswith("f05") and u.repetition == 1][:30]
    times: Counter[str] = Counter()
    rows = []
    for clip in clips:
        times[str(clip.emotion)] += 1
        if times[str(clip.emotion)] <= 2:
            shutil.copy(clip.path, tmp_path / clip.path.name)
            rows.append({"path": clip.path.name, "label": clip.emotion})
    return written(tmp_path / "me.csv", rows)


def written(path: Path, rows: list[dict[str, str]]) -> Path:
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def rows_of(table: Path) -> list[dict[str, str]]:
    return pd.read_csv(table).to_dict("records")  # type: ignore[return-value]


def adapted(model: SpeechClassifier) -> tuple[np.ndarray, np.ndarray]:
    own = model.normalise.adapted
    assert own is not None
    return own.mean[:, 0].numpy(), own.deviation[:, 0].numpy()


def frames(model: SpeechClassifier, row: dict[str, str], table: Path) -> np.ndarray:
    """The features of a clip, ``(feature, frame)``."""
    samples = standardise(*read_audio(table.parent / row["path"]), model.audio).astype(np.float32) / 32768
    with torch.no_grad():
        found, _ = model.extract(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    return np.asarray(found[0].double().numpy())


def test_a_folder_gives_what_adapt_gives_and_a_checkpoint_keeps_it(
    by_speaker: Path, trained: SpeechClassifier, me: Path
) -> None:
    clips = me.parent / "clips"
    clips.mkdir()
    for row in rows_of(me):
        shutil.move(me.parent / row["path"], clips / row["path"])
    expected = ser.load(by_speaker)
    expected.adapt(clips)
    found = adapt_to_voice(trained, clips)
    assert (found.clips, found.labels, found.held_out) == (len(list(clips.iterdir())), {}, None)
    write_adapted(checkpoint_of(by_speaker), me.parent / "out" / BEST, trained)
    again = ser.load(me.parent / "out")
    pd.testing.assert_frame_equal(again.predict(clips), expected.predict(clips))
    assert list(adaptation_in_words(found)) == [f"Adapted to {found.clips} clips.", UNKNOWN]


def test_every_class_counts_the_same(trained: SpeechClassifier, me: Path) -> None:
    rows = rows_of(me)
    trained.normalise.relevance = 0
    adapt_to_voice(trained, written(me.parent / "one_each.csv", rows))
    even = adapted(trained)
    label = rows[0]["label"]
    for at in range(20):  # ten times as many of a class
        copy = f"copy{at}{Path(rows[at % 2]['path']).suffix}"
        source = [row for row in rows if row["label"] == label][at % 2]["path"]
        shutil.copy(me.parent / source, me.parent / copy)
        rows.append({"path": copy, "label": label})
    adapt_to_voice(trained, written(me.parent / "skewed.csv", rows))
    for one, other in zip(even, adapted(trained), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_missing_classes_count_as_an_average_voice(trained: SpeechClassifier, me: Path) -> None:
    prior = trained.normalise.mean[:, 0].numpy().copy()
    rows = rows_of(me)
    two = [row for row in rows if row["label"] == rows[0]["label"]]
    adapt_to_voice(trained, written(me.parent / "two.csv", two))
    own = np.concatenate([frames(trained, row, me) for row in two], axis=1).mean(axis=1)
    clips = len(two) / len(trained.classes)
    weight = clips / (clips + trained.normalise.relevance)
    np.testing.assert_allclose(adapted(trained)[0], weight * own + (1 - weight) * prior, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_held_out_clips_are_answered_by_a_model_of_the_others(
    by_speaker: Path, trained: SpeechClassifier, me: Path
) -> None:
    rows = rows_of(me)
    found = adapt_to_voice(trained, me).held_out
    assert found is not None
    target = np.array([row["label"] for row in rows])
    after, before = np.zeros(len(rows), bool), np.zeros(len(rows), bool)
    for at, row in enumerate(rows):
        model = load_model(checkpoint_of(by_speaker))
        adapt_to_voice(model, written(me.parent / "others.csv", rows[:at] + rows[at + 1 :]))
        answers = Predictor(model).predict(me.parent / row["path"])
        after[at] = answers["label"][0] == row["label"]
        model.normalise.adapt(None)
        before[at] = _unadapted(model, row, me) == row["label"]
    assert (found.better, found.worse) == ((after & ~before).sum(), (before & ~after).sum())
    for right, uar in ((before, found.uar_before), (after, found.uar_after)):
        assert uar == pytest.approx(np.mean([right[target == label].mean() for label in set(target)]))


def _unadapted(model: SpeechClassifier, row: dict[str, str], table: Path) -> str:
    found = torch.from_numpy(frames(model, row, table)).float()[None]
    length = torch.tensor([found.shape[-1]])
    with torch.no_grad():
        return model.classes[int(model.classify(model.normalise(found, length), length).argmax())]


def test_what_cannot_be_said_is_said(trained: SpeechClassifier, me: Path) -> None:
    rows = rows_of(me)
    alike = [row for row in rows if row["label"] == rows[0]["label"]]
    found = adapt_to_voice(trained, written(me.parent / "alike.csv", alike))
    assert found == Adaptation(2, {rows[0]["label"]: 2}, None)
    _, caution = adaptation_in_words(found)
    assert caution.startswith(f"Caution: all clips are {rows[0]['label']}. ")
    lines = list(adaptation_in_words(Adaptation(4, {"sad": 2, "angry": 2}, HeldOut(0.75, 0.5, 0, 1))))
    assert lines[0] == "Adapted to 4 clips: 2 sad, 2 angry."
    assert (
        "UAR 75.0 % as it was, 50.0 % adapted to the other clips; 0 of 4 clips become right, 1 become wrong" in lines[1]
    )
    assert lines[2] == WORSE


def test_what_cannot_be_adapted_is_refused(
    trained: SpeechClassifier, model: Predictor, me: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        ConfigError, match=r"^normalise must be speaker or corpus to adapt a model; CNN does not need it"
    ):
        adapt_to_voice(model.model, me)
    with pytest.raises(ConfigError, match=r"^voice must be a folder of recordings, or a table of them; there is no "):
        adapt_to_voice(trained, tmp_path / "nobody")
    odd = [{**row, "label": "bored"} for row in rows_of(me)]
    with pytest.raises(ConfigError, match=r"must be classes of the model, angry, .*; got bored\. Rename"):
        adapt_to_voice(trained, written(me.parent / "odd.csv", odd))


@pytest.mark.slow
def test_the_command_writes_a_model_and_keeps_what_is_there(by_speaker: Path, me: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "80"}
    line = ["ser.adapt", f"model={by_speaker}", "voice=me.csv", "out=adapted"]
    done = forked.run(line, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Adapted to 12 clips: ")
    model = ser.load(tmp_path / "adapted")
    assert probabilities(model.predict(me.parent / rows_of(me)[0]["path"])).shape == (1, len(model.classes))
    before = (tmp_path / "adapted" / BEST).read_bytes()
    again = forked.run(line, tmp_path, environment)
    assert (again.returncode, again.stderr) == (
        2,
        "out must not hold a model; got adapted. Choose another folder, or delete it.\n",
    )
    assert (tmp_path / "adapted" / BEST).read_bytes() == before
