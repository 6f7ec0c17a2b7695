"""What a run is, apart from how and where it was launched; and what a run is called."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ELSEWHERE = ("ckpt", "paths", "logger", "workers", "resident", "sweep", "retries")
"""How a training is launched and what is written where: no result depends on it."""
LAUNCH = (*ELSEWHERE, "test", "space")
"""Settings in which two launches of the same run may differ."""
TRAINER_LAUNCH = ("accelerator", "enable_progress_bar")
"""The same, of ``trainer``."""
Config = Mapping[str, Any]


def model_name(model: Config) -> str:
    """Name a model: by its pretrained checkpoint, or by its class.

    Example:
        >>> model_name({"_target_": "ser.models.cnn.CNN"})
        'cnn'
        >>> model_name({"_target_": "ser.models.pretrained.Pretrained", "checkpoint": "openai/whisper-base"})
        'whisper-base'
    """
    checkpoint = model.get("checkpoint") or (model.get("encoder") or {}).get("checkpoint")
    if checkpoint:
        return Path(str(checkpoint)).name
    return str(model["_target_"]).rpartition(".")[2].lower()


def run_name(config: Config) -> str:
    """Name a run by its corpora, model and protocol, in letters, digits, ``-``, ``_``, ``+`` and ``.`` only.

    Example:
        >>> protocol, model = {"name": "luna5"}, {"_target_": "ser.models.cnn.CNN", "checkpoint": "/models/my net=2"}
        >>> run_name({"data": {"corpora": {"ravdess": {}}}, "model": model, "protocol": protocol})
        'ravdess-my_net_2-luna5'
    """
    protocol = config["protocol"].get("name") or str(config["protocol"]["_target_"]).split(".")[-2]
    return safe(f"{'+'.join(config['data']['corpora'])}-{model_name(config['model'])}-{protocol}")


def safe(text: str) -> str:
    """Replace what a folder's name should not hold by ``_``.

    Example:
        >>> safe("lr=0.1,wd=0")
        'lr_0.1_wd_0'
    """
    return re.sub(r"[^A-Za-z0-9_+.-]+", "_", text)


def essential(config: Config) -> dict[str, Any]:
    """Return the settings that say what a run is, without those that say how it was launched.

    A file or folder of this machine is named without the folders above it; see `places`.
    """
    kept = {key: value for key, value in config.items() if key not in LAUNCH}
    if kept.get("trainer"):
        kept["trainer"] = {key: value for key, value in kept["trainer"].items() if key not in TRAINER_LAUNCH}
    return {key: named(value) for key, value in kept.items()}


def places(config: Config) -> dict[str, str]:
    """Return every absolute path among the `essential` settings, by its dotted key.

    Example:
        >>> places({"model": {"checkpoint": "/models/mine", "width": 8}, "paths": {"runs": "/runs"}})
        {'model.checkpoint': '/models/mine'}
    """
    kept = {key: value for key, value in config.items() if key not in LAUNCH}
    return {".".join(path): value for path, value in _leaves(kept) if _is_place(value)}


def identity(config: Config) -> str:
    """Return as text what makes two configurations the same run; where corpora lie does not."""
    return json.dumps(_identity(config), sort_keys=True)


def differing(old: Config, new: Config) -> list[str]:
    """List the settings in which two configurations are not the same run, with both values.

    Example:
        >>> differing({"trainer": {"max_epochs": 1}, "ckpt": None}, {"trainer": {"max_epochs": 3}, "ckpt": "last"})
        ['trainer.max_epochs is 1 there and 3 here']
    """
    there, here = (dict(_leaves(_identity(config))) for config in (old, new))
    values = [(key, there.get(key, ABSENT), here.get(key, ABSENT)) for key in dict.fromkeys([*there, *here])]
    return [f"{'.'.join(key)} is {_shown(o)} there and {_shown(n)} here" for key, o, n in values if o != n]


ABSENT = "absent"


def _identity(config: Config) -> dict[str, Any]:
    kept = {key: value for key, value in config.items() if key not in LAUNCH}
    data = config.get("data") or {}
    corpora = {name: {k: v for k, v in each.items() if k != "root"} for name, each in data.get("corpora", {}).items()}
    kept["data"] = {**data, "corpora": corpora}
    kept["trainer"] = {k: v for k, v in (kept.get("trainer") or {}).items() if k not in TRAINER_LAUNCH}
    return kept


def named(value: Any) -> Any:
    """Return settings with each absolute path in them cut to its last part."""
    if isinstance(value, Mapping):
        return {key: named(below) for key, below in value.items()}
    return Path(value).name if _is_place(value) else value


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, str(key)))
    else:
        yield path, value


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith("~") or Path(value).is_absolute())


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
