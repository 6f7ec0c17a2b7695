"""`Schedule`: a learning rate as a factor that depends on the step, after a linear warm-up."""

from abc import abstractmethod
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from typing_extensions import override

from ser.errors import ConfigError


class Schedule(LambdaLR):
    """The learning rate of every parameter group, changed by step. A subclass adds `Schedule.factor`.

    Args:
        optimizer: Whose learning rates are the peak ones.
        steps: Of the whole training.
        warmup: Share of the steps in which the rate rises linearly to its peak.

    Raises:
        ConfigError: If ``warmup`` is not a share.
    """

    def __init__(self, optimizer: Optimizer, steps: int, warmup: float = 0.1) -> None:
        if not 0 <= warmup <= 1:
            raise ConfigError(f"schedule.warmup must be a share of the steps, from 0 to 1; got {warmup}.")
        self.warm = max(1, round(warmup * steps))
        self.steps = steps
        super().__init__(optimizer, self._rate)

    @abstractmethod
    def factor(self, done: float) -> float:
        """Return the factor of the learning rate when this share, from 0 to 1, of the steps after warm-up is done."""

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        # A training that is resumed with more epochs follows the schedule of its new length from the step it is at.
        super().load_state_dict({k: v for k, v in state_dict.items() if k not in ("warm", "steps")})

    def _rate(self, step: int) -> float:
        if step < self.warm:
            return (step + 1) / self.warm
        return self.factor(min(1.0, (step - self.warm) / max(1, self.steps - self.warm)))
