from collections import Counter

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ser.datamodules.buckets import LengthBuckets


def lengths(clips: int, seed: int = 0) -> Tensor:
    """1 to 5 s, log-uniform."""
    return torch.from_numpy((16000 * 5 ** np.random.default_rng(seed).random(clips)).astype(np.int64))


def padding(batches: list[list[int]], length: Tensor) -> int:
    """Samples of zeros that the batches hold."""
    return sum(int((length[b].max() - length[b]).sum()) for b in batches)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("clips", [1, 2, 7, 8, 9, 63, 64, 65, 129])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_every_clip_comes_once_and_no_batch_has_one_clip(clips: int, batch_size: int, shuffle: bool) -> None:
    sampler = LengthBuckets(lengths(clips), batch_size, shuffle=shuffle, pool=2)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert sorted(i for batch in batches for i in batch) == list(range(clips))
        sizes = [len(batch) for batch in batches]
        assert len(sampler) == len(batches) == -(-clips // batch_size)
        assert max(sizes) <= batch_size
        if clips > 1 and batch_size > 2:
            assert min(sizes) > 1


def test_order_depends_only_on_seed_and_epoch() -> None:
    length = lengths(100)

    def epoch(number: int, seed: int = 0) -> list[list[int]]:
        sampler = LengthBuckets(length, 8, shuffle=True, seed=seed)
        sampler.set_epoch(number)
        return list(sampler)

    first = epoch(0)
    torch.manual_seed(123)
    assert epoch(0) == first
    sampler = LengthBuckets(length, 8, shuffle=True)
    assert list(sampler) == list(sampler) == first  # looking twice draws nothing
    different = [epoch(e, s) for e in range(4) for s in range(3)]
    assert len({str(order) for order in different}) == 12
    assert len({str(sorted(map(sorted, order))) for order in different}) == 12  # other batches, not only another order


@pytest.mark.parametrize("workers", [0, 2])
def test_epoch_is_set_through_a_loader(workers: int) -> None:
    sampler = LengthBuckets(lengths(20), 4, shuffle=True)
    loader = DataLoader(
        Positions(), batch_size=None, sampler=sampler, num_workers=workers, persistent_workers=workers > 0
    )
    orders = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        orders.append([batch.tolist() for batch in loader])
    assert orders[0] == orders[2] != orders[1]


class Positions:
    def __getitem__(self, positions: list[int]) -> Tensor:
        return torch.tensor(positions)


def test_batches_have_far_less_padding_than_random_ones() -> None:
    length = lengths(1000)
    order = np.random.default_rng(0).permutation(1000)
    random = [part.tolist() for part in np.array_split(order, 125)]
    bucketed = list(LengthBuckets(length, 8, shuffle=True))
    assert padding(bucketed, length) < 0.35 * padding(random, length)


def test_shuffled_epoch_mixes_clips_and_lengths() -> None:
    length = lengths(256)
    met: Counter[int] = Counter()
    sampler = LengthBuckets(length, 8, shuffle=True)
    for epoch in range(20):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        met.update({i for batch in batches if 0 in batch for i in batch})
        means = [float(length[b].float().mean()) for b in batches]
        assert means != sorted(means)
        assert means != sorted(means, reverse=True)
    assert len(met) > 30  # clip 0 meets more than the same seven neighbours


def test_unshuffled_clips_come_longest_first_in_every_epoch() -> None:
    length = lengths(50)
    sampler = LengthBuckets(length, 8, shuffle=False)
    flat = [i for batch in sampler for i in batch]
    assert (length[flat].diff() <= 0).all()
    sampler.set_epoch(5)
    assert [i for batch in sampler for i in batch] == flat
