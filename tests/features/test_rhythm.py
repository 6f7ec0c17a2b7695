"""Rhythm of syllables that are made to measure, of sentences whose syllables are known, and librosa's onset strength."""

import os
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from ser.audio.decode import read_audio, resample
from ser.features.rhythm import Rhythm
from tests.features.clips import CLIPS, RATE, clip


def rhythm(samples: np.ndarray, feature: Rhythm | None = None) -> dict[str, np.ndarray]:
    feature = (feature or Rhythm()).double()
    features, _ = feature(torch.from_numpy(samples.astype(np.float64))[None], torch.tensor([len(samples)]))
    return dict(zip(feature.names, features[0].numpy(), strict=True))


def syllables(count: int, rate: float, pause: float) -> np.ndarray:
    """Return a voice of 150 Hz that swells ``count`` times, ``rate`` times a second, and is silent for ``pause`` seconds."""
    time = np.arange(int(count / rate * RATE)) / RATE
    voice = sum(np.cos(2 * np.pi * 150 * n * time + n) / n for n in range(1, 20))
    swelling = 0.05 * voice * (0.2 + np.sin(np.pi * rate * time) ** 2)
    return np.concatenate([swelling, np.zeros(int(pause * RATE))])


@pytest.mark.parametrize("rate", [2.5, 4.0, 6.0])
def test_syllables_pauses_and_rates_are_counted(rate: float) -> None:
    count, pause = 9, 0.5
    found = rhythm(syllables(count, rate, pause))
    assert found["nucleus"].sum() == count
    middles = np.flatnonzero(found["nucleus"]) * 0.016 + 0.032
    np.testing.assert_allclose(middles, (np.arange(count) + 0.5) / rate, atol=0.02)  # a frame
    seconds = len(found["pause"]) * 0.016
    assert found["pause"].sum() * 0.016 == pytest.approx(pause, abs=0.1)  # a window at each end
    np.testing.assert_allclose(found["speaking_rate"], count / seconds)
    np.testing.assert_allclose(found["articulation_rate"], count / (seconds - found["pause"].sum() * 0.016))


def test_noise_has_no_syllables() -> None:
    found = rhythm(0.1 * np.random.default_rng(0).standard_normal(RATE))
    assert not found["nucleus"].any()
    assert not found["speaking_rate"].any()


@pytest.mark.slow  # as in test_parity.py
@pytest.mark.parametrize("name", CLIPS)
def test_onset_strength_is_that_of_librosa(name: str) -> None:
    samples, feature = clip(name), Rhythm(n_mels=40)
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64), sr=RATE, n_fft=1024, hop_length=256, center=False, n_mels=40, fmin=50, htk=True,
        norm=None,
    )  # fmt: skip
    # Ours adds the floor 1e-10 to the power, where librosa puts a maximum of 80 dB below the clip's loudest.
    theirs = librosa.onset.onset_strength(S=10 * np.log10(power + 1e-10), sr=RATE, center=False)
    np.testing.assert_allclose(rhythm(samples, feature)["onset"], theirs, atol=0.02)  # decibels, of float32 filters


@pytest.mark.corpora
def test_syllables_of_known_sentences_are_found() -> None:
    """Both sentences of RAVDESS have seven syllables: the mean over clips is within a fifth."""
    root = Path(os.environ.get("SER_CORPORA") or "missing")
    paths = sorted(root.glob("ravdess/Actor_0[1-4]/03-01-0[1-4]-01-*-01-*"))
    if not paths:
        pytest.skip("no real recordings: SER_CORPORA names no folder with RAVDESS")
    counts = [rhythm(resample(*read_audio(path), RATE))["nucleus"].sum() for path in paths]
    assert np.mean(counts) == pytest.approx(7, rel=0.2)
