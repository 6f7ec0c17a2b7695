"""Build the parts of a training from plain settings: data module, model, trainer."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.corpora.corpus import Corpus
from ser.errors import ConfigError
from ser.protocols.plan import Plan
from ser.protocols.stamps import implied
from ser.runs.folder import BEST
from ser.runtime import distributed
from ser.runtime.instantiate import find_class, instantiate
from ser.training.selection import MODES

if TYPE_CHECKING:
    import lightning as L
    import torch
    from lightning.pytorch.loggers import Logger

    from ser.datamodules.data import SpeechData
    from ser.models.classifier import SpeechClassifier
    from ser.training.module import Training

Config = Mapping[str, Any]


def build_data(config: Config, plan: Plan, fold: int) -> "SpeechData":
    """Build the data module of one fold of a plan."""
    from ser.datamodules.data import Loading, SpeechData

    loading = Loading(config["batch_size"], config["resident"], config["workers"], config["seed"])
    return SpeechData(plan, fold, loading)


def build_model(config: Config, data: "SpeechData") -> "SpeechClassifier":
    """Return the untrained model for some data."""
    from ser.models.classifier import SpeechClassifier

    task = {
        "classes": list(data.classes),
        "audio": dict(config["audio"]),
        "features": dict(config.get("features") or {}),
        "normalise": dict(config["normalise"]),
        "stamps": stamps_of(config, data),
        "trained_on": trained_on(config, data),
    }
    if (scale := data.scale()) is not None:
        task["scale"] = scale
    if cleaning := _steps(config, "cleaning"):
        task["cleaning"] = cleaning
    return instantiate(config["model"], SpeechClassifier, task=task)


def build_training(config: Config, model: "SpeechClassifier", data: "SpeechData") -> "Training":
    """Return the training of a model."""
    from ser.training.losses.loss import Loss
    from ser.training.module import Training

    loss = instantiate(config["loss"], Loss, counts=data.class_counts())
    return Training(model, loss, _steps(config, "augment"), config["optimizer"], config["schedule"])


def _steps(config: Config, group: str) -> dict[str, Config]:
    """Return the steps of a group, without those set to null, and the name of a policy."""
    return {name: step for name, step in (config.get(group) or {}).items() if step is not None and name != "name"}


def stamps_of(config: Config, data: "SpeechData") -> list[str]:
    """Return the stamps of a run: those of its data, and one if the model is adapted to its test speakers or corpora."""
    return [*data.stamps, *implied(config)]


def trained_on(config: Config, data: "SpeechData") -> list[dict[str, str]]:
    """Return what a model says of the corpora that train it: name, title, language, kind of speech and licence."""
    found = []
    for corpus in data.trained_on:
        kind = find_class(config["data"]["corpora"][corpus["name"]]["_target_"], Corpus)
        found.append({**corpus, "language": kind.language, "material": kind.material})
    return found


def device_of(accelerator: str) -> "torch.device":
    """Return the device that a trainer's accelerator stands for, where no trainer is needed.

    Raises:
        ConfigError: If it is another, or not there.
    """
    from ser.inference.load import device_named

    devices = {"auto": "auto", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}
    if accelerator not in devices:
        raise ConfigError(
            f"trainer.accelerator must be auto, cpu, gpu or cuda; got {accelerator!r}. Choose one of them."
        )
    return device_named(devices[accelerator])


def build_trainer(config: Config, folder: Path, loggers: "list[Logger]", history: "L.Callback") -> "L.Trainer":
    """Return the Lightning trainer, with callbacks that keep the best weights on dev and the last."""
    import lightning as L
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.pytorch.callbacks import ModelCheckpoint
    from lightning.pytorch.strategies import Strategy

    from ser.training.callbacks import Averaging, Best, KeepSigterm, Progress, SeedEachBatch, Trial
    from ser.training.logs import drop_other_handlers

    drop_other_handlers()
    chosen = config["selection"]
    if chosen["by"] not in MODES:
        raise ConfigError(f"selection.by must be one of {', '.join(MODES)}; got {chosen['by']!r}.")
    by, mode = chosen["by"], MODES[chosen["by"]]
    checkpoints = (folder / BEST).parent
    callbacks: list[L.Callback] = [
        SeedEachBatch(config["seed"]),
        KeepSigterm(),
        history,
        Best(checkpoints, "best", by, mode=mode, enable_version_counter=False),
        ModelCheckpoint(checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]
    more = (config.get("callbacks") or {}).values()
    callbacks += [instantiate(each, L.Callback) for each in more if each is not None]
    if (trial := config["sweep"]["trial"]) is not None:
        first = config["fold"] if type(config["fold"]) is int else 0
        callbacks.append(Trial(**trial, first_fold=first))
    settings = dict(config["trainer"])
    settings["enable_progress_bar"] = bool(settings["enable_progress_bar"]) and distributed.process_rank() == 0
    if settings["enable_progress_bar"]:
        callbacks.append(Progress(leave=False))
    if isinstance(strategy := settings.get("strategy"), Mapping):
        if any(isinstance(callback, Averaging) for callback in callbacks):
            raise ConfigError(
                "callbacks must not include averaging where the trainer shards the weights. Set callbacks.averaging=null."
            )
        settings["strategy"] = instantiate(strategy, Strategy)
    if settings["accelerator"] == "auto":  # not Apple's MPS: it has no double precision, which statistics need
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
        raise ConfigError(f"trainer.* must be valid arguments of lightning.Trainer: {error}") from error
