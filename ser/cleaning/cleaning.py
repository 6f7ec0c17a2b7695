"""`Cleaning`: the steps of a configuration, one after another in their stated order."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.runtime.instantiate import instantiate


class Cleaning(nn.Module):
    """All steps of a configuration; see `ser.cleaning` for the shapes. Without steps it changes nothing.

    Args:
        steps: By name, ``_target_`` and arguments of modules of `ser.cleaning`.

    Raises:
        ConfigError: If a step cannot be made, or has no place.
    """

    def __init__(self, steps: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        made = {name: instantiate(config, nn.Module) for name, config in steps.items()}
        for name, step in made.items():
            if not isinstance(getattr(step, "place", None), int):
                raise ConfigError(
                    f"cleaning.{name} must have an integer place, by which steps are ordered; {type(step).__name__} has "
                    "none. Set it as an attribute of the class."
                )
        self.steps = nn.ModuleList(step for _, step in sorted(made.items(), key=lambda one: (one[1].place, one[0])))

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cleaned batch with its lengths."""
        with torch.autocast(waveform.device.type, enabled=False):  # half precision cannot hold samples
            for step in self.steps:
                waveform, lengths = step(waveform, lengths)
        return waveform, lengths
