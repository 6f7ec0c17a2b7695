"""Noise has the power and spectrum that its name states, and babble consists of training speech only."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import welch

from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.rescoring.robustness.conditions import Talkers, generator
from ser.rescoring.robustness.noise import Babble, Noise, Pink, White
from tests.rescoring.robustness.conftest import RATE, Batch, hear, scene

EVERY = [White([10]), Pink([10]), Babble([10], talkers=7)]


@pytest.mark.parametrize("snr", [20.0, 0.0, -5.0])
@pytest.mark.parametrize("noise", EVERY, ids=lambda n: type(n).__name__)
def test_signal_to_noise_ratio_is_over_each_clips_own_samples(
    noise: Noise, snr: float, speech: Batch, talkers: Talkers
) -> None:
    waveform, lengths = speech
    noisy, same = hear(noise, speech, snr, talkers)
    assert same.tolist() == lengths.tolist()
    for clean, heard, n in zip(waveform.double(), noisy.double(), lengths.tolist(), strict=True):
        added = heard[:n] - clean[:n]
        ratio = 10 * np.log10(float(clean[:n].square().mean() / added.square().mean()))
        assert ratio == pytest.approx(snr, abs=0.01)


@pytest.mark.parametrize(("noise", "slope"), [(White([0]), 0.0), (Pink([0]), -10 * np.log10(2))])
def test_power_falls_per_octave_as_the_colour_states(noise: Noise, slope: float) -> None:
    samples = noise.draw(generator(0, "x", "y"), 60 * RATE, scene(1))
    hz, density = welch(samples, RATE, nperseg=4096)
    band = (hz >= 60) & (hz <= 7000)
    fitted = np.polyfit(np.log2(hz[band]), 10 * np.log10(density[band]), 1)[0]
    # 470 segments: a bin is off by 0.2 dB, and the line through 1800 bins over 7 octaves by a few hundredths.
    assert fitted == pytest.approx(slope, abs=0.1)


def test_pink_noise_has_nothing_below_20_hz() -> None:
    samples = Pink([0]).draw(generator(0, "x", "y"), 5 * RATE, scene(1))
    power = np.abs(np.fft.rfft(samples)) ** 2
    hz = np.fft.rfftfreq(len(samples), 1 / RATE)
    assert power[hz < 20].sum() < 1e-20 * power.sum()


def test_noise_is_the_same_at_all_levels(speech: Batch) -> None:
    waveform, _ = speech
    mild, severe = (hear(White([snr]), speech)[0] - waveform for snr in (20, 0))
    torch.testing.assert_close(10 * mild, severe, atol=1e-5, rtol=1e-4)


def marked(data: SpeechData, clip_of: Callable[[int, int], np.ndarray]) -> Talkers:
    """Return background speakers of a corpus of constructed clips, by row and length."""
    manifest = data.labelled.manifest
    samples = np.zeros(data.plan.stores[0].card["samples"], np.int16)
    for row, (start, length) in enumerate(zip(manifest["start"], manifest["length"], strict=True)):
        samples[start : start + length] = clip_of(row, length)
    part = SimpleNamespace(samples=samples, card=data.plan.stores[0].card)
    stub: Any = SimpleNamespace(labelled=data.labelled, split=data.split, plan=SimpleNamespace(stores=[part]))
    return Talkers(stub)


@pytest.mark.parametrize("sign", [1, -1])
def test_babble_consists_of_training_speakers_only(data: SpeechData, sign: int) -> None:
    """Training clips hold a constant of one sign, dev and test clips of the other; at RMS 1 the sign is left."""
    value = np.full(len(data.labelled.manifest), -100 * sign)
    value[data.split.train] = 100 * sign
    talkers = marked(data, lambda row, length: np.full(length, value[row]))
    for seed in range(200):
        np.testing.assert_allclose(talkers.draw(generator(seed, "x", "y"), 500, 7), sign, rtol=1e-6)


def test_background_speakers_differ_if_there_are_enough(data: SpeechData) -> None:
    """A click every 10, 20, ... samples, by speaker: at RMS 1 its square is how far apart they are."""
    speaker = data.labelled.manifest["speaker"].astype("category").cat.codes.to_numpy()
    talkers = marked(data, lambda row, n: np.where(np.arange(n) % (10 * (speaker[row] + 1)), 0, 30000))
    training = {10 * (int(s) + 1) for s in speaker[data.split.train]}
    for seed in range(20):
        drawn = talkers.draw(generator(seed, "x", "y"), 6000, len(training))
        # Where a clip starts over, one gap is another: a hundredth of the gaps at most.
        assert {round(float(peak) ** 2, -1) for peak in drawn.max(axis=1)} == training
    assert talkers.draw(generator(0, "x", "y"), 100, 2 * len(training)).shape == (2 * len(training), 100)


def test_short_background_clips_are_repeated(talkers: Talkers) -> None:
    drawn = talkers.draw(generator(0, "x", "y"), 60 * RATE, 2)
    assert drawn.shape == (2, 60 * RATE)
    by_ten_seconds = np.sqrt(np.mean(np.square(drawn.reshape(2, 6, -1), dtype=np.float64), axis=2))
    assert (by_ten_seconds > 0.5).all()


def test_silence_stays_silent() -> None:
    silent = torch.zeros(1, RATE), torch.tensor([RATE])
    assert not hear(White([0]), silent)[0].any()


@pytest.mark.parametrize("talkers", [0, -1])
def test_babble_without_speakers_is_refused(talkers: int) -> None:
    with pytest.raises(ConfigError, match=r"Babble\.talkers must be at least 1"):
        Babble([0], talkers=talkers)


def test_babble_does_not_change_the_store(data: SpeechData, talkers: Talkers) -> None:
    file = Path(data.plan.stores[0].folder) / "waveforms.i16"
    before = file.read_bytes()
    talkers.draw(generator(0, "x", "y"), RATE, 7)
    assert file.read_bytes() == before
