"""Each feature against librosa or torchaudio, on the same frames of a clip, in double precision.

Tolerances are those of the filters, which are float32 and rounded by at most 2**-24 relative, and of logarithms of them.
"""

import librosa
import numpy as np
import pytest
import torch
import torchaudio
from scipy.signal import lfilter_zi
from torch import nn

from ser.features.cepstra import LFCC, MFCC
from ser.features.chroma import Chroma, chroma_filters
from ser.features.framing import Framing, PowerSpectrum
from ser.features.logmel import LogMel
from ser.features.pcen import PCEN, smoothed
from ser.features.samples import RMS, ZeroCrossingRate
from ser.features.spectral import Spectral
from tests.features.clips import CLIPS, RATE, clip

WINDOWS = [(25.0, 10.0), (64.0, 16.0)]
pytestmark = [
    pytest.mark.slow,  # librosa compiles itself for 20 s in a new environment
    pytest.mark.parametrize("name", CLIPS),
    pytest.mark.parametrize("window", WINDOWS, ids=str),
]
Window = tuple[float, float]


def ours(feature: nn.Module, samples: np.ndarray) -> np.ndarray:
    """Return ``(feature, frame)`` in double precision; the float32 window would add -144 dB of the loudest bin to others."""
    feature.double()
    for part in feature.modules():
        if isinstance(part, PowerSpectrum):
            part.window = torch.hann_window(part.framing.window, dtype=torch.float64)
    waveform = torch.from_numpy(samples.astype(np.float64))[None]
    return np.asarray(feature(waveform, torch.tensor([len(samples)]))[0][0])


def magnitude(samples: np.ndarray, made: Framing) -> np.ndarray:
    return np.abs(
        librosa.stft(
            samples.astype(np.float64), n_fft=made.span, hop_length=made.hop, win_length=made.window, center=False
        )
    )


def log_mel(samples: np.ndarray, made: Framing, bands: int, low: float) -> np.ndarray:
    power = magnitude(samples, made) ** 2
    mel = librosa.feature.melspectrogram(S=power, sr=RATE, n_mels=bands, fmin=low, fmax=RATE / 2, htk=True, norm=None)
    return np.log(mel + 1e-6)


def frames(samples: np.ndarray, made: Framing) -> np.ndarray:
    """Return ``(window, frame)``: the windows lie in the middle of their frames."""
    margin = (made.span - made.window) // 2
    count = 1 + (len(samples) - made.span) // made.hop
    return librosa.util.frame(samples[margin:], frame_length=made.window, hop_length=made.hop)[:, :count]


def test_mfcc_and_its_slopes(name: str, window: Window) -> None:
    samples, feature = clip(name), MFCC(n_mfcc=13, n_mels=40, window_ms=window[0], hop_ms=window[1], low_hz=50.0)
    mfcc = librosa.feature.mfcc(
        S=log_mel(samples, feature.log_mel.framing, 40, 50.0), n_mfcc=13, dct_type=2, norm="ortho"
    )
    slopes = [librosa.feature.delta(mfcc, width=9, order=1, mode="nearest")]
    slopes.append(librosa.feature.delta(slopes[0], width=9, order=1, mode="nearest"))
    # torchaudio's filters are float32 of frequencies up to 8000 Hz: 1e-5 of a narrow band's energy, 2e-3 over all bands.
    np.testing.assert_allclose(ours(feature, samples), np.concatenate([mfcc, *slopes]), atol=2e-3, rtol=0)


def test_lfcc(name: str, window: Window) -> None:
    samples, feature = clip(name), LFCC(n_lfcc=13, n_bands=40, deltas=0, window_ms=window[0], hop_ms=window[1])
    made = feature.spectrum.framing
    theirs = torchaudio.transforms.LFCC(
        RATE, n_filter=40, f_min=0.0, f_max=RATE / 2, n_lfcc=13, log_lf=True,
        speckwargs={"n_fft": made.span, "win_length": made.window, "hop_length": made.hop, "center": False},
    ).double()  # fmt: skip
    found = ours(feature, samples)
    theirs.Spectrogram.window = feature.spectrum.window  # in double precision
    expected = theirs(torch.from_numpy(samples.astype(np.float64))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)  # the filters are the same float32 numbers


def test_chroma(name: str, window: Window) -> None:
    samples, feature = clip(name), Chroma(window_ms=window[0], hop_ms=window[1])
    made = feature.spectrum.framing
    filters = librosa.filters.chroma(sr=RATE, n_fft=made.span, tuning=0.0, dtype=np.float64)
    np.testing.assert_allclose(chroma_filters(RATE, made.span).numpy(), filters, atol=1e-12, rtol=0)
    theirs = librosa.feature.chroma_stft(S=magnitude(samples, made) ** 2, sr=RATE, tuning=0.0)
    np.testing.assert_allclose(ours(feature, samples), theirs, atol=1e-5, rtol=0)  # of 1, with float32 filters


