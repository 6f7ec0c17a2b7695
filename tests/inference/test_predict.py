"""`Predictor.predict`: whatever a person has at hand goes in, and the same clip always gives the same numbers."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch import nn

from ser.audio.decode import resample
from ser.errors import AudioError, ConfigError, SerError
from ser.inference.predictor import Predictor
from ser.inference.score import score
from tests.conftest import Settings
from tests.inference.conftest import PLAIN, fitted, probabilities, speech


def same(one: pd.DataFrame, other: pd.DataFrame, atol: float = 1e-6) -> None:
    np.testing.assert_allclose(probabilities(one), probabilities(other), atol=atol, rtol=0)


def test_order_is_kept_and_batch_size_does_not_matter(model: Predictor, clips: list[Path]) -> None:
    tables = [model.predict(clips, batch_size=size) for size in (1, 2, 5, 100)]
    alone = pd.concat([model.predict(clip) for clip in clips], ignore_index=True)
    for table in tables:
        assert list(table["audio"]) == [str(clip) for clip in clips]
        assert list(table.columns) == ["audio", "label", *model.classes, "flags"]
        np.testing.assert_allclose(probabilities(table).sum(axis=1), 1, atol=1e-12)
        assert list(table["label"]) == [model.classes[i] for i in probabilities(table).argmax(axis=1)]
        same(table, alone)
    assert len(np.unique(probabilities(alone).round(9), axis=0)) == len(clips)
    same(model.predict(list(map(str, reversed(clips)))), alone.iloc[::-1])
    same(model.predict(clip for clip in clips), alone)


def test_same_sound_in_every_format_gives_the_same_answer(model: Predictor, tmp_path: Path) -> None:
    integers = np.clip(speech(1.3) * 32768, -32768, 32767).astype(np.int16)
    floats = integers / np.float32(32768)
    soundfile.write(tmp_path / "clip.wav", integers, 16000, subtype="PCM_16")
    soundfile.write(tmp_path / "clip.flac", integers, 16000)
    soundfile.write(tmp_path / "stereo.wav", np.stack([integers, integers], axis=1), 16000)
    expected = model.predict(tmp_path / "clip.wav")
    for file in ("clip.flac", "stereo.wav"):
        same(model.predict(str(tmp_path / file)), expected, atol=0)
    forms = [
        floats, floats.astype(np.float64), integers, integers.astype(np.int32) * 65536, torch.from_numpy(floats),
        torch.from_numpy(integers), torch.from_numpy(floats).requires_grad_(), np.stack([floats, floats], axis=1),
        floats[:, None], np.asfortranarray(np.stack([floats, floats], axis=1)), np.repeat(floats, 2)[::2],
    ]  # fmt: skip
    for form in forms:
        same(model.predict(form, rate=16000), expected, atol=0)
    same(model.predict(forms, rate=16000), pd.concat([expected] * len(forms)))
    assert list(model.predict(forms[:2], rate=16000)["audio"]) == ["0", "1"]


def test_coarser_samples_give_close_answers(model: Predictor) -> None:
    floats = 4 * speech(1.3)
    expected = model.predict(floats, rate=16000)
    bytes_ = np.clip(floats * 128 + 128, 0, 255).astype(np.uint8)
    for form in (torch.from_numpy(floats).bfloat16(), floats.astype(np.float16), bytes_):
        same(model.predict(form, rate=16000), expected, atol=0.02)


def test_channels_are_averaged(model: Predictor) -> None:
    left, right = speech(1.0, seed=1), speech(1.0, seed=2)
    same(
        model.predict(np.stack([left, right], axis=1), rate=16000), model.predict((left + right) / 2, rate=16000), 1e-5
    )


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000, 96000])
def test_recordings_of_any_rate_are_scored(model: Predictor, rate: int) -> None:
    samples = speech(1.0, rate)
    same(model.predict(samples, rate=rate), model.predict(resample(samples, rate, 16000), rate=16000))


@pytest.mark.parametrize("length", [1, 2, 160, 399, 400, 16001, 16000 * 40])
def test_recordings_of_any_length_are_scored(model: Predictor, length: int) -> None:
    table = model.predict(np.full(length, 0.3, np.float32) * np.sin(np.arange(length) + 1), rate=16000)
    assert np.isfinite(probabilities(table)).all()


def test_scoring_files_equals_scoring_the_store(settings: Settings, tmp_path: Path) -> None:
    for i, override in enumerate(["audio.trim_db=30", "audio.trim_db=null"]):
        model, data = fitted(settings(*PLAIN, override), tmp_path / str(i))
        stored = score(model.train(), data, data.split.test)
        assert model.training, "the mode is what it was"
        table = Predictor(model).predict([Path(p) for p in data.labelled.manifest["path"].iloc[data.split.test]])
        assert model.training
        assert list(stored["utterance"]) == list(data.labelled.manifest["id"].iloc[data.split.test])
        of_store = stored[[f"p_{name}" for name in model.classes]].to_numpy()
        np.testing.assert_allclose(probabilities(table), of_store, atol=1e-6, rtol=0)


def test_surrounding_silence_is_trimmed_as_in_training(settings: Settings, tmp_path: Path) -> None:
    clip = speech(1.0)
    around = np.concatenate([np.zeros(16000, np.float32), clip, np.zeros(8000, np.float32)])
    trimming, _ = fitted(settings(*PLAIN, "audio.trim_db=30"), tmp_path / "a")
    keeping, _ = fitted(settings(*PLAIN, "audio.trim_db=null"), tmp_path / "b")
    more = np.concatenate([np.zeros(32000, np.float32), clip, np.zeros(40000, np.float32)])
    trims, keeps = Predictor(trimming), Predictor(keeping)
    same(trims.predict(around, rate=16000), trims.predict(more, rate=16000))
    one, other = (probabilities(keeps.predict(x, rate=16000)) for x in (around, more))
    assert np.abs(one - other).max() > 1e-5


def test_no_recordings_give_an_empty_table(model: Predictor) -> None:
    table = model.predict([])
    assert len(table) == 0
    assert list(table.columns) == ["audio", "label", *model.classes, "flags"]


def test_unusable_recording_is_named(model: Predictor, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    text = tmp_path / "notes.wav"
    text.write_text("not a recording")
    empty = tmp_path / "empty.wav"
    empty.touch()
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000, np.float32), 16000)
    nan = speech(0.5)
    nan[7] = np.nan
    good = tmp_path / "good.wav"
    soundfile.write(good, speech(0.5), 16000)
    for bad, words in [
        (tmp_path / "missing.wav", "missing.wav: unreadable: No such file"),
        (tmp_path / "none", "none: unreadable"),
        (tmp_path / "folder", "folder: no recordings"),
        (str(tmp_path / "*.ogg"), r"\*\.ogg: no recordings"),
        (text, "notes.wav: unreadable"),
        (empty, "empty.wav: empty"),
        (tmp_path / "silent.wav", "silent.wav: silent"),
        (nan, "array 1: NaN: 1 sample not finite"),
        (np.zeros(16000, np.float32), "1: silent"),
        (np.zeros(0, np.float32), "array 1: empty"),
        (np.zeros((2, 2, 2), np.float32), r"array 1: .* \(2, 2, 2\)"),
        (torch.rand(2, 16000), r"array 1: more channels than samples.*transpose"),
    ]:
        with pytest.raises(AudioError, match=words):
            model.predict([good, bad], rate=16000)


def test_clip_that_resampling_empties_is_too_short(model: Predictor) -> None:
    try:
        table = model.predict(np.array([0.5], np.float32), rate=192000)
    except AudioError as error:
        assert "too short" in str(error)  # noqa: PT017  # either is right, and it is soxr's to say
    else:
        assert np.isfinite(probabilities(table)).all()


@pytest.mark.parametrize("rate", [None, 0, -16000, 16, 44.1, float("nan"), float("inf")])
def test_impossible_rate_is_refused(model: Predictor, rate: int | None) -> None:
    with pytest.raises(ConfigError, match="rate"):
        model.predict(speech(0.5), rate=rate)


@pytest.mark.parametrize("size", [0, -1])
def test_empty_batch_size_is_refused(model: Predictor, size: int) -> None:
    with pytest.raises(ConfigError, match=f"batch_size must be at least 1; got {size}"):
        model.predict(speech(0.5), rate=16000, batch_size=size)


@pytest.mark.parametrize("training", [True, False])
def test_mode_is_restored_after_an_error(model: Predictor, training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = model.predict(speech(1.0), rate=16000)
    module = model.model.train(training)
    same(model.predict(speech(1.0), rate=16000), expected, atol=0)
    assert module.training is training
    with pytest.raises(SerError):
        model.predict("missing.wav")
    monkeypatch.setattr(type(model.model), "classify", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        model.predict(speech(1.0), rate=16000)
    assert module.training is training


@pytest.mark.corpora
def test_real_recordings_are_scored(model: Predictor) -> None:
    root = Path(os.environ.get("SER_CORPORA") or "missing")
    real = sorted(f for f in root.glob("ravdess/Actor_*/*") if f.suffix in (".wav", ".flac"))[::150][:8]
    if not real:
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    table = model.predict(real)
    np.testing.assert_allclose(probabilities(table).sum(axis=1), 1, atol=1e-12)
    same(table, pd.concat([model.predict(file) for file in real]))


def test_a_single_short_clip_is_scored_on_one_thread(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[int] = []
    classify = type(model.model).classify

    def recorded(self: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        used.append(torch.get_num_threads())
        return classify(self, *inputs)

    monkeypatch.setattr(type(model.model), "classify", recorded)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        one = model.predict(speech(1.0), rate=16000)
        two = model.predict([speech(1.0), speech(2.0)], rate=16000)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert used == [1, 2]
    np.testing.assert_allclose(probabilities(one)[0], probabilities(two)[0], atol=1e-5)
