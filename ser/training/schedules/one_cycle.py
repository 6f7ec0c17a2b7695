"""One-cycle schedule, by torch's own implementation.

Source: Smith and Topin, 2019, https://arxiv.org/abs/1708.07120.
"""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from ser.errors import ConfigError


class OneCycle(OneCycleLR):
    """Up from a small rate to the peak, then down to nearly zero, both as half a cosine; momentum stays as it is.

    Args:
        optimizer: Whose learning rates are the peak ones.
        steps: Of the whole training.
        warmup: Share of the steps before the peak.
        start: The first rate is the peak divided by this.
        end: The last rate is the first divided by this.

    Raises:
        ConfigError: If ``warmup`` is not a share.
    """

    def __init__(
        self, optimizer: Optimizer, steps: int, warmup: float = 0.3, start: float = 25.0, end: float = 1e4
    ) -> None:
        if not 0 < warmup < 1:
            raise ConfigError(f"schedule.warmup must be a share of the steps, above 0 and below 1; got {warmup}.")
        super().__init__(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=steps + 1,  # Lightning asks once more after the last step
            pct_start=warmup,
            cycle_momentum=False,
            div_factor=start,
            final_div_factor=end,
        )
