"""`Augmentation`: a random change of each clip by itself, with a probability; what it draws is apart from what it does."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError

Drawn = tuple[Tensor, ...]
"""Random numbers of a change, a row per clip."""
Change = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""``(x, lengths) -> (x, lengths)``."""


class Augmentation(nn.Module, ABC):
    """A change of each clip by itself; see `ser.augment` for the shapes.

    Args:
        probability: Share of the clips that are changed, drawn for each.

    Raises:
        ConfigError: If the probability is not from 0 to 1.
    """

    domain: ClassVar[str]

    def __init__(self, probability: float = 1.0) -> None:
        super().__init__()
        self.probability = checked_probability(self, probability)

    @abstractmethod
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        """Return the random numbers for some rows of a batch."""

    @abstractmethod
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Return changed clips with their lengths, without anything random and whatever the padding.

        The lengths are those given, as an object, if they are not changed.
        """

    def forward(self, x: Tensor, lengths: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the batch with some of its clips changed, and the same targets; see `ser.augment` for the shapes."""
        rows = drawn_rows(len(x), self.probability).to(x.device)
        if not len(rows):
            return x, lengths, target
        with torch.autocast(x.device.type, enabled=False):  # half precision cannot hold the samples of a waveform
            drawn = self.draw(x, lengths, rows)
            if len(rows) == len(x):
                return *self.change(x, lengths, drawn), target
            own = lengths[rows]
            part, counts = self.change(x[rows], own, drawn)
        if counts is own:
            part = nn.functional.pad(part, (0, x.shape[-1] - part.shape[-1]))
            return x.index_copy(0, rows, part), lengths, target
        return *_joined(x, lengths, rows, part, counts), target


class OneOf(Augmentation):
    """One of several changes of a waveform for each clip, each as likely.

    Args:
        changes: What is done to the clips that draw it.
        probability: See `Augmentation`.
    """

    domain: ClassVar[str] = "waveform"

    def __init__(self, changes: Sequence[Change], probability: float) -> None:
        super().__init__(probability)
        self.changes = list(changes)

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        return (torch.randint(len(self.changes), (len(rows),)),)  # on the CPU, so that no device is waited for

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        (which,) = drawn
        for i in sorted(set(which.tolist())):
            rows = (which == i).nonzero()[:, 0].to(x.device)
            x, lengths = _joined(x, lengths, rows, *self.changes[i](x[rows], lengths[rows]))
        return x, lengths


def checked_probability(step: nn.Module, probability: float) -> float:
    """Return a probability.

    Raises:
        ConfigError: If it is not from 0 to 1.
    """
    if not 0 <= probability <= 1:
        raise ConfigError(f"{type(step).__name__}.probability must be from 0 to 1; got {probability}.")
    return probability


def checked_range(step: nn.Module, name: str, low: float, high: float) -> tuple[float, float]:
    """Return the ends of a range.

    Raises:
        ConfigError: If the lower end is above the upper one.
    """
    if not low <= high:
        raise ConfigError(f"{type(step).__name__}.{name} must be [lowest, highest]; got [{low}, {high}].")
    return low, high


def drawn_rows(count: int, probability: float) -> Tensor:
    """Return the rows that are changed, on the CPU, so that no device is waited for; all need no random number."""
    if probability >= 1:
        return torch.arange(count)
    return (torch.rand(count) < probability).nonzero()[:, 0]


def uniform(between: tuple[float, float], like: Tensor) -> Tensor:
    """Return a number within a range for each clip, ``(batch,)`` float32, on the device of ``like``, ``(batch, ...)``."""
    low, high = between
    return low + (high - low) * torch.rand(len(like), device=like.device)


def _joined(x: Tensor, lengths: Tensor, rows: Tensor, part: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return a batch with some rows replaced by others of other lengths, as wide as its longest clip."""
    lengths = lengths.index_copy(0, rows, counts)
    width = int(lengths.max())
    out = x.new_zeros(*x.shape[:-1], width)
    kept = min(width, x.shape[-1])
    out[..., :kept] = x[..., :kept]
    out[rows] = nn.functional.pad(part, (0, width - part.shape[-1]))
    return out, lengths
