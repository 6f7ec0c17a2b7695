"""The settings that identify a run, whatever its launch, and its name."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ELSEWHERE = ("ckpt", "paths", "logger", "workers", "resident", "sweep", "retries")
"""Settings of the launch and the output folders; no result depends on them."""
LAUNCH = (*ELSEWHERE, "test", "space")
"""Settings in which two launches of the same run may differ."""
OF_SEARCH = ("fold_settings", "searched")
"""Settings that a search sets; runs without them have the identity that they had before there were any."""
TRAINER_LAUNCH = ("accelerator", "enable_progress_bar")
"""The same, of ``trainer``."""
USUAL_ORDER = ("warp", "spec_augment", "mixup")
"""The order of conf/train.yaml; runs in it have the identity that they had before the order of augmentations counted."""
Config = Mapping[str, Any]


def model_name(model: Config) -> str:
    """Name a model: by its pretrained checkpoint, by its name, or by its class.

    Example:
        >>> model_name({"_target_": "ser.models.cnn.CNN"})
        'cnn'
        >>> model_name({"_target_": "ser.models.pretrained.Pretrained", "checkpoint": "openai/whisper-base"})
        'whisper-base'
    """
    checkpoint = model.get("checkpoint") or (model.get("encoder") or {}).get("checkpoint")
    if checkpoint:
        return Path(str(checkpoint)).name
    return str(model.get("name") or str(model["_target_"]).rpartition(".")[2].lower())


def run_name(config: Config) -> str:
    """Name a run by its corpora, model and protocol, in letters, digits, ``-``, ``_``, ``+`` and ``.`` only.

    That of a model with ``fold=final`` ends in ``-final``.

    Example:
        >>> protocol, model = {"name": "luna5"}, {"_target_": "ser.models.cnn.CNN", "checkpoint": "/models/my net=2"}
        >>> run_name({"data": {"corpora": {"ravdess": {}}}, "model": model, "protocol": protocol})
        'ravdess-my_net_2-luna5'
        >>> across = {"name": "cross_corpus", "train": "others", "test": "savee"}
        >>> run_name({"data": {"corpora": {"ravdess": {}, "savee": {}}}, "model": model, "protocol": across})
        'ravdess-to-savee-my_net_2-cross_corpus'
    """
    final = "-final" if config.get("fold") == "final" else ""
    return safe(f"{_corpora(config)}-{model_name(config['model'])}-{protocol_name(config)}{final}")


def fold_part(config: Config) -> str:
    """Name the only fold of a run, at the end of its name; nothing for several, or for the final model.

    Example:
        >>> [fold_part({"fold": fold}) for fold in ("all", 3, "final")]
        ['', '-fold3', '']
    """
    return f"-fold{config['fold']}" if type(config["fold"]) is int else ""


def _corpora(config: Config) -> str:
    """Name the corpora, as ``ravdess-to-savee`` where the protocol says which train and which test."""
    loaded = list(config["data"]["corpora"])
    test, train = (_listed(config["protocol"].get(side)) for side in ("test", "train"))
    train = [name for name in loaded if name not in test] if train == ["others"] else train
    across = test and train and train != test and {*test, *train} <= set(loaded)
    return f"{'+'.join(train)}-to-{'+'.join(test)}" if across else "+".join(loaded)


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else list(names or [])


def data_of(about: Mapping[str, Any]) -> str:
    """Name the corpora of a result, and say which trained and which tested where these are others.

    Example:
        >>> data_of({"corpora": ["ravdess", "savee"]})
        'ravdess+savee'
        >>> data_of({"corpora": ["ravdess", "savee"], "trained_on": ["ravdess"], "tested_on": ["savee"]})
        'trained on ravdess, tested on savee'
    """
    if "tested_on" not in about:
        return "+".join(about["corpora"])
    return f"trained on {'+'.join(about['trained_on'])}, tested on {'+'.join(about['tested_on'])}"


def protocol_name(config: Config) -> str:
    """Name the protocol of a configuration: as it names itself, or by its module."""
    protocol = config["protocol"]
    return str(protocol.get("name") or str(protocol["_target_"]).split(".")[-2])


def safe(text: str) -> str:
    """Replace characters that are not safe in a folder's name by ``_``.

    Example:
        >>> safe("lr=0.1,wd=0")
        'lr_0.1_wd_0'
    """
    return re.sub(r"[^A-Za-z0-9_+.-]+", "_", text)


def essential(config: Config) -> dict[str, Any]:
    """Return the settings that identify a run, without those of its launch.

    Absolute paths are cut to their last part; see `places`.
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


