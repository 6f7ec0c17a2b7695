"""Voice quality of pulses whose periods and heights are known, and of harmonics in noise of a known level."""

import numpy as np
import pytest
import torch

from ser.errors import ConfigError
from ser.features.voice import VoiceQuality

RATE = 16000
TIME = np.arange(RATE) / RATE


def measured(samples: np.ndarray) -> dict[str, float]:
    """Return each row's mean over the frames, in double precision."""
    feature = VoiceQuality().double()
    features, _ = feature(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    return dict(zip(feature.names, features[0, :, 2:-2].mean(dim=1).tolist(), strict=True))


def pulses(hertz: float, jitter: float, shimmer: float) -> np.ndarray:
    """Return bells of 0.4 ms whose periods and heights are in turn above and below their mean."""
    # Consecutive ones then differ by this share of the mean, which is what Praat calls jitter and shimmer (local).
    turns = np.where(np.arange(int(hertz)) % 2, 0.5, -0.5)
    marks = 0.01 + np.cumsum((1 + jitter * turns) / hertz)
    heights = 0.3 * (1 + shimmer * turns)
    return np.asarray((heights * np.exp(-0.5 * ((TIME[:, None] - marks) / 0.0004) ** 2)).sum(axis=1))


@pytest.mark.parametrize("hertz", [90.0, 220.0, 350.0])
@pytest.mark.parametrize(("jitter", "shimmer"), [(0.0, 0.0), (0.005, 0.0), (0.01, 0.05), (0.0, 0.1), (0.03, 0.1)])
def test_jitter_and_shimmer_of_pulses_are_those_they_were_made_with(
    hertz: float, jitter: float, shimmer: float
) -> None:
    found = measured(pulses(hertz, jitter, shimmer))
    # The parabola between samples is within 0.02 of a sample: 0.0005 of a period of 45 samples. Peaks fall between samples,
    # whose height is then up to 0.2 % lower.
    assert found["jitter"] == pytest.approx(jitter, abs=5e-4)
    assert found["shimmer"] == pytest.approx(shimmer, abs=3e-3)


@pytest.mark.parametrize("hertz", [110.0, 220.0, 400.0])
@pytest.mark.parametrize("decibels", [5.0, 10.0, 20.0, 30.0])
def test_harmonics_to_noise_ratio_is_the_one_mixed(hertz: float, decibels: float) -> None:
    tone = sum(np.cos(2 * np.pi * hertz * n * TIME + n) / n for n in range(1, int(7000 / hertz)))
    noise = np.random.default_rng(0).standard_normal(len(TIME))
    mixed = tone / np.std(tone) + 10 ** (-decibels / 20) * noise
    # Two seconds of noise vary by 0.1 dB; above 25 dB the interpolation adds noise of its own.
    assert measured(0.1 * mixed)["hnr"] == pytest.approx(decibels, abs=0.7)


def test_silence_and_noise_have_zeros() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE)
    assert measured(np.zeros(RATE)) == measured(noise) == {"jitter": 0, "shimmer": 0, "hnr": 0}


def test_too_short_a_window_is_an_error_that_says_what_to_set() -> None:
    with pytest.raises(
        ConfigError, match=r"low_hz must have 4.5 periods in a window of 40 ms; got 75 Hz. Set at least 114"
    ):
        VoiceQuality(window_ms=40.0)
    assert VoiceQuality(window_ms=40.0, low_hz=114.0).n_features == 3
