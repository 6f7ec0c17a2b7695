"""From plain settings to what a training is made of: corpora, data module, model, trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.corpus import Corpus
from ser.errors import ConfigError
from ser.runtime import distributed
from ser.runtime.instantiate import instantiate
from ser.training.selection import MODES

if TYPE_CHECKING:
    import lightning as L
    from lightning.pytorch.loggers import Logger

    from ser.datamodules.speech import SpeechDataModule
    from ser.models.classifier import SpeechClassifier
    from ser.training.module import Training

Config = Mapping[str, Any]
ADAPTED = "speaker-adapted"
"""Stamps a result that was had knowing each test speaker's own recordings, without their labels."""


def build_corpora(config: Config) -> dict[str, Corpus]:
    """The corpora that a configuration names."""
    return {name: instantiate(corpus, Corpus) for name, corpus in config["data"]["corpora"].items()}


def fingerprint(config: Config) -> str:
    """Names the recordings that a configuration is trained on, whose waveform stores are made where they lack.

    Raises:
        SerError: If a corpus is absent, or cannot be used.
    """
    settings, where, strict = AudioSettings(**config["audio"]), config["paths"]["stores"], config["strict"]
    stores = [prepare(corpus, where, settings, strict=strict) for corpus in build_corpora(config).values()]
    return "+".join(store.fingerprint for store in stores)


def build_data(config: Config, fold: int) -> "SpeechDataModule":
    """The data module of one fold, not yet set up."""
    from ser.corpora.labels import LabelScheme
    from ser.datamodules.speech import SpeechDataModule
    from ser.protocols.split import Protocol

    return SpeechDataModule(
        corpora=build_corpora(config),
        labels=instantiate(config["labels"], LabelScheme),
        protocol=instantiate(config["protocol"], Protocol),
        stores=config["paths"]["stores"],
        fold=fold,
        settings=AudioSettings(**config["audio"]),
        batch_size=config["batch_size"],
        resident=config["resident"],
        workers=config["workers"],
        seed=config["seed"],
        strict=config["strict"],
        audit=config.get("audit", "refuse"),
    )


def build_model(config: Config, data: "SpeechDataModule") -> "SpeechClassifier":
    """Return the untrained model for some data."""
    from ser.models.classifier import SpeechClassifier

    task = {
        "classes": list(data.classes),
        "audio": dict(config["audio"]),
        "features": dict(config.get("features") or {}),
        "normalise": dict(config["normalise"]),
        "stamps": stamps_of(config, data),
    }
    return instantiate(config["model"], SpeechClassifier, task=task)


def build_training(config: Config, model: "SpeechClassifier", data: "SpeechDataModule") -> "Training":
    """Return the training of a model."""
    from ser.training.losses.loss import Loss
    from ser.training.module import Training

    loss = instantiate(config["loss"], Loss, counts=data.class_counts())
    augment = {name: step for name, step in (config.get("augment") or {}).items() if step is not None}
    return Training(model, loss, augment, config["optimizer"], config["schedule"])


def stamps_of(config: Config, data: "SpeechDataModule") -> list[str]:
    """The words that every result of a run must carry: those of its data, and that a model knows its test speakers."""
    return [*data.stamps, *([ADAPTED] if config["normalise"].get("by") == "speaker" else [])]


def labels_of(data: "SpeechDataModule") -> str:
    """A line on the label scheme and on what it merges and drops of the emotions that the corpora have."""
    return data.labels.describe(pd.concat([part.manifest["emotion"] for part in data.parts]))


def build_trainer(config: Config, folder: Path, loggers: "list[Logger]", history: "L.Callback") -> "L.Trainer":
    """The Lightning trainer, with callbacks that keep the best weights on dev and the last."""
    import lightning as L
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
    from lightning.pytorch.strategies import Strategy

    from ser.training.callbacks import Averaging, Best, KeepSigterm, SeedEachBatch, Trial

    chosen = config["selection"]
    if chosen["by"] not in MODES:
        raise ConfigError(f"selection.by must be one of {', '.join(MODES)}; got {chosen['by']!r}.")
    by, mode = chosen["by"], MODES[chosen["by"]]
    checkpoints = folder / "checkpoints"
    callbacks: list[L.Callback] = [
        SeedEachBatch(config["seed"]),
        KeepSigterm(),
        history,
        Best(checkpoints, "best", by, mode=mode, enable_version_counter=False),
        ModelCheckpoint(checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]
    callbacks += [
        instantiate(each, L.Callback) for each in (config.get("callbacks") or {}).values() if each is not None
    ]
    if (trial := config["sweep"]["trial"]) is not None:
        callbacks.append(Trial(**trial))
    settings = dict(config["trainer"])
    settings["enable_progress_bar"] = bool(settings["enable_progress_bar"]) and distributed.process_rank() == 0
    if settings["enable_progress_bar"]:
        callbacks.append(RichProgressBar(leave=False))
    if isinstance(strategy := settings.get("strategy"), Mapping):
        if any(isinstance(callback, Averaging) for callback in callbacks):
            raise ConfigError(
                "callbacks must not include averaging where the trainer shards the weights. Set callbacks.averaging=null."
            )
        settings["strategy"] = instantiate(strategy, Strategy)
    if settings["accelerator"] == "auto":  # a GPU or the CPU: Apple's MPS lacks the double precision of statistics
        settings["accelerator"] = "gpu" if torch.cuda.is_available() else "cpu"
    try:
        return instantiate(
            settings,
            L.Trainer,
            default_root_dir=str(folder),
            logger=loggers or False,
            callbacks=callbacks,
            plugins=[distributed.cluster_environment()],
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise ConfigError(f"lightning.Trainer does not take these settings of trainer.*: {error}") from error
