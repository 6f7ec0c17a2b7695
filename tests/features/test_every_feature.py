"""What holds for each feature of ``conf/features/``: names, padding, silence, short clips, precision, gradients."""

import pytest
import torch
from torch import Tensor, nn

from ser.features import framing
from ser.runtime.instantiate import instantiate
from tests.composed import composed
from tests.features.clips import clip
from tests.numerics import EXACT
from tests.test_configs import options

FEATURES = [name for name in options("features") if name not in ("own", "encoder")]
"""A pretrained encoder needs its weights, and has tests of its own."""

NO_SLOPE = ("zcr", "egemaps", "compare_2016")
"""Counts, and what is computed outside torch."""


def made(name: str) -> nn.Module:
    return instantiate(composed(f"features={name}")["features"], nn.Module)


def batch() -> tuple[Tensor, Tensor]:
    """Speech, the end of it, digital silence, a click, noise, and clips that are shorter than a frame."""
    speech = torch.from_numpy(clip("demo")[4000:20000]).double()
    noise = 0.1 * torch.randn(5001, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    click = torch.nn.functional.one_hot(torch.tensor(2000), 6000).double()
    clips = [speech, speech[-9000:], torch.zeros(4000, dtype=torch.float64), click, noise, speech[9000:9300], noise[:1]]
    return nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor([len(each) for each in clips])


@pytest.mark.parametrize("name", FEATURES)
def test_padding_never_changes_frames_and_all_are_finite(name: str) -> None:
    feature = made(name).double()
    waveform, lengths = batch()
    together, frames = feature(waveform, lengths)
    assert together.isfinite().all()
    assert together.shape[1] == feature.n_features == len(set(feature.names))
    for i, length in enumerate(lengths.tolist()):
        alone, count = feature(waveform[i : i + 1, :length], lengths[i : i + 1])
        assert int(count) == int(frames[i]) == alone.shape[2]
        torch.testing.assert_close(together[i, :, : int(count)], alone[0], **EXACT)
        assert not together[i, :, int(count) :].any()


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("piece", [1, 40000])
def test_no_value_depends_on_how_many_clips_are_computed_at_a_time(
    name: str, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    feature, (waveform, lengths) = made(name).double(), batch()
    whole, _ = feature(waveform, lengths)
    monkeypatch.setattr(framing, "PIECE", piece)  # samples: one clip at a time, and two
    pieces, _ = feature(waveform, lengths)
    torch.testing.assert_close(pieces, whole, **EXACT)


@pytest.mark.parametrize("name", FEATURES)
def test_half_precision_and_single_samples_are_computed_in_single(name: str) -> None:
    feature = made(name)
    waveform, lengths = batch()
    plain, _ = feature(waveform.float(), lengths)
    with torch.autocast("cpu", torch.bfloat16):
        under, _ = feature(waveform.float(), lengths)
    assert under.dtype == torch.float32
    assert plain.isfinite().all()
    torch.testing.assert_close(under, plain, rtol=0, atol=0)


@pytest.mark.parametrize("name", FEATURES)
def test_gradients_are_finite_even_in_silence(name: str) -> None:
    feature = made(name)
    waveform, lengths = batch()
    waveform = waveform.float().requires_grad_()
    features, _ = feature(waveform, lengths)
    if not features.requires_grad:
        assert name in NO_SLOPE
        return
    features.sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()
    assert waveform.grad[0].any()