def of_fold(config: Config, number: int) -> dict[str, Any]:
    """Return the settings that a fold is trained with: those of its own replace whole parts of the run's.

    Example:
        >>> of_fold({"seed": 0, "batch_size": 32, "fold_settings": {"fold_1": {"batch_size": 8}}}, 1)
        {'seed': 0, 'batch_size': 8}
    """
    own = (config.get("fold_settings") or {}).get(f"fold_{number}") or {}
    return {key: value for key, value in config.items() if key != "fold_settings"} | dict(own)


def own_settings(config: Config) -> dict[str, dict[str, Any]]:
    """Return the settings in which folds of a run differ from it, by their dotted keys; empty where none does.

    Example:
        >>> folds = {"fold_0": {"optimizer": {"lr": 0.1, "decay": 0}}, "fold_1": {}}
        >>> own_settings({"optimizer": {"lr": 0.2, "decay": 0}, "fold_settings": folds})
        {'0': {'optimizer.lr': 0.1}, '1': {}}
    """
    of_run = dict(_leaves(config))
    return {
        name.removeprefix("fold_"): {
            ".".join(path): value for path, value in _leaves(own or {}) if path and value != of_run.get(path, ABSENT)
        }
        for name, own in (config.get("fold_settings") or {}).items()
    }


def identity(config: Config) -> str:
    """Return a text that is equal for configurations of the same run, wherever its corpora are."""
    return json.dumps(_identity(config), sort_keys=True)


def training_hashes(config: Config, split: str, fingerprint: str) -> dict[str, str]:
    """Return what a checkpoint says of its training: its split, its corpora, and a hash of the settings that identify it.

    Args:
        config: The settings as a run's folder has them, without those of its launch.
        split: The hash of the split.
        fingerprint: That of the corpora.
    """
    settings = hashlib.sha256(identity(essential(config)).encode()).hexdigest()[:16]
    return {"split": split, "fingerprint": fingerprint, "settings": settings}


def differing(old: Config, new: Config) -> list[str]:
    """List the identifying settings that differ between two configurations, with both values.

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
    kept = {key: value for key, value in kept.items() if key not in OF_SEARCH or value is not None}
    data = config.get("data") or {}
    corpora = {name: {k: v for k, v in each.items() if k != "root"} for name, each in data.get("corpora", {}).items()}
    kept["data"] = {**data, "corpora": corpora}
    kept["trainer"] = {k: v for k, v in (kept.get("trainer") or {}).items() if k not in TRAINER_LAUNCH}
    return with_order(kept)


def with_order(config: Config) -> dict[str, Any]:
    """Return settings with the order of the augmentations as one more setting, unless it is the usual one.

    Steps of cleaning need none: they run in an order of their own.

    Example:
        >>> with_order({"augment": {"mixup": {}, "warp": {}}})["augment_order"]
        'mixup+warp'
        >>> with_order({"augment": {"warp": {}, "mixup": {}}})
        {'augment': {'warp': {}, 'mixup': {}}}
    """
    steps = [name for name, step in (config.get("augment") or {}).items() if step is not None and name != "name"]
    if len(steps) < 2 or steps == [name for name in USUAL_ORDER if name in steps]:
        return dict(config)
    return {**config, "augment_order": "+".join(steps)}


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
