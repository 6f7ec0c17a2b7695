"""Refuse settings of a training that cannot be used, before anything is read or written."""

from collections.abc import Mapping
from typing import Any

from ser.errors import ConfigError

LARGEST_SEED = 2**32 - 1


def check_training(config: Mapping[str, Any]) -> None:
    """Check the settings that no class checks when it is made.

    Raises:
        ConfigError: With the name of the setting, what it may be, and what it is.
    """
    seed, fold, ckpt = config["seed"], config["fold"], config["ckpt"]
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(f"seed must be an integer from 0 to {LARGEST_SEED}; got {seed!r}.")
    if fold != "all" and (type(fold) is not int or fold < 0):
        raise ConfigError(f"fold must be 0, 1, ... or all; got {fold!r}.")
    if ckpt not in (None, "last"):
        raise ConfigError(f"ckpt must be last or null; got {ckpt!r}. Name the run to resume with paths.run=<folder>.")
    epochs = config["trainer"]["max_epochs"]
    if type(epochs) is not int or epochs < 1:
        raise ConfigError(f"trainer.max_epochs must be an integer of 1 or more; got {epochs!r}.")
