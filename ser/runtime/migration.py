"""Migration of runs and checkpoints of version 0.1: the only module that knows their format."""

import re
from collections.abc import Mapping
from typing import Any

Settings = dict[str, Any]

MOVED = {
    "ser.labels": "ser.corpora.labels",
    "ser.encoders": "ser.models.encoders",
    "ser.robustness": "ser.rescoring.robustness",
    "ser.adaptation": "ser.rescoring.adaptation",
    "ser.studies.comparison.Comparison": "ser.comparison.leaderboard.Leaderboard",
    "ser.studies": "ser.comparison",
}
"""Maps old import paths to new ones; the first match applies."""
TASK = ("classes", "audio", "features", "normalise", "augment", "optimizer", "loss", "stamps")
"""Arguments of models of version 0.1 besides those of their own network."""
ENCODER = ("checkpoint", "revision", "pickle", "layer", "silence", "attention", "batch_seconds", "cache")
FINETUNE = ("front_end", "lora", "mask", "gradient_checkpointing", "compile")
HEAD = ("pool", "hidden", "dropout", "swap")

PACKED = re.compile(r"^lstm\.(\w+)_l(\d+)(_reverse)?$")
"""Names of the weights of a BiLSTM of version 0.1, whose directions were one module."""


def moved(path: str) -> str:
    """Return the current import path.

    Example:
        >>> moved("ser.labels.LabelScheme"), moved("ser.models.cnn.CNN")
        ('ser.corpora.labels.LabelScheme', 'ser.models.cnn.CNN')
    """
    for old, new in MOVED.items():
        if path == old or path.startswith(f"{old}."):
            return new + path.removeprefix(old)
    return path


def moved_targets(config: Any) -> Any:
    """Return a configuration with the current import path in every ``_target_``."""
    if isinstance(config, Mapping):
        return {key: moved(str(value)) if key == "_target_" else moved_targets(value) for key, value in config.items()}
    return [moved_targets(value) for value in config] if isinstance(config, list) else config


def run_block(block: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``run`` entry of a metrics.json in the current form: ``splits`` has the hash of each fold's split.

    Example:
        >>> run_block({"fold": 3, "split_hash": "b45a"}), run_block({"split_hash": ["b45a", "07c1"]})
        ({'splits': {'3': 'b45a'}}, {'splits': {'0': 'b45a', '1': '07c1'}})
    """
    now = dict(block)
    if "split_hash" in now:
        fold, hashes = now.pop("fold", 0), now.pop("split_hash")
        now["splits"] = {str(fold): hashes} if isinstance(hashes, str) else {str(i): h for i, h in enumerate(hashes)}
    return now


def migrated_hparams(old: Mapping[str, Any]) -> Settings:
    """Return the hyperparameters of a checkpoint in the form of this version's models."""
    if "task" in old:
        return dict(old)
    task = {name: old[name] for name in ("classes", "audio", "features")}
    task |= {"normalise": _normalise(old["normalise"]), "stamps": list(old.get("stamps", ()))}
    net = {name: value for name, value in old.items() if name not in TASK}
    if "checkpoint" in net:
        net = _pretrained(net, old["optimizer"])
    return {"task": task, **net}


def migrated_weights(old: Mapping[str, Any]) -> Settings:
    """Return the weights of a checkpoint by the names that this version's models have for them.

    Example:
        >>> list(migrated_weights({"lstm.bias_hh_l1_reverse": 0, "lstm.weight_ih_l0": 0, "head.1.bias": 0}))
        ['layers.1.back.bias_hh_l0', 'layers.0.ahead.weight_ih_l0', 'head.1.bias']
    """
    return {PACKED.sub(_direction, name): value for name, value in old.items()}


def _direction(name: re.Match[str]) -> str:
    weight, layer, reverse = name.groups()
    return f"layers.{layer}.{'back' if reverse else 'ahead'}.{weight}_l0"


def migrated_config(config: Mapping[str, Any]) -> Settings:
    """Return the settings of a training in the form of this version."""
    if "optimizer" not in config.get("model", {}):
        return dict(config)
    model = dict(config["model"])
    old, by = model.pop("optimizer"), model.pop("normalise")
    selection = dict(config["selection"])
    decay, patience = selection.pop("ema", None), selection.pop("patience", None)
    callbacks: Settings = {}
    if decay is not None:
        callbacks["averaging"] = {"_target_": "ser.training.callbacks.Averaging", "decay": decay}
    if patience is not None:
        stopping = {"_target_": "ser.training.callbacks.EarlyStopping", "by": selection["by"], "patience": patience}
        callbacks["early_stopping"] = stopping
    if "checkpoint" in model:
        target = model.pop("_target_")
        model = {"_target_": target, **_pretrained(model, old)}
    return {
        **config,
        "model": model,
        "normalise": _normalise(by),
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": old["lr"], "weight_decay": old["weight_decay"]},
        "schedule": {"_target_": "ser.training.schedules.cosine.Cosine", "warmup": old["warmup"]},
        "loss": {"_target_": "ser.training.losses.cross_entropy.CrossEntropy", **config["loss"]},
        "selection": selection,
        "callbacks": callbacks,
    }


def _normalise(by: str) -> Settings:
    return {"_target_": "ser.features.normalise.Normalise", "by": by}


def _pretrained(net: Mapping[str, Any], optimizer: Mapping[str, Any]) -> Settings:
    """Return the three groups of a pretrained model's settings, and its architecture if a checkpoint has it."""
    finetune = {name: net[name] for name in FINETUNE if name in net}
    finetune |= {"layers": net["trained"], "lr": optimizer.get("encoder_lr")}
    finetune["layer_decay"] = optimizer.get("layer_decay", 1.0)
    return {
        "encoder": {name: net[name] for name in ENCODER if name in net},
        "finetune": finetune,
        "head": {name: net[name] for name in HEAD if name in net} | {"count": net["heads"]},
        **({"architecture": net["architecture"]} if "architecture" in net else {}),
    }
