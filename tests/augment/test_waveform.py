"""Augmentations of waveforms against what their names and numbers say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ser.augment.channel import BandLimit, Codec
from ser.augment.level import Gain, Polarity
from ser.augment.noise import Babble, Noise, NoiseFolder, PinkNoise, WhiteNoise
from ser.augment.reverberation import ImpulseResponses, Reverberation
from ser.augment.tempo import PitchShift, Speed, Tempo
from ser.augment.time_shift import TimeShift
from ser.errors import ConfigError
from ser.signal.padding import power
from tests.augment.conftest import clips

RATE = 16000
QUICK = settings(max_examples=10, deadline=None)


def tone(hz: float, samples: int = 2 * RATE) -> Tensor:
    return 0.5 * torch.sin(2 * torch.pi * hz * torch.arange(samples) / RATE)


def peak_hz(clip: Tensor) -> float:
    spectrum = torch.fft.rfft(clip * torch.hann_window(len(clip)))
    return float(spectrum.abs().argmax()) * RATE / len(clip)


@pytest.mark.parametrize("kind", [WhiteNoise, PinkNoise, Babble])
def test_the_ratio_of_speech_to_noise_is_the_one_drawn(kind: type[Noise]) -> None:
    @QUICK
    @given(snr=st.floats(-20, 40), lengths=st.lists(st.integers(200, 5000), min_size=2, max_size=4))
    def check(snr: float, lengths: list[int]) -> None:
        x, counts, target = clips(*lengths)
        noisy, _, _ = kind(snr_db=[snr, snr])(x, counts, target)
        ratio = 10 * torch.log10(power(x, counts) / power(noisy - x, counts))
        # The difference of float32 samples has an error of -140 dB of full scale.
        torch.testing.assert_close(ratio, torch.full_like(ratio, snr), atol=0.02, rtol=0)

    check()


def test_ratios_fill_their_range() -> None:
    x, counts, target = clips(*[400] * 300)
    torch.manual_seed(0)
    noisy, _, _ = WhiteNoise(snr_db=[0.0, 20.0])(x, counts, target)
    ratio = 10 * torch.log10(power(x, counts) / power(noisy - x, counts))
    assert 0 <= float(ratio.min()) < 1
    assert 19 < float(ratio.max()) <= 20.01


def test_pink_noise_falls_by_3_db_an_octave() -> None:
    x, counts, _ = clips(8 * RATE, 8 * RATE)
    torch.manual_seed(0)
    noise = PinkNoise().noise(x, counts, torch.arange(2))
    spectrum = torch.fft.rfft(noise.double()).abs().square().mean(dim=0)
    hz = torch.fft.rfftfreq(noise.shape[1], 1 / RATE)
    low, high = (spectrum[(hz >= edge) & (hz < 2 * edge)].mean() for edge in (100, 3200))
    assert float(10 * torch.log10(low / high)) == pytest.approx(5 * 10 * np.log10(2), abs=0.5)


def test_babble_is_the_sum_of_other_clips_and_never_of_the_clip_itself() -> None:
    x = torch.eye(6).repeat_interleave(50, dim=1)  # each clip sounds at a time of its own
    counts = torch.full((6,), 300)
    step = Babble(talkers=5)
    for _ in range(20):
        noise = step.noise(x, counts, torch.arange(6))
        torch.testing.assert_close(noise.sum(dim=1), torch.full((6,), 5 * 50 * 6**0.5))  # at RMS 1 a clip has sqrt(6)
    x[1:] = 0
    assert not step.noise(x, counts, torch.tensor([0])).any()


def test_a_clip_alone_in_its_batch_gets_no_babble() -> None:
    batch = clips(1000)
    assert torch.equal(Babble()(*batch)[0], batch[0])


def test_noises_of_a_folder_are_heard_from_any_point(recordings: Path) -> None:
    step = NoiseFolder(recordings)
    x, counts, _ = clips(*[30000] * 40)
    noise = step.noise(x, counts, torch.arange(40))
    assert noise.shape == (40, 30000)
    assert torch.equal(noise[:, :12000], noise[:, 12000:24000])  # 3 times 4000 samples, and 6000 at half the rate
    # 4000 samples of RMS 0.1 at 16 kHz, and 6000 of 0.01 at 8 kHz.
    assert sorted({round(float(row.square().mean().sqrt()), 2) for row in noise}) == [0.01, 0.1]


@pytest.mark.parametrize("kind", [NoiseFolder, ImpulseResponses])
def test_a_folder_without_recordings_is_refused(kind: type, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="folder must hold recordings"):
        kind(tmp_path / "none")


def test_gain_stays_in_its_range_and_polarity_turns_the_sign() -> None:
    x, counts, target = clips(*[100] * 200)
    torch.manual_seed(0)
    db = 10 * torch.log10(power(Gain(db=[-6.0, 3.0])(x, counts, target)[0], counts) / power(x, counts))
    assert -6.001 <= float(db.min()) < -5.5
    assert 2.5 < float(db.max()) <= 3.001
    assert torch.equal(Polarity(probability=1.0)(x, counts, target)[0], -x)


def test_rooms_keep_the_level_and_the_start() -> None:
    x, counts, target = clips(*[4000] * 8)
    x[:, :1000] = 0
    out, _, _ = Reverberation(direct_db=[6.0, 6.0])(x, counts, target)
    torch.testing.assert_close(power(out, counts), power(x, counts), rtol=1e-4, atol=0)
    assert float(out[:, :1000].abs().max()) < 1e-5
    assert not torch.allclose(out, x, atol=1e-2)


def test_a_recorded_click_is_no_room(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "room.wav", np.eye(1, 400, 100)[0], RATE)  # the direct sound comes late
    batch = clips(3000, 1000)
    torch.testing.assert_close(ImpulseResponses(tmp_path)(*batch)[0], batch[0], atol=1e-5, rtol=0)


@QUICK
@given(factor=st.sampled_from([0.5, 0.8, 0.9, 1.1, 1.25, 2.0]), samples=st.integers(1, 9000))
def test_lengths_follow_a_change_of_speed_or_tempo(factor: float, samples: int) -> None:
    batch = clips(samples, 4000)
    for step, rounded in ((Speed([factor]), np.ceil), (Tempo(factors=[factor]), np.round)):
        out, counts, _ = step(*batch)
        assert counts.tolist() == [max(1, int(rounded(round(n / factor, 6)))) for n in (samples, 4000)]
        assert out.shape[1] == max(counts)


@pytest.mark.parametrize("factor", [0.8, 1.25])
def test_speed_moves_the_pitch_and_tempo_keeps_it(factor: float) -> None:
    x, counts, target = tone(1000)[None], torch.tensor([2 * RATE]), torch.ones(1, 1)
    assert peak_hz(Speed([factor])(x, counts, target)[0][0]) == pytest.approx(1000 * factor, abs=2)
    assert peak_hz(Tempo(factors=[factor])(x, counts, target)[0][0]) == pytest.approx(1000, abs=2)


@pytest.mark.parametrize("semitones", [-4, -1, 2, 12])
def test_pitch_moves_by_semitones_at_the_same_length(semitones: float) -> None:
    x, counts, target = tone(1000)[None], torch.tensor([2 * RATE]), torch.ones(1, 1)
    out, same, _ = PitchShift(semitones=[semitones])(x, counts, target)
    assert same.tolist() == counts.tolist()
    assert peak_hz(out[0]) == pytest.approx(1000 * 2 ** (semitones / 12), rel=2e-3)
    # The bins around a tone lose some of their common phase: 1.2 dB at an octave, in torchaudio and librosa alike.
    assert float(10 * torch.log10(out[0, 2000:-2000].square().mean() / 0.125)) == pytest.approx(0, abs=1.3)


def test_shifted_clips_keep_their_samples() -> None:
    x, counts, target = clips(*[500] * 50)
    torch.manual_seed(0)
    out, _, _ = TimeShift(share=0.2)(x, counts, target)
    shifts = []
    for before, after in zip(x, out, strict=True):
        (shift,) = [s for s in range(-100, 101) if torch.equal(after, torch.roll(before, s).where(inside(s), 0.0))]
        shifts.append(shift)
    assert min(shifts) < -80
    assert max(shifts) > 80


def inside(shift: int) -> Tensor:
    at = torch.arange(500) - shift
    return (at >= 0) & (at < 500)


@pytest.mark.parametrize(("hz", "kept"), [(100, False), (1000, True), (2000, True), (3600, False), (7000, False)])
def test_a_limited_band_keeps_what_is_in_it(hz: float, kept: bool) -> None:
    step = BandLimit(low_hz=[300.0, 300.0], high_hz=[3000.0, 3000.0])
    out, _, _ = step(tone(hz)[None], torch.tensor([2 * RATE]), torch.ones(1, 1))
    middle = out[0, 1500:-1500].square().mean() / 0.125
    assert float(10 * torch.log10(middle)) == pytest.approx(0, abs=0.1) if kept else middle < 1e-4


def test_codecs_are_all_heard() -> None:
    step = Codec({"telephone": [64], "gsm": [13], "opus": [16], "mp3": [32]})
    x, counts, target = clips(*[8000] * 24)
    torch.manual_seed(0)
    out, same, _ = step(x, counts, target)
    assert same.tolist() == counts.tolist()
    high = torch.fft.rfft(out).abs()[:, 2200:3900].square().sum(dim=1) / torch.fft.rfft(x).abs()[
        :, 2200:3900
    ].square().sum(1)
    narrow = high < 1e-2  # telephone and GSM end at 4 kHz
    assert 4 < int(narrow.sum()) < 20


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Codec({"aac": [64]}), r"Codec\.codecs must be of telephone, mp3, opus, gsm; got aac"),
        (lambda: Codec({"mp3": [400]}), "from 8 to 160 kbit/s; got 400"),
        (lambda: Codec({}), "must have at least one bit rate"),
        (lambda: Gain(db=[3.0, -3.0]), r"Gain\.db must be \[lowest, highest\]"),
        (lambda: WhiteNoise(snr_db=[30.0, 10.0]), r"WhiteNoise\.snr_db must be"),
        (lambda: Babble(talkers=0), r"Babble\.talkers must be at least 1"),
        (lambda: Speed([0.0]), r"Speed\.factors must be one or more numbers from 0.25 to 4"),
        (lambda: PitchShift(semitones=[]), r"PitchShift\.semitones must be"),
        (lambda: BandLimit(high_hz=[4000.0, 9000.0]), r"below 8000 Hz; got"),
        (lambda: TimeShift(share=1.0), r"TimeShift\.share must be"),
        (lambda: Reverberation(rooms=0), r"Reverberation\.rooms must be at least 1"),
    ],
)
def test_wrong_settings_are_refused(make: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()  # type: ignore[operator]
