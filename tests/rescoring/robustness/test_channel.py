"""Gain, clipping, rooms, low rates and telephones against closed forms."""

import numpy as np
import pytest
import torch

from ser.errors import ConfigError
from ser.rescoring.robustness.channel import Clipping, Gain, Resampling, Reverberation, Telephone
from ser.signal.padding import power
from ser.signal.room import impulse_response
from tests.rescoring.robustness.conftest import RATE, Batch, hear, scene


def tone(hz: float, seconds: float = 1.0, peak: float = 0.5) -> Batch:
    t = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    return (peak * torch.sin(2 * np.pi * hz * t)).float()[None], torch.tensor([len(t)])


def level_db(before: Batch, after: Batch) -> float:
    """Return the change of the RMS in dB, away from the ends."""
    middle = slice(RATE // 4, -RATE // 4)
    one, two = (batch[0][0, middle].double().square().mean() for batch in (before, after))
    return float(10 * torch.log10(two / one))


@pytest.mark.parametrize("db", [-20.0, -6.0, 0.0, 10.0])
def test_gain_is_exact_and_clips_nothing(db: float, speech: Batch) -> None:
    heard, _ = hear(Gain([db]), speech)
    torch.testing.assert_close(heard, speech[0] * 10 ** (db / 20), rtol=1e-6, atol=0)


@pytest.mark.parametrize("percent", [1.0, 10.0, 33.3])
def test_clipping_clips_the_given_share_of_samples(percent: float) -> None:
    random = np.random.default_rng(0)
    lengths = torch.tensor([16000, 4321])
    waveform = torch.from_numpy(random.laplace(size=(2, 16000)).astype(np.float32)) * 0.1
    waveform[1, 4321:] = 0
    heard, _ = hear(Clipping([percent]), (waveform, lengths))
    for before, after, n in zip(waveform, heard, lengths.tolist(), strict=True):
        ceiling = after.abs().max()
        assert int((after[:n].abs() == ceiling).sum()) == int(np.ceil(n * percent / 100))
        below = before.abs() < ceiling
        torch.testing.assert_close(after[below], before[below], rtol=0, atol=0)


def test_reverberation_is_a_convolution_that_keeps_the_rms(speech: Batch) -> None:
    waveform, lengths = speech
    room = Reverberation([0.6], direct_db=0.0)
    heard, same = hear(room, speech)
    assert same.tolist() == lengths.tolist()
    torch.testing.assert_close(power(heard, lengths), power(waveform, lengths), rtol=1e-5, atol=0)
    for row, n, random in zip(range(len(lengths)), lengths.tolist(), scene(len(lengths)).draws, strict=True):
        wet = np.convolve(waveform[row, :n].numpy(), impulse_response(random, 0.6, RATE, direct_db=0.0))[:n]
        scale = np.sqrt(np.mean(waveform[row, :n].numpy() ** 2) / np.mean(wet**2))
        np.testing.assert_allclose(heard[row, :n].numpy(), scale * wet, atol=1e-5)


def test_direct_sound_keeps_its_position() -> None:
    click = torch.zeros(1, RATE)
    click[0, 5000] = 1.0
    heard, _ = hear(Reverberation([0.3], direct_db=0.0), (click, torch.tensor([RATE])))
    assert int(heard.abs().argmax()) == 5000
    assert not heard[0, :4990].abs().gt(1e-5).any()


@pytest.mark.parametrize(
    ("rate", "hz", "kept"),
    [(8000, 3000, True), (8000, 5000, False), (4000, 1500, True), (4000, 2500, False), (4000, 7000, False)],
)
def test_resampling_keeps_frequencies_below_half_the_rate(rate: int, hz: float, kept: bool) -> None:
    before = tone(hz)
    after = hear(Resampling([rate]), before)
    assert after[0].shape == before[0].shape
    if kept:
        torch.testing.assert_close(after[0][:, 500:-500], before[0][:, 500:-500], atol=2e-3, rtol=0)
    else:
        assert level_db(before, after) < -60


def test_resampling_to_the_models_own_rate_is_refused(speech: Batch) -> None:
    with pytest.raises(ConfigError, match="must be below the model's 16000 Hz"):
        hear(Resampling([16000]), speech)


def test_telephone_passes_300_to_3400_hz() -> None:
    line = Telephone([64])
    for hz in (500, 1000, 2000, 3200):
        assert level_db(tone(hz), hear(line, tone(hz))) == pytest.approx(0.0, abs=0.2)
    for hz in (50, 100, 150, 3600, 3800, 5000, 7000):  # what is left is the noise of 8 bits
        assert level_db(tone(hz), hear(line, tone(hz))) < -40
