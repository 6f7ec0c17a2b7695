"""What holds for every augmentation: padding, silence, very short clips, seeds and probabilities."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ser.augment.augmentation import Augmentation
from ser.errors import ConfigError
from tests.augment.conftest import NAMES, MakeStep, clips, frames

Batch = tuple[Tensor, Tensor, Tensor]
QUICK = settings(max_examples=6, deadline=None)
EACH = pytest.mark.parametrize("name", NAMES)
LENGTHS = st.lists(st.integers(1, 6000), min_size=2, max_size=4)
FRAMES = st.lists(st.integers(1, 80), min_size=2, max_size=4)


def batch_for(step: nn.Module) -> Callable[..., Batch]:
    return clips if step.domain == "waveform" else frames


@EACH
def test_padding_does_not_change_a_clip(name: str, make_step: MakeStep) -> None:
    """With the same random numbers, a clip alone gives what it gives in a batch of longer ones."""
    step = make_step(name)
    if not isinstance(step, Augmentation):
        pytest.skip("it mixes clips of a batch")
    lengths = (5000, 3333, 700, 9) if step.domain == "waveform" else (60, 33, 7, 1)
    x, counts, _ = batch_for(step)(*lengths)
    torch.manual_seed(0)
    drawn = step.draw(x, counts, torch.arange(len(x)))
    together, found = step.change(x, counts, drawn)
    for i, n in enumerate(lengths):
        alone, length = step.change(x[i : i + 1, ..., :n], counts[i : i + 1], tuple(part[i : i + 1] for part in drawn))
        assert length.tolist() == found[i : i + 1].tolist()
        torch.testing.assert_close(together[i, ..., : int(length)], alone[0, ..., : int(length)], atol=2e-5, rtol=1e-4)
        assert not together[i, ..., int(length) :].any(), "something stands in the padding"


@EACH
def test_any_lengths_work_and_the_same_seed_gives_the_same(name: str, make_step: MakeStep) -> None:
    step = make_step(name)
    make = batch_for(step)

    @QUICK
    @given(lengths=LENGTHS if step.domain == "waveform" else FRAMES, seed=st.integers(0, 99))
    def check(lengths: list[int], seed: int) -> None:
        x, counts, target = make(*lengths)
        results = []
        for _ in range(2):
            torch.manual_seed(seed)
            results.append(step(x, counts, target))
        for one, two in zip(*results, strict=True):
            assert torch.equal(one, two)
        out, found, soft = results[0]
        assert out.isfinite().all()
        assert int(found.min()) >= 1
        assert int(found.max()) == out.shape[-1]
        torch.testing.assert_close(soft.sum(dim=1), torch.ones(len(soft)))

    check()


@EACH
def test_silence_stays_silent(name: str, make_step: MakeStep) -> None:
    step = make_step(name, probability=1.0)
    x, counts, target = batch_for(step)(4000, 5) if step.domain == "waveform" else frames(40, 1)
    for _ in range(3):
        out, _, _ = step(torch.zeros_like(x), counts, target)
        assert float(out.abs().max()) < 1e-3  # GSM answers silence with its smallest steps


@EACH
def test_zero_probability_is_the_identity(name: str, make_step: MakeStep) -> None:
    step = make_step(name, probability=0.0)
    batch = batch_for(step)(*((4000, 50) if step.domain == "waveform" else (40, 1)))
    for given_, got in zip(batch, step(*batch), strict=True):
        assert torch.equal(given_, got)


@EACH
def test_clips_are_chosen_one_by_one_with_the_probability(name: str, make_step: MakeStep) -> None:
    step = make_step(name, probability=0.25, **({"share": 1.0} if name == "mixup" else {}))
    torch.manual_seed(0)
    count = 200
    x, counts, target = clips(*[600] * count) if step.domain == "waveform" else frames(*[30] * count, bands=8)
    out, found, soft = step(x, counts, target)
    width = min(out.shape[-1], x.shape[-1])
    moved = (out[..., :width] != x[..., :width]).flatten(1).any(dim=1) | (found != counts)
    # 4 standard deviations of 200 draws are 24; a mask or a stretch may be empty.
    assert 20 <= int(moved.sum()) <= 74
    assert not ((soft != target).any(dim=1) & ~moved).any()


@EACH
@pytest.mark.parametrize("probability", [-0.1, 1.5])
def test_a_probability_is_from_0_to_1(name: str, probability: float, make_step: MakeStep) -> None:
    with pytest.raises(ConfigError, match=r"probability must be from 0 to 1; got"):
        make_step(name, probability=probability)
