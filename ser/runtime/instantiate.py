"""Instantiate an object from a mapping with ``_target_``, the import path of its class. There is no other registry.

Checkpoints contain such mappings too, so only classes of the expected kind are called.
"""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, TypeVar

from ser.errors import ConfigError
from ser.runtime.migration import moved
from ser.runtime.packages import packages_named

T = TypeVar("T")


def instantiate(config: Mapping[str, Any], kind: type[T], **more: Any) -> T:
    """Call the class that ``config["_target_"]`` names with the other entries, and ``more``, as its arguments.

    Raises:
        ConfigError: If the class does not exist, is not a ``kind``, or does not take these arguments.

    Example:
        >>> from ser.corpora.labels import LabelScheme
        >>> instantiate({"_target_": "ser.corpora.labels.LabelScheme", "name": "native"}, LabelScheme).target
        'intended'
    """
    cls = find_class(str(config.get("_target_", "")), kind)
    arguments = {str(key): value for key, value in config.items() if key != "_target_"} | more
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as error:
        takes = ", ".join(inspect.signature(cls).parameters)
        raise ConfigError(f"{config['_target_']}: {error}. It takes: {takes}.") from error
    return cls(**arguments)


def settings_from(cls: type[T], entries: Mapping[str, Any], name: str) -> T:
    """Return the dataclass that holds some settings, which the user calls ``name``.

    Raises:
        ConfigError: If a field is unknown, or one without a default is missing.

    Example:
        >>> from ser.audio.decode import AudioSettings
        >>> settings_from(AudioSettings, {"sample_rate": 8000}, "audio").sample_rate
        8000
        >>> settings_from(AudioSettings, {"sample_rat": 8000}, "audio")
        Traceback (most recent call last):
        ...
        ser.errors.ConfigError: audio takes sample_rate, trim_db, min_ms; got sample_rat. Did you mean audio.sample_rate?
    """
    takes = list(inspect.signature(cls).parameters)
    for key in entries:
        if key not in takes:
            (near,) = get_close_matches(str(key), takes, n=1, cutoff=0.0)
            raise ConfigError(f"{name} takes {', '.join(takes)}; got {key}. Did you mean {name}.{near}?")
    try:
        return cls(**{str(key): value for key, value in entries.items()})
    except TypeError as error:
        raise ConfigError(f"{name} is incomplete: {error}.") from error


def find_class(path: str, kind: type[T]) -> type[T]:
    """Return the class at an import path.

    Raises:
        ConfigError: If it does not exist or is no subclass of ``kind``.
    """
    module, _, name = moved(path).rpartition(".")
    if not (module and name) or path.startswith("."):
        raise ConfigError(f"_target_ must be the import path of a class, such as ser.models.cnn.CNN; got {path!r}.")
    try:
        with packages_named():
            found = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name and "." in error.name and module.startswith(error.name):
            raise ConfigError(f"_target_: {path}: there is no module {error.name}.") from error
        raise ConfigError(
            f"_target_: {path} needs the package {error.name}, which is not installed. Run pip install {error.name}."
        ) from error
    except AttributeError as error:
        raise ConfigError(f"_target_: the module {module} has no {name}.") from error
    if not isinstance(found, type) or not _is_kind(found, kind):
        raise ConfigError(f"_target_: {path} is not a {kind.__name__}.")
    return found


def _is_kind(found: type, kind: type) -> bool:
    """Whether a class is a subclass, or has the methods of an interface (a typing.Protocol, whose users subclass nothing)."""
    if not getattr(kind, "_is_protocol", False):
        return issubclass(found, kind)
    methods = [name for name, value in vars(kind).items() if callable(value) and not name.startswith("_")]
    return all(callable(getattr(found, name, None)) for name in methods)
