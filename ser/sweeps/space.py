"""The space of a search: ranges of settings, read from overrides, as distributions of Optuna."""

import math
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from omegaconf import DictConfig, OmegaConf

from ser.errors import ConfigError
from ser.runtime.composition import literal

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def space_of(overrides: Sequence[Override]) -> "tuple[list[str], dict[str, BaseDistribution]]":
    """Separate what is searched from what is fixed.

    Args:
        overrides: Parsed by Hydra: ``interval(1e-4,1e-2)``, ``tag(log,interval(1e-4,1e-2))``, ``tag(int,interval(1,64))``,
            ``range(1,5)``, which excludes its end, and ``choice(a,b)`` or ``a,b``. The last override of a key counts.

    Returns:
        The fixed overrides, and the distributions by key.

    Raises:
        ConfigError: If Optuna is not installed, or has no such distribution.
    """
    if find_spec("optuna") is None:
        raise ConfigError("hparams_search=optuna needs its package: pip install 'ser[search]'.")
    last = {override.get_key_element(): override for override in overrides}
    fixed = [f"{key}={o.get_value_element_as_str()}" for key, o in last.items() if not o.is_sweep_override()]
    return fixed, {key: _distribution(key, override) for key, override in last.items() if override.is_sweep_override()}


def settings_of_space(space: Mapping[str, str | None], config: DictConfig) -> tuple[dict[str, str], list[str]]:
    """Separate the ranges of ``conf/space`` by whether the configuration has their settings: a loss may have no smoothing.

    A range that is null is not searched: a model may not use the setting.

    Returns:
        The ranges of settings that the configuration has, and the names of the others.
    """
    ranges = {key: value for key, value in space.items() if value is not None}
    here = {key: value for key, value in ranges.items() if _has(config, key)}
    return here, [key for key in ranges if key not in here]


def _has(config: DictConfig, key: str) -> bool:
    above, _, last = key.rpartition(".")
    node = OmegaConf.select(config, above) if above else config
    return isinstance(node, DictConfig) and last in set(node)


def _distribution(key: str, override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    try:
        if isinstance(value, ChoiceSweep):
            return CategoricalDistribution(list(override.sweep_string_iterator()))
        if isinstance(value, IntervalSweep):
            start, end, log_scale = value.start or 0, value.end or 0, "log" in value.tags
            if "int" in value.tags:
                return IntDistribution(int(start), int(end), log=log_scale)
            return FloatDistribution(float(start), float(end), log=log_scale)
        if isinstance(value, RangeSweep):
            start, stop, step = value.start or 0, value.stop or 0, value.step
            last = start + step * (math.ceil((stop - start) / step) - 1)
            if all(isinstance(number, int) for number in (start, stop, step)):
                return IntDistribution(int(start), int(last), step=int(step))
            return FloatDistribution(float(start), float(last), step=float(step))
    except ValueError as error:
        raise ConfigError(f"{key}={override.get_value_string()} cannot be searched: {error}") from error
    raise ConfigError(f"{key}={override.get_value_string()} cannot be searched. Give interval, range or choice.")


def as_text(value: Any) -> str:
    """Return a value as an override has it; text is as it was read from one.

    Example:
        >>> [as_text(value) for value in (1e-05, 3, True, None, "relu")]
        ['1e-05', '3', 'true', 'null', 'relu']
    """
    return value if isinstance(value, str) else literal(value)


def in_space(value: Any, distribution: "BaseDistribution") -> Any:
    """Return a setting as a distribution has it; ``None`` where it is not in the distribution."""
    from optuna.distributions import CategoricalDistribution

    if isinstance(distribution, CategoricalDistribution):
        return as_text(value) if as_text(value) in distribution.choices else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if distribution._contains(distribution.to_internal_repr(value)) else None
