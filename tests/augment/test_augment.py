"""What augmentations may change, and that they only do so in training."""

import math

import pytest
import torch
from torch import Tensor

from ser.augment.mixup import Mixup
from ser.augment.spec_augment import SpecAugment
from ser.augment.warp import Warp
from tests.augment.conftest import NAMES, MakeStep

LENGTHS = torch.tensor([90, 61, 33, 1, 90, 47])


def batch(value: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Normalised features with ``value`` in the padding, lengths, and one-hot targets."""
    x = torch.randn(len(LENGTHS), 80, 90, generator=torch.Generator().manual_seed(0))
    beyond = torch.arange(90) >= LENGTHS[:, None]
    return x.masked_fill(beyond[:, None], value), LENGTHS, torch.eye(8)[: len(LENGTHS)]


@pytest.mark.parametrize("name", NAMES)
def test_each_augmentation_keeps_the_shapes(name: str, make_step: MakeStep) -> None:
    step = make_step(name)
    assert step.domain in ("waveform", "features")
    torch.manual_seed(0)
    x, lengths, target = batch()
    if step.domain == "waveform":
        x, lengths = 0.1 * torch.randn(6, 16000), torch.tensor([16000, 9000, 400, 1, 16000, 3333])
        x = x * (torch.arange(16000) < lengths[:, None])
    before = x.clone()
    changed = False
    for _ in range(5):
        out, counts, soft = step(x, lengths, target)
        assert out.dtype == x.dtype
        assert out.shape[:-1] == x.shape[:-1]
        assert out.isfinite().all()
        assert counts.dtype == lengths.dtype
        assert int(counts.min()) >= 1
        assert int(counts.max()) == out.shape[-1]
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(len(soft)))
        for i, n in enumerate(counts.tolist()):
            assert not out[i, ..., n:].any(), "something stands in the padding"
        changed = changed or out.shape != x.shape or not torch.equal(out, x)
    assert changed, "five batches, and nothing was done to any"
    torch.testing.assert_close(x, before, atol=0, rtol=0, msg="the step wrote into what it was given")


@pytest.mark.parametrize("seed", range(5))
def test_masks_respect_their_width_and_differ_between_clips(seed: int) -> None:
    torch.manual_seed(seed)
    x, lengths, target = torch.ones(32, 80, 200), torch.full((32,), 200), torch.eye(32)
    out, _, _ = SpecAugment(bands=1, band_width=8.0, times=0, time_share=0.0)(x, lengths, target)
    bands = (out == 0).all(dim=2)
    assert ((out == 0).any(dim=2) == bands).all(), "a band is masked for the whole clip or not at all"
    assert int(bands.sum(dim=1).max()) <= 8
    assert len({tuple(row) for row in bands.tolist()}) > 16
    out, _, _ = SpecAugment(bands=0, band_width=0.0, times=1, time_share=0.1)(x, lengths, target)
    times = (out == 0).all(dim=1)
    assert 0 < int(times.sum(dim=1).max()) <= math.ceil(0.1 * 200)
    assert ((times[:, 1:] != times[:, :-1]).sum(dim=1) <= 2).all(), "one stretch"


def test_masked_time_is_a_share_of_the_clip_not_of_the_batch() -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([10, 200])
    for _ in range(20):
        out, _, _ = SpecAugment(bands=0, times=1, time_share=0.2)(torch.ones(2, 8, 200), lengths, torch.eye(2))
        assert int((out[0] == 0).all(dim=0).sum()) <= 2
        assert out[0, :, 10:].all(), "the mask lies within the clip"


def test_masks_reach_every_band_and_every_frame() -> None:
    torch.manual_seed(0)
    x, lengths = torch.ones(2000, 20, 30), torch.full((2000,), 30)
    out, _, _ = SpecAugment(1, 6.0, 1, 0.2)(x, lengths, torch.ones(2000, 1))
    assert (out == 0).any(dim=0).all()


def test_no_stretch_and_no_shift_is_the_identity() -> None:
    x, lengths, target = batch()
    out, counts, soft = Warp(stretch=0.0, shift=0.0)(x, lengths, target)
    assert torch.equal(counts, lengths)
    assert torch.equal(soft, target)
    torch.testing.assert_close(out, x, atol=1e-4, rtol=0)


def test_lengths_follow_the_factor() -> None:
    torch.manual_seed(0)
    lengths = torch.full((400,), 100)
    _, counts, _ = Warp(stretch=0.2, shift=0.0)(torch.zeros(400, 4, 100), lengths, torch.ones(400, 1))
    assert 80 <= int(counts.min()) < 84
    assert 116 < int(counts.max()) <= 120
    assert abs(float(counts.float().mean()) - 100) < 3


def test_stretched_ramp_is_a_ramp() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(100.0).expand(20, 4, 100)
    out, counts, _ = Warp(stretch=0.3, shift=0.0)(ramp, torch.full((20,), 100), torch.ones(20, 1))
    for row, n in zip(out[:, 0], counts.tolist(), strict=True):
        assert (row[:n].diff() >= -1e-3).all()
        # Sample points sit at the middles of n equal parts of the clip.
        expected = ((torch.arange(n) + 0.5) * 100 / n - 0.5).clamp(0, 99)
        torch.testing.assert_close(row[:n], expected, atol=1e-3, rtol=0)


def test_shift_respects_its_maximum_and_repeats_the_edge() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(80.0)[:, None].expand(50, 80, 30)
    out, _, _ = Warp(stretch=0.0, shift=3.0)(ramp, torch.full((50,), 30), torch.ones(50, 1))
    moved = out[:, 40, 10] - 40
    assert 2 < float(moved.abs().max()) <= 3
    for row, by in zip(out[:, :, 10], moved.tolist(), strict=True):
        torch.testing.assert_close(row, (torch.arange(80.0) + by).clamp(0, 79), atol=1e-3, rtol=0)


def test_warping_never_reads_the_padding() -> None:
    step = Warp(stretch=0.3, shift=3.0)
    outs = []
    for value in (0.0, 1e6):
        torch.manual_seed(1)
        outs.append(step(*batch(value))[0])
    # Neighbours get a weight of float32's rounding, 1e-5 at most; a real weight would show as 1e5.
    assert float((outs[0] - outs[1]).abs().max()) < 50


def test_mixup_keeps_target_sums_and_the_clip_dominant() -> None:
    torch.manual_seed(0)
    x = torch.eye(64)[:, :, None].expand(64, 64, 5).clone()  # each clip is a band of its own
    target = torch.eye(64)
    for share in (1.0, 0.5):
        for _ in range(10):
            out, counts, soft = Mixup(alpha=0.4, share=share)(x, torch.full((64,), 5), target)
            torch.testing.assert_close(soft.sum(dim=1), torch.ones(64))
            assert float(soft.diagonal().min()) >= 0.5
            torch.testing.assert_close(out[:, :, 0], soft, msg="sounds and targets are mixed alike")
            assert (counts == 5).all()


def test_mixed_clip_has_the_longer_length() -> None:
    torch.manual_seed(0)
    x, lengths, target = batch()
    out, counts, soft = Mixup(alpha=1.0)(x, lengths, target)
    for i, n in enumerate(counts.tolist()):
        parts = lengths[soft[i, : len(lengths)] > 0]
        assert n == int(parts.max())
        assert not out[i, :, n:].any()


def test_mixup_with_zero_share_is_the_identity() -> None:
    x, lengths, target = batch()
    out, counts, soft = Mixup(share=0.0)(x, lengths, target)
    assert torch.equal(out, x)
    assert torch.equal(counts, lengths)
    assert torch.equal(soft, target)
