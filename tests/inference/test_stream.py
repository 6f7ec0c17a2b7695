"""`Stream`: utterances are found as they are spoken, and their numbers are those of `Predictor.predict`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.audio.decode import read_audio
from ser.errors import AudioError, ConfigError
from ser.inference.predictor import Predictor
from ser.inference.stream import AFTER, BEFORE, END, FRAME_S, LONG_S, MEASUREMENT, ONSET, START, Event
from tests.inference.conftest import speech
from tests.untrained import untrained

RATE = 16000


@pytest.fixture(scope="module")
def model() -> Predictor:
    """A small model, not trained."""
    return Predictor(untrained())


def quiet(seconds: float, rate: int = RATE, level: float = 1e-4) -> np.ndarray:
    """Faint white noise: ``(sample,)`` float32."""
    return (level * np.random.default_rng(1).standard_normal(round(seconds * rate))).astype(np.float32)


def talk(rate: int = RATE) -> np.ndarray:
    """Two utterances, of 1 s and 2 s, with 1 s of quiet around each."""
    parts = [quiet(1, rate), speech(1.0, rate), quiet(1, rate), speech(2.0, rate, seed=1), quiet(1, rate)]
    return np.concatenate(parts)


def heard(
    model: Predictor, samples: np.ndarray, cuts: Sequence[int] = (), rate: int = RATE, **choices: Any
) -> list[Event]:
    stream = model.stream(rate, **choices)
    events = [event for part in np.split(samples, sorted(cuts)) for event in stream.feed(part)]
    return [*events, *stream.close()]


def test_utterances_begin_and_end_where_someone_speaks(model: Predictor) -> None:
    events = heard(model, talk(), hop=30)
    assert [event.kind for event in events] == [START, END, START, END]
    edges = [(event.start, event.end) for event in events if event.kind == END]
    margin = FRAME_S * max(BEFORE, AFTER) + 2 * FRAME_S
    for (start, end), (begin, stop) in zip(edges, [(1, 2), (3, 5)], strict=True):
        assert begin - margin <= start <= begin + FRAME_S
        assert stop - 0.1 <= end <= stop + margin  # its envelope ends softly
    begun = [event.end - begin for event, begin in zip(events[::2], (1, 3), strict=True)]
    assert max(begun) <= (ONSET + 1) * FRAME_S  # it is told at once


@pytest.mark.parametrize("rate", [16000, 8000, 11025, 48000])
def test_numbers_are_those_of_the_span(model: Predictor, rate: int) -> None:
    samples = talk(rate)
    events = heard(model, samples, rate=rate, window=0.7, hop=0.3)
    measured = [event for event in events if event.kind != START]
    assert [event.kind for event in measured].count(END) == 2
    assert len(measured) >= 10
    for event in measured:
        first, last = round(event.start * rate), round(event.end * rate)
        row = model.predict(samples[first:last], rate).drop(columns="audio").iloc[0].to_dict()
        assert event.answer == row
        if event.kind == MEASUREMENT:
            assert last - first <= round(0.7 / FRAME_S) * round(FRAME_S * rate)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, len(talk())), max_size=12))
def test_chunks_change_nothing(model: Predictor, cuts: list[int]) -> None:
    expected = heard(model, talk(), hop=1.0)
    assert len(expected) > 4
    assert heard(model, talk(), cuts, hop=1.0) == expected


def test_integers_and_floats_are_the_same_samples(model: Predictor) -> None:
    samples = np.rint(32767 * talk()).astype(np.int16)
    assert heard(model, samples) == heard(model, samples.astype(np.float32) / 32768)


def test_long_speech_is_split_and_memory_is_bounded(model: Predictor) -> None:
    samples = np.concatenate([speech(70.0), quiet(1)])
    stream = model.stream(RATE, hop=30)
    events, most = [], 0
    for part in np.array_split(samples, 700):
        events += stream.feed(part)
        most = max(most, sum(map(len, stream._frames)) + len(stream._rest))
    events += stream.close()
    ends = [event for event in events if event.kind == END]
    assert len(ends) == 3
    assert all(event.answer is not None and "windows" not in event.answer["flags"] for event in ends)
    assert max(event.end - event.start for event in ends) <= LONG_S
    assert sum(event.end - event.start for event in ends) >= 69
    assert most <= LONG_S * RATE


def test_background_is_no_speech_for_long(model: Predictor) -> None:
    room = quiet(20, level=1e-2)  # 40 dB above what was before, and steady
    events = heard(model, np.concatenate([quiet(2), room, speech(1.0) + room[:RATE], room]), hop=30)
    ends = [(event.start, event.end) for event in events if event.kind == END]
    assert len(ends) == 2
    assert ends[0][1] < 2 + 31 / 3 + 1  # 9 dB above the background is not loud, which rises by 3 dB in a second
    assert 21.5 <= ends[1][0] <= 22.5
    assert ends[1][1] <= 23.5


@pytest.mark.parametrize("samples", [np.zeros(RATE), quiet(3), np.full(RATE, 0.5), np.zeros(0)])
def test_silence_is_no_speech(model: Predictor, samples: np.ndarray) -> None:
    assert heard(model, samples) == []


def test_an_utterance_ends_with_the_stream(model: Predictor) -> None:
    samples = np.concatenate([quiet(0.5), speech(1.003)])
    *_, last = heard(model, samples)
    assert last.kind == END
    assert last.end == pytest.approx(len(samples) / RATE, abs=0.15)
    assert (
        last.answer
        == model.predict(samples[round(last.start * RATE) : round(last.end * RATE)], RATE)
        .drop(columns="audio")
        .iloc[0]
        .to_dict()
    )


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros((10, 2)), "one channel"),
        (np.array(["a"]), "numbers of one channel"),
        (np.array([np.nan]), "NaN"),
        (np.array([3000.0]), "integer scale"),
    ],
)
def test_what_is_no_sound_is_refused(model: Predictor, samples: np.ndarray, words: str) -> None:
    with pytest.raises(AudioError, match=words):
        model.stream(RATE).feed(samples)


def test_impossible_settings_are_refused(model: Predictor) -> None:
    for choices, words in (
        ({"rate": 16}, "rate must be 1000"),
        ({"window": 31}, "window must be"),
        ({"hop": 0}, "hop must"),
        ({"detector": "ear"}, "detector must be energy or speech; got 'ear'"),
    ):
        with pytest.raises(ConfigError, match=words):
            model.stream(**{"rate": RATE, **choices})
    stream = model.stream(RATE)
    stream.close()
    with pytest.raises(ConfigError, match="must be open"):
        stream.feed(np.zeros(1))


def test_silero_finds_speech_in_loud_noise(model: Predictor, clips: list[Path]) -> None:
    pytest.importorskip("silero_vad")
    clip, rate = read_audio(clips[0])
    noise = 0.05 * speech(2.0, rate, seed=3)  # 20 dB above the background: for the energy it is speech
    samples = np.concatenate([quiet(1, rate), noise, quiet(1, rate), clip, quiet(1, rate)])
    assert [event.kind for event in heard(model, samples, rate=rate, hop=30)].count(END) == 2
    events = heard(model, samples, rate=rate, hop=30, detector="speech")
    assert [event.kind for event in events] == [START, END]
    begin, end = 4, 4 + len(clip) / rate
    assert begin - 0.3 <= events[1].start <= begin + 0.4
    assert end - 0.6 <= events[1].end <= end + 0.3
    cuts = list(range(777, len(samples), 777))
    assert heard(model, samples, cuts, rate=rate, hop=30, detector="speech") == events


@pytest.mark.corpora
def test_real_clips_are_found(model: Predictor) -> None:
    root = Path(os.environ.get("SER_CORPORA") or "missing", "ravdess")
    files = sorted(file for file in root.rglob("*") if file.suffix in (".wav", ".flac"))
    files = files[:: max(1, len(files) // 24)]
    if not files:
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    found = []
    for file in files:
        samples, rate = read_audio(file)
        events = heard(model, samples, rate=rate, hop=30)
        spoken = sum(event.end - event.start for event in events if event.kind == END)
        found.append((len([event for event in events if event.kind == END]), spoken))
    assert all(spoken >= 1.0 for _, spoken in found), found  # each sentence takes 1.2 s or more
    assert sum(number == 1 for number, _ in found) >= 0.8 * len(files), found
