"""Constant learning rate after warm-up."""

from typing_extensions import override

from ser.training.schedules.schedule import Schedule


class Constant(Schedule):
    """After warm-up, the peak."""

    @override
    def factor(self, done: float) -> float:
        return 1.0
