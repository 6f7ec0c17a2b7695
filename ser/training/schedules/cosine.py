"""Cosine schedule, down to zero.

Source: Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, without restarts.
"""

import math

from typing_extensions import override

from ser.training.schedules.schedule import Schedule


class Cosine(Schedule):
    """After warm-up, half a cosine from the peak to zero."""

    @override
    def factor(self, done: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * done))
