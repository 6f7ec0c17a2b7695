"""`Loss`: what every training loss shares: soft targets, label smoothing and class weights."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.features.precision import at_least_float32
from ser.runtime import distributed


class Loss(nn.Module):
    """The weighted mean over clips of a loss in nats. A subclass adds `Loss.per_clip`, or `forward` if clips do not add up.

    Of several processes each has its share of a batch: the mean of what they return is the loss of the whole batch.

    Shapes:
        - logits: ``(batch, class)``
        - target: ``(batch, class)``, rows that sum to 1
        - returns: a scalar

    Args:
        counts: Training clips of each class.
        class_weights: ``balanced`` gives every class the same total weight; ``None`` gives every clip the same.
        label_smoothing: Share of the target that is spread evenly over all classes.

    Attributes:
        numeric: Whether it is of numbers, ``(batch, dimension)`` outputs and standardised targets, instead of classes.
        least_batch: Clips that a batch needs to teach anything.

    Raises:
        ConfigError: If a setting cannot be used, or ``balanced`` meets a class without training clips.
    """

    numeric: ClassVar[bool] = False
    least_batch: ClassVar[int] = 1
    class_weights: Tensor | None

    def __init__(
        self, counts: Mapping[str, int], class_weights: Literal["balanced"] | None = None, label_smoothing: float = 0.0
    ) -> None:
        super().__init__()
        if class_weights not in ("balanced", None):
            raise ConfigError(f"loss.class_weights must be balanced or null; got {class_weights!r}.")
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing must be at least 0 and below 1; got {label_smoothing}.")
        self.label_smoothing = float(label_smoothing)
        weights = None
        if class_weights == "balanced":
            if absent := [name for name, count in counts.items() if not count]:
                raise ConfigError(
                    f"loss.class_weights must be null where a class has no training clips; got balanced, and none of "
                    f"{', '.join(absent)}. Set loss.class_weights=null, or choose other labels."
                )
            total = sum(counts.values())
            weights = torch.tensor([total / (len(counts) * count) for count in counts.values()])
        self.register_buffer("class_weights", weights, persistent=False)

    @abstractmethod
    def per_clip(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each clip, ``(batch,)``, from logits and smoothed targets, ``(batch, class)`` each."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the weighted mean over clips."""
        smooth = target * (1 - self.label_smoothing) + self.label_smoothing / target.shape[1]
        losses = self.per_clip(at_least_float32(logits), smooth)
        weight = torch.ones_like(losses) if self.class_weights is None else target @ self.class_weights
        return (weight * losses).sum() * distributed.world_size() / distributed.all_reduce_sum(weight.sum())
