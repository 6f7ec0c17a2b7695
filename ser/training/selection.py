"""Measures on dev that the kept epoch can be selected by."""

from typing import Literal

MODES: dict[str, Literal["max", "min"]] = {"dev_uar": "max", "dev_loss": "min"}
"""Each measure, and whether its highest or lowest value is best."""
