"""From plain settings to what a training is made of: corpora, data module, model, trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.corpus import Corpus
from ser.errors import ConfigError
from ser.runtime import distributed
from ser.runtime.instantiate import instantiate

if TYPE_CHECKING:
    import lightning as L
    from lightning.pytorch.loggers import Logger

    from ser.datamodules.speech import SpeechDataModule
    from ser.models.classifier import SpeechClassifier

Config = Mapping[str, Any]
MODES: dict[str, Literal["max", "min"]] = {"dev_uar": "max", "dev_loss": "min"}
"""What an epoch may be chosen by, and which of its values is best."""
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
    """The untrained model for some data."""
    from ser.models.classifier import SpeechClassifier

    weights = config["loss"]["class_weights"]
    if weights not in ("balanced", None):
        raise ConfigError(f"loss.class_weights is balanced or null, not {weights!r}.")
    return instantiate(
        config["model"],
        SpeechClassifier,
        classes=list(data.classes),
        audio=dict(config["audio"]),
        features=dict(config.get("features") or {}),
        augment={name: dict(step) for name, step in (config.get("augment") or {}).items()},
        loss={**config["loss"], "class_weights": data.class_weights() if weights else None},
        stamps=stamps_of(config, data),
    )


def stamps_of(config: Config, data: "SpeechDataModule") -> list[str]:
    """The words that every result of a run must carry: those of its data, and that a model knows its test speakers."""
    return [*data.stamps, *([ADAPTED] if config["model"].get("normalise") == "speaker" else [])]


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

    from ser.training.callbacks import Averaging, Best, KeepSigterm, Patience, SeedEachBatch, Trial

    chosen = config["selection"]
    if chosen["by"] not in MODES:
        raise ConfigError(f"selection.by is one of {', '.join(MODES)}, not {chosen['by']!r}.")
    by, mode = chosen["by"], MODES[chosen["by"]]
    checkpoints = folder / "checkpoints"
    callbacks: list[L.Callback] = [
        SeedEachBatch(config["seed"]),
        KeepSigterm(),
        history,
        Best(checkpoints, "best", by, mode=mode, enable_version_counter=False),
        ModelCheckpoint(checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]
    if chosen["ema"] is not None:
        callbacks.append(Averaging(decay=chosen["ema"]))
    if (trial := config["sweep"]["trial"]) is not None:
        callbacks.append(Trial(**trial))
    if chosen["patience"] is not None:
        callbacks.append(Patience(by, mode=mode, patience=chosen["patience"]))
    settings = dict(config["trainer"])
    settings["enable_progress_bar"] = bool(settings["enable_progress_bar"]) and distributed.process_rank() == 0
    if settings["enable_progress_bar"]:
        callbacks.append(RichProgressBar(leave=False))
    if isinstance(strategy := settings.get("strategy"), Mapping):
        if chosen["ema"] is not None:
            raise ConfigError(
                "A running average of weights that are spread over devices is not had: selection.ema=null."
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
