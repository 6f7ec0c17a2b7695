"""Log-mel against librosa, and what padding, silence and half precision may not do to it."""

import math
import os
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from ser.audio.decode import read_audio, resample
from ser.corpora.demo import Demo
from ser.errors import ConfigError
from ser.features.logmel import LogMel
from tests.numerics import EXACT, rounding

RATE = 16000


def by_librosa(samples: np.ndarray, made: LogMel, low: float, high: float, floor: float, window: int) -> np.ndarray:
    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64), sr=RATE, n_fft=made.fft, hop_length=made.hop, win_length=window, window="hann",
        center=False, power=2.0, n_mels=made.n_features, fmin=low, fmax=high, htk=True, norm=None,
    )  # fmt: skip
    return np.log(power + floor)


def recordings() -> dict[str, np.ndarray]:
    clips = {"noise": np.random.default_rng(0).standard_normal(20001).astype(np.float32) * 0.1}
    samples, rate = read_audio(next(iter(Demo().utterances())).path)
    clips["demo"] = resample(samples, rate, RATE)
    root = Path(os.environ.get("SER_CORPORA") or "missing")
    if real := sorted(root.glob("ravdess/Actor_01/03-01-05-01-01-01-01.*")):
        samples, rate = read_audio(real[0])
        clips["real"] = resample(samples, rate, RATE)
    return clips


@pytest.mark.slow  # as in test_parity.py
@pytest.mark.parametrize("clip", ["noise", "demo", pytest.param("real", marks=pytest.mark.corpora)])
@pytest.mark.parametrize(
    ("bands", "window_ms", "hop_ms", "low", "high"),
    [(64, 25.0, 10.0, 20.0, 8000.0), (80, 64.0, 16.0, 50.0, 8000.0), (40, 32.0, 8.0, 100.0, 7000.0)],
)
def test_logmel_matches_librosa(
    clip: str, bands: int, window_ms: float, hop_ms: float, low: float, high: float
) -> None:
    if clip not in (clips := recordings()):
        pytest.skip("no real recordings: SER_CORPORA names no folder with RAVDESS")
    samples = clips[clip]
    made = LogMel(RATE, bands, window_ms, hop_ms, low, high, floor=1e-6)
    ours, frames = made(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    theirs = by_librosa(samples, made, low, high, 1e-6, round(RATE * window_ms / 1000))
    assert int(frames) == theirs.shape[1]
    np.testing.assert_allclose(ours[0].numpy(), theirs, atol=2e-3, rtol=0)


@pytest.mark.parametrize("clip", ["noise", "demo", pytest.param("real", marks=pytest.mark.corpora)])
def test_logmel_is_that_of_torchaudio_within_rounding(clip: str) -> None:
    """Squares of both parts in place of the square of their magnitude: two roundings of 2**-24 fewer, of the power."""
    if clip not in (clips := recordings()):
        pytest.skip("no real recordings: SER_CORPORA names no folder with RAVDESS")
    made, samples = LogMel(RATE, 80, 64.0, 16.0, 50.0), torch.from_numpy(clips[clip])
    ours, _ = made(samples[None], torch.tensor([len(samples)]))
    theirs = torch.log(made.mel(samples) + made.floor)
    # A sum of positive powers keeps their relative rounding: of a root, its square, and another order of the sum.
    torch.testing.assert_close(ours[0], theirs, rtol=0, atol=rounding(1.0, 16) + rounding(math.log(1e6), 1))


@pytest.mark.parametrize("window_ms", [25.0, 32.0, 64.0])
def test_frames_lie_within_the_clip(window_ms: float) -> None:
    made = LogMel(window_ms=window_ms, n_mels=40)
    for length in (1, made.fft - 1, made.fft, made.fft + made.hop - 1, made.fft + made.hop, 16000):
        features, frames = made(torch.zeros(1, length), torch.tensor([length]))
        starts = range(0, max(length - made.fft, 0) + 1, made.hop)
        assert int(frames) == features.shape[-1] == len(starts)


def test_padding_does_not_change_valid_frames_and_stays_zero() -> None:
    torch.manual_seed(0)
    made = LogMel().double()
    lengths = torch.tensor([16000, 9001, 3, 513])
    batch = torch.zeros(4, 16000, dtype=torch.float64)
    for row, length in zip(batch, lengths.tolist(), strict=True):
        row[:length] = 0.1 * torch.randn(length, dtype=torch.float64)
    together, frames = made(batch, lengths)
    for i, length in enumerate(lengths.tolist()):
        alone, count = made(batch[i : i + 1, :length], lengths[i : i + 1])
        assert int(count) == int(frames[i])
        torch.testing.assert_close(together[i, :, : int(count)], alone[0], **EXACT)
        assert not together[i, :, int(count) :].any()


def test_every_band_has_a_name() -> None:
    assert LogMel(n_mels=3, window_ms=64.0).names == ("mel_0", "mel_1", "mel_2")


def test_digital_silence_gives_the_floor() -> None:
    features, _ = LogMel(floor=1e-5)(torch.zeros(1, 4000), torch.tensor([4000]))
    torch.testing.assert_close(features, torch.full_like(features, math.log(1e-5)))


def test_clip_shorter_than_a_frame_is_padded_with_silence() -> None:
    made = LogMel()
    short = 0.1 * torch.randn(1, 100)
    filled = torch.nn.functional.pad(short, (0, made.fft - 100))
    one, frames = made(short, torch.tensor([100]))
    other, _ = made(filled, torch.tensor([made.fft]))
    assert int(frames) == 1
    torch.testing.assert_close(one, other, atol=0, rtol=0)


def test_empty_bands_are_an_error_that_names_the_settings() -> None:
    with pytest.raises(
        ConfigError, match=r"n_mels must leave no band empty; got 200, which leaves \d+ bands .*window_ms"
    ):
        LogMel(n_mels=200, window_ms=25.0)


def test_autocast_does_not_change_logmel() -> None:
    made, clip, length = LogMel(), 0.1 * torch.randn(1, 8000), torch.tensor([8000])
    plain, _ = made(clip, length)
    with torch.autocast("cpu", torch.bfloat16):
        under, _ = made(clip, length)
    assert under.dtype == torch.float32
    torch.testing.assert_close(under, plain, atol=0, rtol=0)


def test_tenfold_amplitude_adds_one_offset_to_every_band() -> None:
    made = LogMel(floor=1e-12).double()
    clip, length = 0.05 * torch.randn(1, 8000, dtype=torch.float64), torch.tensor([8000])
    quiet, loud = made(clip, length)[0], made(10 * clip, length)[0]
    torch.testing.assert_close(loud - quiet, torch.full_like(quiet, math.log(100)), atol=1e-3, rtol=0)


@pytest.mark.parametrize("n_mels", [1, 16, 23, 80])
def test_bands_in_groups_have_the_energies_of_the_whole_matrix(n_mels: int) -> None:
    features = LogMel(n_mels=n_mels, window_ms=64)
    power = torch.rand(3, 513, 7)
    expected = features.mel.mel_scale(power)
    torch.testing.assert_close(features.energies(power), expected, rtol=1e-5, atol=1e-6 * float(expected.max()))
