"""What the epoch to keep can be selected by, on dev."""

from typing import Literal

MODES: dict[str, Literal["max", "min"]] = {"dev_uar": "max", "dev_loss": "min"}
"""Measures of dev, and which of their values is best."""
