"""Speech is found as Silero's own package finds it, in chunks of any size, and no real clip is called `no speech`."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.audio import activity, quality
from ser.audio.activity import FRAME, RATE, SpeechDetector, speech_regions, speech_shares
from ser.audio.decode import read_audio
from ser.corpora.demo import Demo
from ser.errors import ConfigError
from ser.inference import predict
from ser.inference.predictor import Predictor
from tests.inference.conftest import speech as noise
from tests.untrained import untrained

pytest.importorskip("silero_vad")


@pytest.fixture(scope="module")
def silero() -> Iterator[object]:
    """The package, whose import changes the number of threads of PyTorch."""
    import torch

    threads = torch.get_num_threads()
    import silero_vad

    yield silero_vad
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model() -> Predictor:
    """A small model, not trained."""
    return Predictor(untrained())


@pytest.fixture(scope="module")
def talk() -> np.ndarray:
    """A second of faint noise, a clip of the demo, two seconds of noise, and another clip, at 16 kHz."""
    clips = [read_audio(clip.path)[0] for clip in list(Demo().utterances())[:2]]
    assert read_audio(next(iter(Demo().utterances())).path)[1] == RATE
    quiet = 1e-3 * np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    return np.concatenate([quiet[:RATE], clips[0], quiet, clips[1], quiet[:RATE]])


def test_probabilities_are_those_of_the_package(silero: object, talk: np.ndarray) -> None:
    import torch

    whole = talk[: len(talk) // FRAME * FRAME]
    expected = silero.load_silero_vad().audio_forward(torch.from_numpy(whole), RATE)[0].numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(SpeechDetector(RATE).feed(whole, last=True), expected, atol=1e-4)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0.1, 0.3, 0.4, 0.6, 0.9]).flatmap(lambda p: st.integers(1, 9).map(lambda n: [p] * n))))
def test_regions_are_those_of_the_package(silero: object, runs: list[list[float]]) -> None:
    from silero_vad.utils_vad import get_speech_timestamps_from_probs

    probabilities = [p for run in runs for p in run]
    expected = get_speech_timestamps_from_probs(probabilities)
    found = speech_regions(np.array(probabilities), len(probabilities) * FRAME / RATE)
    edges = np.array([[one["start"], one["end"]] for one in expected], dtype=float).reshape(-1, 2) / RATE
    np.testing.assert_allclose(found, edges, atol=0.0021)  # a margin of a frame is 32 ms in place of 30


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 8 * RATE), max_size=12), st.sampled_from([8000, 11025, 16000, 44100]))
def test_chunks_change_nothing(cuts: list[int], rate: int) -> None:
    samples = noise(2.0, rate)
    expected = SpeechDetector(rate).feed(samples, last=True)
    detector = SpeechDetector(rate)
    *parts, last = np.split(samples, sorted(min(cut, len(samples)) for cut in cuts))
    found = np.concatenate([*[detector.feed(part) for part in parts], detector.feed(last, last=True)])
    assert len(found) == -(-2 * RATE // FRAME)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_shares_of_spans_are_those_of_the_regions() -> None:
    regions = speech_regions(np.repeat([0.0, 1.0, 0.0], [50, 100, 100]), 8.0)
    np.testing.assert_allclose(regions, [[49 * FRAME / RATE, 151 * FRAME / RATE]])
    shares = speech_shares(regions, np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 6.0], [7.0, 8.0]]))
    np.testing.assert_allclose(shares, [0, 1, (4.832 - 4) / 2, 0])
    assert speech_shares(np.zeros((0, 2)), np.array([[0.0, 1.0]])).tolist() == [0]


def test_noise_and_tones_are_no_speech_and_the_demo_is(model: Predictor) -> None:
    time = np.arange(2 * RATE) / RATE
    others = [noise(2.0), 0.01 * noise(40.0), 0.3 * np.sin(2 * np.pi * 440 * time)]
    flags = model.predict(others, rate=RATE)["flags"]
    assert ["no speech" in words for words in flags] == [True] * 3
    table = model.predict([clip.path for clip in list(Demo().utterances())[::40]])
    assert not any("no speech" in words for words in table["flags"])
    assert table.attrs["looks_for_speech"] is True
    short = model.predict(noise(0.4), rate=RATE)["flags"][0]
    assert "no speech" not in short, "too short to say so"


def test_without_the_package_nothing_is_flagged(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (activity, quality, predict):
        monkeypatch.setattr(module, "can_detect_speech", lambda: False)
    activity._session.cache_clear()
    table = model.predict(noise(2.0), rate=RATE)
    assert "no speech" not in table["flags"][0]
    assert table.attrs["looks_for_speech"] is False
    with pytest.raises(ConfigError, match=r"^Finding speech needs the packages .* Run pip install 'ser\[vad\]'\.$"):
        model.segments(noise(2.0), rate=RATE, speech=True)


@pytest.mark.corpora
@pytest.mark.parametrize("corpus", ["ravdess", "savee", "tess"])
def test_real_clips_are_speech(corpus: str) -> None:
    root = Path(os.environ.get("SER_CORPORA") or "missing", corpus)
    files = sorted(file for file in root.rglob("*") if file.suffix in (".wav", ".flac"))
    if not (files := files[:: max(1, len(files) // 60)]):
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    best = []
    for file in files:
        samples, rate = read_audio(file)
        best.append(SpeechDetector(rate).feed(samples, last=True).max())
    assert min(best) >= quality.SPEECH_LEAST
