"""Muon: the momentum of every matrix is orthogonalised before it becomes a step; biases and norms take AdamW's.

Sources: Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/; the step's scale, by which learning rate and
weight decay are those of AdamW, is that of Liu et al., 2025, https://arxiv.org/abs/2502.16982.
`torch.optim.Muon` takes matrices alone: convolutions, biases and norms would need a second optimizer beside it.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration: the fastest growth of small singular values that still ends near 1."""
ITERATIONS = 5
RMS = 0.2
"""Root mean square of AdamW's usual step, which a step is scaled to."""


class Muon(torch.optim.Optimizer):
    """Muon for tensors of two and more dimensions (convolutions as matrices of one row a filter), AdamW for the others.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate, on AdamW's scale.
        weight_decay: Decoupled, as AdamW's.
        momentum: Of Muon, with Nesterov's step.
        betas, eps: Of AdamW.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": tuple(betas), "eps": eps}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; with a closure, evaluate it first and return its loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    move = self._muon if parameter.ndim > 1 else self._adam
                    update = move(parameter, parameter.grad, group)
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])
        return loss

    def _muon(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])
        matrix = orthogonalised(ahead.reshape(len(ahead), -1))
        step: Tensor = matrix.to(parameter.dtype).mul(RMS * max(matrix.shape) ** 0.5).view_as(parameter)
        return step

    def _adam(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
        state = self.state[parameter]
        first, second = (state.setdefault(name, torch.zeros_like(parameter)) for name in ("first", "second"))
        state["steps"] = steps = state.get("steps", 0) + 1
        (low, high), eps = group["betas"], group["eps"]
        first.lerp_(gradient, 1 - low)
        second.mul_(high).addcmul_(gradient, gradient, value=1 - high)
        step: Tensor = first / (1 - low**steps) / ((second / (1 - high**steps)).sqrt() + eps)
        return step


def orthogonalised(matrix: Tensor) -> Tensor:
    """Return the matrix with all singular values brought near 1, by Newton-Schulz iterations.

    Shapes:
        - matrix: ``(row, column)``
        - returns: the same, in bfloat16, which is precise enough here and fast
    """
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
