"""Say which extra to install where a package of it is missing: the base of this library predicts by exported models alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from ser.errors import ConfigError

TRAIN = frozenset(
    [
        "filelock",
        "hydra",
        "jinja2",
        "lightning",
        "matplotlib",
        "omegaconf",
        "pooch",
        "pyarrow",
        "requests",
        "rich",
        "scipy",
        "seaborn",
        "sklearn",
        "skops",
        "threadpoolctl",
        "torch",
        "torchaudio",
        "torchmetrics",
        "typing_extensions",
        "wandb",
        "yaml",
    ]
)
"""Modules that the extra ``train`` brings."""


@contextmanager
def packages_named(extra: str = "train") -> Iterator[None]:
    """Turn the error of a missing package into a sentence. Also decorates functions.

    Args:
        extra: What brings the package.

    Raises:
        ConfigError: If a package of the extra ``train`` is missing.

    Example:
        >>> with packages_named():
        ...     raise ModuleNotFoundError(name="lightning")
        Traceback (most recent call last):
        ser.errors.ConfigError: This needs the package lightning, which is not installed. Run pip install 'ser[train]'.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in TRAIN:
            raise
        raise ConfigError(
            f"This needs the package {error.name}, which is not installed. Run pip install 'ser[{extra}]'."
        ) from error


def of_extra(name: str, extra: str, what: str) -> Any:
    """Import a package of an optional extra, or a module of one.

    Args:
        name: Of the module.
        extra: What ``pip install 'ser[...]'`` calls it.
        what: What needs it, in the plural, for the message.

    Raises:
        ConfigError: If it is not installed.

    Example:
        >>> of_extra("no_such_package.part", "hub", "Published models")
        Traceback (most recent call last):
        ser.errors.ConfigError: Published models need the package no_such_package. Run pip install 'ser[hub]'.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        package = name.partition(".")[0]
        if error.name != package:
            raise
        raise ConfigError(f"{what} need the package {package}. Run pip install 'ser[{extra}]'.") from error
