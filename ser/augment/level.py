"""Level and polarity of a recording."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Drawn, checked_range, uniform


class Gain(Augmentation):
    """Change the level. Nothing is clipped at full scale.

    Args:
        db: Lowest and highest gain in dB.
        probability: See `Augmentation`.
    """

    domain: ClassVar[str] = "waveform"

    def __init__(self, db: Sequence[float] = (-12.0, 12.0), probability: float = 1.0) -> None:
        super().__init__(probability)
        self.db = checked_range(self, "db", *db)

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        return (uniform(self.db, rows),)

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        (db,) = drawn
        return x * 10 ** (db[:, None] / 20), lengths


class Polarity(Augmentation):
    """Turn the sign of all samples, as a microphone that is wired the other way does."""

    domain: ClassVar[str] = "waveform"

    def __init__(self, probability: float = 0.5) -> None:
        super().__init__(probability)

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        return ()

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        return torch.neg(x), lengths
