"""Pitch of tones and pulses whose pitch is known, and of real speech as swift-f0 hears it."""

import math

import numpy as np
import pytest
import torch

from ser.errors import ConfigError
from ser.features.pitch import Pitch, interpolated
from tests.features.clips import RATE, REAL, clip

TIME = torch.arange(RATE, dtype=torch.float64) / RATE


def contour(samples: torch.Tensor, feature: Pitch) -> tuple[np.ndarray, np.ndarray]:
    """Return Hz and voicing of each frame."""
    features, _ = feature.to(samples.dtype)(samples[None], torch.tensor([len(samples)]))
    return features[0, 0].exp().numpy(), features[0, 1].numpy()


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("hertz", [65.0, 110.0, 230.5, 477.0])
def test_pitch_of_a_harmonic_tone(hertz: float, rate: int) -> None:
    time = torch.arange(rate, dtype=torch.float64) / rate
    tone = sum(torch.cos(2 * torch.pi * hertz * n * time + n) / n for n in range(1, int(3500 / hertz)))
    assert isinstance(tone, torch.Tensor)
    found, voicing = contour(0.1 * tone, Pitch(rate))
    np.testing.assert_allclose(found, hertz, rtol=2e-3)  # the parabola between lags of an eighth of a millisecond
    assert voicing.min() > 0.95


def test_pitch_follows_a_glide() -> None:
    hertz = 120 * 2**TIME  # an octave in a second
    tone = torch.sin(2 * torch.pi * hertz.cumsum(0) / RATE) + 0.5 * torch.sin(4 * torch.pi * hertz.cumsum(0) / RATE)
    feature = Pitch()
    found, _ = contour(0.1 * tone, feature)
    middle = hertz[feature.framing.span // 2 :: feature.framing.hop][: len(found)]
    assert np.abs(1200 * np.log2(found / middle.numpy())).max() < 50  # half a semitone, of 0.77 in a window


def test_noise_and_silence_have_no_voice_and_a_pitch_in_the_middle() -> None:
    noise = 0.1 * torch.randn(RATE, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for samples in (noise, torch.zeros(RATE, dtype=torch.float64)):
        found, voicing = contour(samples, Pitch(low_hz=100.0, high_hz=400.0))
        assert voicing.max() < 0.6
        np.testing.assert_allclose(found, 200.0, rtol=1e-9)


@pytest.mark.corpora
@pytest.mark.parametrize("name", REAL)
def test_pitch_of_speech_is_that_of_swift_f0(name: str) -> None:
    """Of 70 clips of three corpora, 1.3 % of the frames that both call voiced differ by more than a fifth."""
    swift = pytest.importorskip("swift_f0")
    samples, feature = clip(name), Pitch()
    found, voicing = contour(torch.from_numpy(samples), feature)
    theirs = swift.SwiftF0(threads=1).detect(samples, RATE, fmin=60, fmax=600)
    middle = (np.arange(len(found)) * feature.framing.hop + feature.framing.span / 2) / RATE
    nearest = np.abs(theirs.timestamps[:, None] - middle).argmin(axis=0)
    sure = theirs.confidence[nearest] > 0.8
    both = sure & (voicing > feature.voiced)
    assert both.sum() > 20
    assert both.sum() / sure.sum() > 0.8
    cents = np.abs(1200 * np.log2(found[both] / theirs.pitch_hz[nearest][both]))
    assert np.median(cents) < 50  # half a semitone: glides pass through windows of 64 and 32 ms at other times
    assert (cents > 1200 * math.log2(1.2)).mean() < 0.1


def test_interpolation_keeps_what_is_known() -> None:
    known = torch.tensor([[True, False, False, True], [False, True, False, False], [False] * 4])
    found = interpolated(torch.tensor([[0.0, 9.0, 9.0, 3.0]] * 2 + [[9.0] * 4]), known, 5.0)
    torch.testing.assert_close(found, torch.tensor([[0.0, 1.0, 2.0, 3.0], [9.0] * 4, [5.0] * 4]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"window_ms": 25.0}, r"low_hz must have two periods in a window of 25 ms; got 60 Hz. Set at least 81"),
        ({"low_hz": 700.0}, r"low_hz must be above 0 and below features.high_hz, .* got 700 and 600"),
        ({"high_hz": 5000.0}, r"that at most 4000; got 60 and 5000"),
    ],
)
def test_wrong_range_is_an_error_that_says_what_to_set(settings: dict[str, float], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Pitch(**settings)  # type: ignore[arg-type]


def test_least_pitch_of_the_message_is_accepted() -> None:
    assert Pitch(window_ms=25.0, low_hz=81.0).n_features == 2