def test_spectral_shape(name: str, window: Window) -> None:
    samples, feature = clip(name), Spectral(window_ms=window[0], hop_ms=window[1])
    found = dict(zip(feature.names, ours(feature, samples), strict=True))
    spectrum = magnitude(samples, feature.spectrum.framing)
    of = librosa.feature
    np.testing.assert_allclose(found["centroid"], of.spectral_centroid(S=spectrum, sr=RATE)[0], atol=1e-6)  # Hz
    np.testing.assert_allclose(found["bandwidth"], of.spectral_bandwidth(S=spectrum, sr=RATE)[0], atol=1e-6)
    # A roll-off is the next bin's where a sum is within rounding of the share.
    off = np.abs(found["rolloff"] - of.spectral_rolloff(S=spectrum, sr=RATE)[0]) / (
        RATE / feature.spectrum.framing.span
    )
    assert off.max() < 1.01
    assert (off > 1e-6).mean() < 0.01
    np.testing.assert_allclose(found["flatness"], of.spectral_flatness(S=spectrum)[0], atol=1e-9)
    contrast = np.stack([found[f"contrast_{i}"] for i in range(7)])
    theirs = of.spectral_contrast(S=spectrum, sr=RATE)
    # In digital silence, librosa's is that of magnitudes 80 dB below the loudest of the clip, which no frame knows.
    audible = (spectrum > 1e-7).all(axis=0)
    assert audible.mean() > 0.5
    np.testing.assert_allclose(contrast[:, audible], theirs[:, audible], atol=1e-6)  # decibels
    unit = spectrum / np.linalg.norm(spectrum, axis=0).clip(min=1e-300)
    flux = np.concatenate([[0.0], (np.diff(unit, axis=1) ** 2).sum(axis=0)])
    np.testing.assert_allclose(found["flux"], flux, atol=1e-6)


def test_zero_crossing_rate(name: str, window: Window) -> None:
    samples, feature = clip(name), ZeroCrossingRate(window_ms=window[0], hop_ms=window[1])
    theirs = librosa.zero_crossings(frames(samples, feature.framing), pad=False, axis=0).mean(axis=0)
    np.testing.assert_allclose(ours(feature, samples)[0], theirs, atol=1e-12)  # counts


def test_rms(name: str, window: Window) -> None:
    samples, feature = clip(name), RMS(window_ms=window[0], hop_ms=window[1])
    windows = frames(samples.astype(np.float64), feature.framing)
    made = feature.framing
    margin = (made.span - made.window) // 2
    theirs = librosa.feature.rms(
        y=samples[margin:].astype(np.float64), frame_length=made.window, hop_length=made.hop, center=False
    )[0, : windows.shape[1]]
    np.testing.assert_allclose(ours(feature, samples)[0], theirs, rtol=1e-6, atol=1e-10)  # librosa rounds to float32
    decibels = ours(RMS(window_ms=window[0], hop_ms=window[1], decibels=True), samples)[0]
    np.testing.assert_allclose(decibels, 20 * np.log10(theirs.clip(min=1e-10)), atol=1e-5)


def test_pcen(name: str, window: Window) -> None:
    samples, feature = clip(name), PCEN(n_mels=40, window_ms=window[0], hop_ms=window[1], low_hz=50.0)
    made = feature.log_mel.framing
    mel = np.exp(log_mel(samples, made, 40, 50.0)) - 1e-6
    # librosa begins its smoothing at the state that it is given; the paper's begins at the first frame.
    start = lfilter_zi([feature.share], [1, feature.share - 1]) * mel[:, :1]
    theirs = librosa.pcen(mel.clip(min=0), sr=RATE, hop_length=made.hop, time_constant=0.4, zi=start)
    # Values of order 1, with the energies' relative 1e-4 of torchaudio's float32 filters in the narrowest bands.
    np.testing.assert_allclose(ours(feature, samples), theirs, atol=1e-3, rtol=1e-3)


def test_smoothing_equals_its_recursion(name: str, window: Window) -> None:
    values = torch.from_numpy(clip(name)[: round(window[0])].astype(np.float64))
    expected, level = [], values[0]
    for value in values:
        level = 0.1 * value + 0.9 * level
        expected.append(level)
    torch.testing.assert_close(smoothed(values, 0.1), torch.stack(expected), rtol=1e-12, atol=1e-12)


def test_log_mel_has_the_frames_of_all_others(name: str, window: Window) -> None:
    samples, length = torch.from_numpy(clip(name))[None], torch.tensor([len(clip(name))])
    sizes = {"window_ms": window[0], "hop_ms": window[1]}
    features = [LogMel(n_mels=40, **sizes), MFCC(n_mels=40, **sizes), Chroma(**sizes), Spectral(**sizes), RMS(**sizes)]
    counts = {(int(made(samples, length)[1]), made(samples, length)[0].shape[2]) for made in features}
    assert len(counts) == 1
