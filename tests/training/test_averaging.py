"""The running average of the weights follows a short training, and is an exponential one in a long training."""

from types import SimpleNamespace
from typing import Any

import lightning as L
import torch
from torch import nn

from ser.training.callbacks import Averaging


class Line(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.tensor(0))


def averaged(weights: list[float], decay: float) -> float:
    callback, module = Averaging(decay), Line()
    trainer: Any = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("cpu")), global_step=0)
    callback.setup(trainer, module, "fit")
    for weight in weights:
        module.weight.data.fill_(weight)
        trainer.global_step += 1
        callback.on_train_batch_end(trainer, module, None, None, 0)
    assert callback._average_model is not None
    return float(callback._average_model.module.weight.detach())


def test_average_of_short_training_is_not_dominated_by_its_start() -> None:
    """After 72 steps at 1, what is left of a first step at 0 is the product of (1 + n) / (10 + n), less than a millionth."""
    left = 1.0
    for n in range(1, 72):
        left *= min(0.99, (1 + n) / (10 + n))
    assert left < 1e-6
    assert abs(averaged([0.0] + [1.0] * 71, 0.99) - (1 - left)) < 1e-6
    assert 0.99**71 > 0.4, "without a warm-up it would be half the start"


def test_average_of_long_training_uses_the_decay() -> None:
    steps = [0.0] * 1000 + [1.0] * 10  # (1 + n) / (10 + n) is above 0.99 from the 890th step on
    assert abs(averaged(steps, 0.99) - (1 - 0.99**10)) < 1e-4
