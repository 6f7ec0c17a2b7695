"""Say which extra to install where a package of it is missing: the base of this library predicts by exported models alone."""

from collections.abc import Iterator
from contextlib import contextmanager

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
