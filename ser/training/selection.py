"""Measures on dev, of classes or of numbers, that the kept epoch can be selected by."""

from typing import Literal

MODES: dict[str, Literal["max", "min"]] = {"dev_uar": "max", "dev_loss": "min", "dev_ccc": "max"}
"""Each measure, and whether its highest or lowest value is best."""
