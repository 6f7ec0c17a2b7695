"""Batches of clips of similar length, to save padding, in a new order every epoch."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler

from ser.errors import ConfigError
from ser.runtime.words import counted


class LengthBuckets(Sampler[list[int]]):
    """Yield lists of positions into ``lengths``.

    Shuffled, an epoch's order depends on the seed and the epoch alone, so a resumed run sees the same batches.
    Clips are drawn at random into pools of ``pool`` batches, sorted by length within a pool, cut into batches, and the
    batches shuffled. Not shuffled, the clips come by length, longest first, so that a lack of memory shows at once.

    Args:
        lengths: ``(clip,)`` in samples.
        batch_size: Clips per batch; the last may have fewer, but a single clip only where it cannot be avoided
            (batch statistics of one clip are useless).
        pool: Batches per pool; a larger pool needs less padding and mixes less.
        shares: Number of processes that share each batch; none may get an empty share.

    Raises:
        ConfigError: If a batch or all clips together are fewer than the processes.
    """

    def __init__(
        self, lengths: Tensor, batch_size: int, *, shuffle: bool, seed: int = 0, pool: int = 8, shares: int = 1
    ) -> None:
        if min(batch_size, max(1, len(lengths))) < shares:
            few = f"batch_size={batch_size}" if batch_size < shares else f"A side of {counted(len(lengths), 'clip')}"
            raise ConfigError(f"{few} is too few for {shares} processes that share each batch. Train on fewer devices.")
        self.shares = shares
        self.lengths, self.batch_size, self.shuffle, self.seed, self.pool = lengths, batch_size, shuffle, seed, pool
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this at the start of every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return len(self._sizes())

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the batches of one epoch."""
        if not self.shuffle:
            yield from self._cut(torch.argsort(self.lengths, descending=True, stable=True))
            return
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator)
        pools = torch.split(order, self.batch_size * self.pool)
        batches = self._cut(torch.cat([p[torch.argsort(self.lengths[p], stable=True)] for p in pools]))
        for i in torch.randperm(len(batches), generator=generator).tolist():
            yield batches[i]

    def _cut(self, order: Tensor) -> list[list[int]]:
        return [part.tolist() for part in torch.split(order, self._sizes())]

    def _sizes(self) -> list[int]:
        full, rest = divmod(len(self.lengths), self.batch_size)
        sizes = [self.batch_size] * full + [rest] * (rest > 0)
        least = max(2, self.shares)
        if full and 0 < rest < least:
            if self.batch_size - (least - rest) >= least:
                sizes[-2:] = [self.batch_size - (least - rest), least]
            elif rest < self.shares:
                sizes[-2:] = [self.batch_size + rest]
        return sizes
