"""Gain, clipping, rooms, low rates and telephones against closed forms and against libsndfile's G.711."""

import io

import numpy as np
import pytest
import soundfile
import torch

from ser.errors import ConfigError
from ser.rescoring.robustness.channel import Clipping, Gain, Resampling, Reverberation, Telephone
from ser.rescoring.robustness.conditions import generator
from ser.signal.codec import mu_law
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


@pytest.mark.parametrize("t60", [0.3, 0.6, 1.0])
def test_reverberation_decays_by_60_db_in_its_time(t60: float) -> None:
    """Schroeder, 1965, https://doi.org/10.1121/1.1909343: the remaining energy, from -5 to -25 dB, extrapolated to -60."""
    measured = []
    for utterance in range(8):
        response = impulse_response(generator(0, "x", str(utterance)), t60, RATE, direct_db=0.0)
        decay = 10 * np.log10(np.cumsum(response[::-1] ** 2)[::-1] / np.sum(response**2))
        fitted = (decay <= -5) & (decay >= -25)
        slope = np.polyfit(np.flatnonzero(fitted) / RATE, decay[fitted], 1)[0]
        measured.append(-60 / slope)
    # The fit spans a third of 4800 to 16000 independent taps: within 10 %, as every one of these is.
    np.testing.assert_allclose(measured, t60, rtol=0.1)


@pytest.mark.parametrize("direct_db", [-6.0, 0.0, 6.0])
def test_direct_sound_has_the_given_ratio_to_the_decay(direct_db: float) -> None:
    response = impulse_response(generator(0, "x", "y"), 0.5, RATE, direct_db)
    assert response[0] == 1.0
    assert 10 * np.log10(1 / np.square(response[1:]).sum()) == pytest.approx(direct_db, abs=1e-9)


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


def test_mu_law_has_the_error_of_g_711(speech: Batch) -> None:
    clip, lengths = speech[0][:1, : int(speech[1][0])], speech[1][:1]
    file = io.BytesIO()
    soundfile.write(file, clip[0].numpy(), 8000, format="WAV", subtype="ULAW")
    file.seek(0)
    published = torch.from_numpy(soundfile.read(file, dtype="float32")[0])[None]
    both = (mu_law(clip, 8), published)
    errors = [float(10 * torch.log10(power(x - clip, lengths) / power(clip, lengths))) for x in both]
    # G.711 has 16 straight segments where the law is a curve, and its largest value is 0.98.
    assert errors[0] == pytest.approx(errors[1], abs=1.0)
    assert errors[0] < -34


def test_mu_law_has_an_exact_zero_and_is_symmetric() -> None:
    coded = mu_law(torch.linspace(-1, 1, 100_001), 8)
    assert coded[50_000] == 0
    torch.testing.assert_close(coded, -coded.flip(0), rtol=0, atol=0)
    assert len(coded.unique()) == 255
    torch.testing.assert_close(mu_law(coded, 8), coded)
