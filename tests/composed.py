"""Settings as a command line composes them; Hydra, which takes its time, composes each choice of groups once."""

import copy
import functools
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from ser.runtime.conf_dir import conf_dir
from ser.runtime.parts import fill_parts


def composed(*overrides: str, config: str = "train") -> dict[str, Any]:
    """Return the whole configuration of ``python -m ser.<config> <overrides>`` as plain data."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    values = [override for override in parsed if _only_changes_a_value(override)]
    chosen = _composed(config, *(o.input_line or "" for o in parsed if o not in values))
    made = copy.deepcopy(chosen)
    for override in values:
        OmegaConf.update(made, override.key_or_group, override.value(), merge=True)
    fill_parts(made)
    plain = OmegaConf.to_container(made, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _only_changes_a_value(override: Override) -> bool:
    """Whether it chooses no file of ``conf/`` and adds nothing."""
    is_group = Path(conf_dir(), override.key_or_group).is_dir()
    return override.type is OverrideType.CHANGE and override.package is None and not is_group


@functools.cache
def _composed(config: str, *overrides: str) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        return compose(config, list(overrides))
