"""Each cleaning against a closed form or another library, and what holds for all of them."""

import builtins
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ser.audio.decode import read_audio, trim
from ser.cleaning.band_pass import BandPass
from ser.cleaning.cleaning import Cleaning
from ser.cleaning.loudness import Loudness
from ser.cleaning.pre_emphasis import PreEmphasis
from ser.cleaning.spectral_gate import SpectralGate
from ser.cleaning.trim import Trim
from ser.corpora.demo import Demo
from ser.errors import ConfigError
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate
from ser.signal.loudness import loudness
from tests.composed import composed
from tests.features import clips as real

RATE = 16000
NAMES = sorted({file.stem for file in Path(conf_dir(), "cleaning").glob("*.yaml")} - {"none"})
EACH = pytest.mark.parametrize("name", NAMES)


def step_of(name: str) -> nn.Module:
    return instantiate(composed(f"cleaning=[{name}]")["cleaning"][name], nn.Module)


@pytest.fixture(scope="module")
def speech() -> list[Tensor]:
    """Clips of the demo corpus with half a second of silence around them."""
    silence = np.zeros(RATE // 2, np.float32)
    chosen = list(Demo().utterances())[::160]
    return [torch.from_numpy(np.concatenate([silence, read_audio(u.path)[0], silence])) for u in chosen]


def batch_of(clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    return nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([len(clip) for clip in clips])


@EACH
def test_padding_does_not_change_a_cleaned_clip(name: str, speech: list[Tensor]) -> None:
    step = step_of(name)
    clips = [*speech, speech[0][9000:13001], speech[0][9000:9350], torch.ones(1)]
    together, counts = step(*batch_of(clips))
    assert int(counts.max()) == together.shape[1]
    for i, (clip, n) in enumerate(zip(clips, counts.tolist(), strict=True)):
        alone, (length,) = step(clip[None], torch.tensor([len(clip)]))
        assert n == length
        torch.testing.assert_close(together[i, :n], alone[0, :n], atol=1e-6, rtol=1e-5)
        assert not together[i, n:].any()


@EACH
@settings(max_examples=8, deadline=None)
@given(lengths=st.lists(st.integers(1, 8000), min_size=1, max_size=3))
def test_any_length_and_silence_stay_finite(name: str, lengths: list[int]) -> None:
    step = step_of(name)
    for value in (0.0, 0.1):
        out, counts = step(*batch_of([torch.full((n,), value) for n in lengths]))
        assert out.isfinite().all()
        assert int(counts.min()) >= 1
        assert not out.any() if value == 0 else True


@pytest.mark.parametrize("below_db", [10.0, 30.0, 60.0])
def test_trimming_cuts_what_preparation_cuts(below_db: float, speech: list[Tensor]) -> None:
    out, counts = Trim(RATE, below_db)(*batch_of(speech))
    for row, n, clip in zip(out, counts.tolist(), speech, strict=True):
        np.testing.assert_array_equal(row[:n].numpy(), trim(clip.numpy(), RATE, below_db))
    assert (counts < torch.tensor([len(clip) for clip in speech])).all()


def test_loudness_is_that_of_pyloudnorm(speech: list[Tensor]) -> None:
    """Of whole steps of 0.1 s: pyloudnorm takes a last block that is not whole for a quieter one."""
    clips = [3 * clip[: len(clip) // 1600 * 1600] for clip in speech]  # beyond full scale, too
    measured = loudness(*batch_of(clips), RATE)
    for clip, found in zip(clips, measured.tolist(), strict=True):
        assert found == pytest.approx(pyloudnorm.Meter(RATE).integrated_loudness(clip.double().numpy()), abs=1e-3)


@pytest.mark.parametrize("name", real.CLIPS)
def test_loudness_and_trimming_agree_on_real_clips(name: str) -> None:
    samples = real.clip(name)
    whole = torch.from_numpy(samples[: len(samples) // 1600 * 1600])
    expected = pyloudnorm.Meter(RATE).integrated_loudness(whole.double().numpy())
    assert float(loudness(*batch_of([whole]), RATE)) == pytest.approx(expected, abs=1e-3)
    out, _ = Trim(RATE, 25.0)(*batch_of([torch.from_numpy(samples)]))
    np.testing.assert_array_equal(out[0].numpy(), trim(samples, RATE, 25.0))


@pytest.mark.parametrize("lufs", [-35.0, -23.0])
def test_every_clip_gets_one_loudness(lufs: float, speech: list[Tensor]) -> None:
    short = speech[0][9000:10000]  # shorter than a block
    waveform, lengths = batch_of([*speech, 0.1 * speech[1], short])
    out, _ = Loudness(RATE, lufs)(waveform, lengths)
    torch.testing.assert_close(
        loudness(out, lengths, RATE), torch.full((len(lengths),), lufs).double(), atol=1e-3, rtol=0
    )


def test_gate_lowers_steady_noise_and_keeps_speech(speech: list[Tensor]) -> None:
    random = torch.Generator().manual_seed(0)
    clips = [clip + 0.003 * torch.randn(len(clip), generator=random) for clip in speech]
    waveform, lengths = batch_of(clips)
    out, _ = SpectralGate(RATE)(waveform, lengths)
    quiet = out[:, 2000:6000].square().mean() / waveform[:, 2000:6000].square().mean()
    assert float(10 * torch.log10(quiet)) < -12
    for row, clip in zip(out, speech, strict=True):
        assert np.corrcoef(row[: len(clip)].numpy(), clip.numpy())[0, 1] > 0.9


def test_gate_is_noisereduces(speech: list[Tensor]) -> None:
    from noisereduce.torchgate import TorchGate

    clip = speech[0][: 256 * 60]
    expected = TorchGate(RATE, prop_decrease=0.8)(clip[None])
    out, _ = SpectralGate(RATE, reduction=0.8)(*batch_of([clip]))
    torch.testing.assert_close(out, expected)


def test_gate_without_its_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("noisereduce"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="noisereduce")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"needs the package noisereduce. Run pip install 'ser\[clean\]'"):
        SpectralGate()


def test_pre_emphasis_is_a_difference() -> None:
    x = torch.tensor([[1.0, 2.0, 4.0, 0.0]])
    out, _ = PreEmphasis(0.5)(x, torch.tensor([3]))
    assert out.tolist() == [[0.5, 1.5, 3.0]] or out.tolist() == [[1.0, 1.5, 3.0]]


@pytest.mark.parametrize(("hz", "kept"), [(30, False), (500, True), (3000, True), (5000, False)])
def test_band_pass_keeps_its_band(hz: float, kept: bool) -> None:
    tone = torch.sin(2 * torch.pi * hz * torch.arange(RATE) / RATE)[None]
    out, _ = BandPass(RATE, 200.0, 4000.0)(tone, torch.tensor([RATE]))
    ratio = float(out[0, 600:-600].square().mean() / 0.5)
    assert ratio == pytest.approx(1, abs=0.02) if kept else ratio < 1e-4


def test_steps_are_applied_in_their_stated_order_whatever_the_configuration() -> None:
    orders = [f"cleaning=[{','.join(names)}]" for names in (NAMES, NAMES[::-1])]
    made = [Cleaning(composed(order)["cleaning"]) for order in orders]
    kinds = [[type(step) for step in one.steps] for one in made]
    assert kinds[0] == kinds[1] == [BandPass, SpectralGate, Trim, Loudness, PreEmphasis]


def test_no_steps_change_nothing() -> None:
    x, lengths = torch.randn(2, 100), torch.tensor([100, 50])
    out, same = Cleaning({})(x, lengths)
    assert out is x
    assert same is lengths


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"_target_": "torch.nn.Identity"}, r"cleaning\.it must have an integer place"),
        ({"_target_": "ser.cleaning.trim.Trim", "below_db": 0}, r"Trim\.below_db must be above 0; got 0"),
        ({"_target_": "ser.cleaning.loudness.Loudness", "lufs": 3}, r"Loudness\.lufs must be from -70 to 0"),
        ({"_target_": "ser.cleaning.band_pass.BandPass", "high_hz": 8000}, r"below 8000 Hz; got 80 and 8000"),
        ({"_target_": "ser.cleaning.pre_emphasis.PreEmphasis", "coefficient": 2}, r"from 0 to 1; got 2"),
        ({"_target_": "ser.cleaning.spectral_gate.SpectralGate", "reduction": 2}, r"from 0 to 1; got 2"),
    ],
)
def test_wrong_settings_are_refused(config: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Cleaning({"it": config})
