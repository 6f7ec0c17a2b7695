"""Refuse settings of a training that cannot be used, before anything is read or written."""

import logging
import re
from collections.abc import Mapping
from typing import Any

from ser.errors import ConfigError
from ser.evaluation.measure import CLASSES, NUMBERS
from ser.runs.identity import LAUNCH, OF_SEARCH
from ser.runtime.instantiate import find_class

log = logging.getLogger(__name__)

LARGEST_SEED = 2**32 - 1
TRAINING = ("loss", "optimizer", "schedule", "callbacks")
"""Groups of settings that only a training by gradients uses."""
OF_ALL_FOLDS = ("audio", "audit", "data", "fold", "labels", "protocol", "seed", "strict", *LAUNCH, *OF_SEARCH)
"""Settings that are the same in all folds of a run."""


def check_training(config: Mapping[str, Any]) -> None:
    """Check the settings that no class checks when it is made.

    Raises:
        ConfigError: With the name of the setting, what it may be, and what it is.
    """
    seed, fold, ckpt = config["seed"], config["fold"], config["ckpt"]
    if type(seed) is not int or not 0 <= seed <= LARGEST_SEED:
        raise ConfigError(f"seed must be an integer from 0 to {LARGEST_SEED}; got {seed!r}.")
    if fold not in ("all", "final") and (type(fold) is not int or fold < 0):
        raise ConfigError(f"fold must be 0, 1, ..., all or final; got {fold!r}.")
    if ckpt not in (None, "last"):
        raise ConfigError(f"ckpt must be last or null; got {ckpt!r}. Name the run to resume with paths.run=<folder>.")
    _check_fold_settings(config)
    epochs = config["trainer"]["max_epochs"]
    if type(epochs) is not int or epochs < 1:
        raise ConfigError(f"trainer.max_epochs must be an integer of 1 or more; got {epochs!r}.")


def _check_fold_settings(config: Mapping[str, Any]) -> None:
    for name, own in (config.get("fold_settings") or {}).items():
        if not re.fullmatch(r"fold_\d+", str(name)):
            raise ConfigError(f"fold_settings must be those of fold_0, fold_1, ...; got {name}. Correct the name.")
        if shared := sorted(key for key in own or {} if key not in config or key in OF_ALL_FOLDS):
            raise ConfigError(
                f"fold_settings.{name} must be settings in which folds may differ; got {shared[0]}. Leave it out."
            )


def check_kind(config: Mapping[str, Any], numeric: bool) -> None:
    """Check that the loss, and what chooses an epoch, are of the kind of the targets: numbers or classes.

    Raises:
        ConfigError: If a setting is of the other kind, or batches are too small for the loss; or if a classical model,
            which is fitted once, has settings of a training.
    """
    from ser.models.classifier import SpeechClassifier  # late: settings are checked without torch
    from ser.training.losses.loss import Loss

    if not find_class(str(config["model"].get("_target_")), SpeechClassifier).by_gradients:
        _check_classical(config, numeric)
        return
    kind = find_class(str(config["loss"].get("_target_")), Loss)
    if kind.numeric != numeric:
        allowed = "ccc or mse to predict numbers" if numeric else "a loss of classes, such as cross_entropy,"
        remedy = "Set loss=ccc." if numeric else "Set labels=dimensions to predict numbers."
        raise ConfigError(f"loss must be {allowed} with these labels; got {kind.__name__}. {remedy}")
    if type(size := config["batch_size"]) is int and 0 < size < kind.least_batch:
        least = f"batch_size must be {kind.least_batch} or more with the loss {kind.__name__}"
        raise ConfigError(f"{least}; got {size}. Set a larger batch_size, or loss=mse.")
    own, other = (NUMBERS, CLASSES) if numeric else (CLASSES, NUMBERS)
    asked = {"selection.by": config["selection"]["by"]}
    for name, callback in (config.get("callbacks") or {}).items():
        asked[f"callbacks.{name}.by"] = (callback or {}).get("by")
    if wrong := [name for name, by in asked.items() if by == other.dev]:
        raise ConfigError(f"{wrong[0]} must be {own.dev} or dev_loss with these labels; got {other.dev}.")


def _check_classical(config: Mapping[str, Any], numeric: bool) -> None:
    from ser.baselines.candidates import estimator_for

    model = config["model"]
    name = model["name"]
    estimator_for(name, model["estimator"], model.get("regressor"), numeric)
    if config.get("augment"):
        raise ConfigError(
            f"augment must not be set with model={name}, which is fitted once on unchanged clips. Leave it out."
        )
    if unused := [group for group in TRAINING if config.get(group)]:  # as in a sweep over models of both kinds
        log.info("Not used by model=%s, which is fitted once: %s.", name, ", ".join(unused))
    if config["selection"]["by"] not in (by := ((NUMBERS if numeric else CLASSES).dev, "dev_loss")):
        raise ConfigError(f"selection.by must be {' or '.join(by)}; got {config['selection']['by']!r}.")
    if config["trainer"]["max_epochs"] != 1:
        log.info("trainer.max_epochs is not used by model=%s, which is fitted once.", name)
