"""Spans of frames and features come as often as stated, never in padding, and again from the same seed."""

import pytest
import torch
from torch import Tensor

from ser.errors import ConfigError
from ser.models.encoders.masks import SpanMask


def masked_frames(share: float, span: int, lengths: Tensor) -> Tensor:
    """Which frames of clips of ones are masked: ``(batch, frame)``."""
    torch.manual_seed(0)
    frames = torch.ones(len(lengths), int(lengths.max()), 1)
    return SpanMask(share, span)(frames, lengths)[..., 0] == 0


@pytest.mark.parametrize(("share", "span", "size"), [(0.05, 10, 100), (0.5, 10, 100), (0.3, 1, 20), (0.2, 64, 10)])
def test_every_frame_is_masked_with_the_stated_probability(share: float, span: int, size: int) -> None:
    clips = 20_000
    rate = masked_frames(share, span, torch.full((clips,), size)).double().mean(dim=0)
    # Clips are independent, the frames of one are not: five deviations of a single frame's rate, at each.
    bound = 5 * (share * (1 - share) / clips) ** 0.5
    torch.testing.assert_close(rate, torch.full_like(rate, share), atol=bound, rtol=0)


def test_spans_have_their_length_and_may_overlap() -> None:
    mask = masked_frames(0.1, 10, torch.full((200,), 500))
    runs = [len(run) for row in mask.tolist() for run in "".join(str(int(x)) for x in row).strip("1").split("0") if run]
    assert min(runs) == 10  # what the edges cut is stripped
    assert max(runs) > 10


def test_short_clip_often_has_no_span() -> None:
    none = (~masked_frames(0.05, 10, torch.full((20_000,), 10))).all(dim=1).double().mean()
    # No start at any of the 19 places from which a span would reach the clip.
    assert none.item() == pytest.approx(0.95 ** (19 / 10), abs=5 * (0.09 / 20_000) ** 0.5)


def test_masked_features_are_zero_throughout_a_clip_and_drawn_per_clip() -> None:
    torch.manual_seed(0)
    clips, width = 20_000, 32
    frames = torch.ones(clips, 3, width)
    masked = SpanMask(0.0, 10, 0.25, 4)(frames, torch.full((clips,), 3)) == 0
    assert (masked == masked[:, :1]).all()
    rate = masked[:, 0].double().mean(dim=0)
    torch.testing.assert_close(rate, torch.full_like(rate, 0.25), atol=5 * (0.25 * 0.75 / clips) ** 0.5, rtol=0)
    alike = (masked[::2, 0] == masked[1::2, 0]).all(dim=1).double().mean()
    assert alike < 0.02  # most pairs that agree have no span at all: 0.75 ** (35 / 4) squared


def test_padding_is_unchanged() -> None:
    torch.manual_seed(0)
    frames, lengths = torch.randn(64, 50, 8), torch.arange(1, 65).clamp(max=50)
    masked = SpanMask(0.5, 5, 0.5, 2)(frames, lengths, torch.full((8,), 7.0))
    padding = torch.arange(50) >= lengths[:, None]
    assert torch.equal(masked[padding], frames[padding])
    assert not torch.equal(masked[~padding], frames[~padding])


def test_masked_frame_becomes_the_fill_and_trains_it() -> None:
    torch.manual_seed(0)
    frames, lengths = torch.randn(4, 100, 3), torch.full((4,), 100)
    fill = torch.tensor([5.0, 6.0, 7.0], requires_grad=True)
    masked = SpanMask(0.3, 5)(frames, lengths, fill)
    changed = (masked != frames).any(dim=-1)
    assert torch.equal(masked[changed], fill.expand(int(changed.sum()), 3))
    masked.sum().backward()
    assert fill.grad is not None
    assert torch.equal(fill.grad, changed.sum().float().expand(3))


def test_same_seed_repeats_the_masks() -> None:
    mask, frames, lengths = SpanMask(0.3, 5, 0.3, 2), torch.randn(4, 60, 16), torch.full((4,), 60)
    torch.manual_seed(1)
    first, second = mask(frames, lengths), mask(frames, lengths)
    torch.manual_seed(1)
    assert torch.equal(mask(frames, lengths), first)
    assert not torch.equal(first, second)


def test_half_precision_is_kept() -> None:
    frames = torch.ones(2, 40, 8, dtype=torch.bfloat16)
    masked = SpanMask(0.3, 5, 0.3, 2)(frames, torch.tensor([40, 20]), torch.zeros(8))
    assert masked.dtype == torch.bfloat16


@pytest.mark.parametrize("mask", [SpanMask(0.0, 10, 0.0, 10), SpanMask(0.5, 10, 0.5, 10).eval()])
def test_mask_without_shares_or_in_evaluation_changes_and_draws_nothing(mask: SpanMask) -> None:
    frames, state = torch.randn(2, 30, 4), torch.get_rng_state()
    assert torch.equal(mask(frames, torch.tensor([30, 10])), frames)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"time_share": 1.0}, "time_share"), ({"feature_share": -0.1}, "feature_share"), ({"time_span": 0}, "time_span")],
)
def test_invalid_settings_are_refused(settings: dict[str, float], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        SpanMask(**settings)  # type: ignore[arg-type]
