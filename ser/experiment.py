"""From a configuration to a run folder: train on each fold asked for, score its test speakers, write and print the numbers.

A run folder holds ``config.yaml``, ``environment.json``, ``checkpoints/``, ``split.json``, ``audit.json``,
``metrics.csv``, ``training_curves.png``, ``run.log`` and what `ser.results` writes; with ``fold=all``, one such folder a
fold, and the pooled results above them.
"""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pandas as pd

from ser import memory, run_folder, tracking
from ser.audio import AudioSettings
from ser.build import build
from ser.card import write_card
from ser.corpora.corpus import Corpus
from ser.errors import ConfigError, RunError, SerError
from ser.report import plots
from ser.results import left_out, pool, write_results, write_split
from ser.run_folder import run_name
from ser.waveforms import prepare

if TYPE_CHECKING:
    import lightning as L
    import torch
    from lightning.pytorch.loggers import Logger
    from omegaconf import DictConfig

    from ser.datamodules.speech import SpeechDataModule
    from ser.models.classifier import SpeechClassifier

log = logging.getLogger(__name__)

Config = Mapping[str, Any]
MODES: dict[str, Literal["max", "min"]] = {"dev_uar": "max", "dev_loss": "min"}
"""What an epoch may be chosen by, and which of its values is best."""
ADAPTED = "speaker-adapted"
"""Stamps a result that was had knowing each test speaker's own recordings, without their labels."""


def run(config: "DictConfig") -> Path:
    """Train and report what a composed configuration says.

    Returns:
        The run's folder.

    Raises:
        SerError: Whatever the user can put right, in words.
    """
    return train(settings_of(config))


def settings_of(config: "DictConfig") -> dict[str, Any]:
    """The plain settings of a composed configuration.

    Raises:
        ConfigError: If there are several corpora, and their protocol was not chosen.
    """
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    chosen = [override.partition("=")[0] for override in HydraConfig.get().overrides.task]
    if len(settings["data"]["corpora"]) > 1 and "protocol" not in chosen:
        raise ConfigError("Several corpora have no protocol of their own: choose one, such as protocol=speaker_cv.")
    return settings


def train(config: Config, *, terminal: bool = True) -> Path:
    """Train and report what plain settings say; see `run`.

    Args:
        config: The settings.
        terminal: Tell it what is done, and print the result; ``run.log`` has it either way.
    """
    if not isinstance(config["seed"], int) or not 0 <= config["seed"] < 2**32:
        raise ConfigError(f"seed is {config['seed']!r}, but it is a whole number from 0 to {2**32 - 1}.")
    first = 0 if config["fold"] == "all" else _fold(config["fold"])
    # Before torch is imported and the run has a folder: an absent corpus says so at once, and leaves nothing.
    fingerprint(config)
    data = build_data(config, fold=first)
    data.setup()
    folder = _folder(config)
    run_folder.write_config(folder, config)
    with run_folder.logging_to(folder / "run.log", terminal=terminal):
        try:
            _describe(data, folder)
            if config["fold"] == "all":
                _train_all(config, folder, data.folds)
            else:
                _train_fold(config, folder, data)
        except Exception as error:
            # The terminal gets it from above: a SerError as a sentence, anything else as Python prints it.
            unforeseen = not isinstance(error, SerError)
            log.info("Stopped: %s", error, exc_info=unforeseen, extra=run_folder.FILE_ONLY)
            raise
    return folder


def fingerprint(config: Config) -> str:
    """Names the recordings that a configuration is trained on, whose waveform stores are made where they lack.

    Raises:
        SerError: If a corpus is absent, or cannot be used.
    """
    settings, where, strict = AudioSettings(**config["audio"]), config["paths"]["stores"], config["strict"]
    stores = [prepare(corpus, where, settings, strict=strict) for corpus in build_corpora(config).values()]
    return "+".join(store.fingerprint for store in stores)


def build_corpora(config: Config) -> dict[str, Corpus]:
    """The corpora that a configuration names."""
    return {name: build(corpus, Corpus) for name, corpus in config["data"]["corpora"].items()}


def build_data(config: Config, fold: int) -> "SpeechDataModule":
    """The data module of one fold, not yet set up."""
    from ser.datamodules.speech import SpeechDataModule
    from ser.labels import LabelScheme
    from ser.protocols.split import Protocol

    return SpeechDataModule(
        corpora=build_corpora(config),
        labels=build(config["labels"], LabelScheme),
        protocol=build(config["protocol"], Protocol),
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
    return build(
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

    from ser.callbacks import Averaging, Best, Patience, SeedEachBatch

    chosen = config["selection"]
    if chosen["by"] not in MODES:
        raise ConfigError(f"selection.by is one of {', '.join(MODES)}, not {chosen['by']!r}.")
    by, mode = chosen["by"], MODES[chosen["by"]]
    checkpoints = folder / "checkpoints"
    callbacks: list[L.Callback] = [
        SeedEachBatch(config["seed"]),
        history,
        Best(checkpoints, "best", by, mode=mode, enable_version_counter=False),
        ModelCheckpoint(checkpoints, "last", save_on_train_epoch_end=True, enable_version_counter=False),
    ]
    if chosen["ema"] is not None:
        callbacks.append(Averaging(decay=chosen["ema"]))
    if chosen["patience"] is not None:
        callbacks.append(Patience(by, mode=mode, patience=chosen["patience"]))
    if config["trainer"].get("enable_progress_bar"):
        callbacks.append(RichProgressBar(leave=False))
    settings = dict(config["trainer"])
    if settings["accelerator"] == "auto":  # a GPU or the CPU: Apple's MPS lacks the double precision of statistics
        settings["accelerator"] = "gpu" if torch.cuda.is_available() else "cpu"
    try:
        trainer = build(
            settings,
            L.Trainer,
            default_root_dir=str(folder),
            logger=loggers or False,
            callbacks=callbacks,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=10,
            use_distributed_sampler=False,
        )
    except (ValueError, TypeError, MisconfigurationException) as error:
        raise ConfigError(f"lightning.Trainer does not take these settings of trainer.*: {error}") from error
    if trainer.world_size > 1:
        raise ConfigError(
            f"trainer.devices={settings['devices']}: a run trains on one device; sweep with -m to use more."
        )
    return trainer


def _folder(config: Config) -> Path:
    """The folder to write to: the one asked for, the one to go on with, or a new one."""
    if (asked := config["paths"]["run"]) is not None:
        folder = Path(asked).expanduser()
        if (folder / "metrics.json").exists() and config["ckpt"] is None:
            raise ConfigError(f"{folder} holds a finished run. Choose another paths.run, or delete it.")
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    runs = Path(config["paths"]["runs"]).expanduser()
    if config["ckpt"] == "last":
        return run_folder.newest_like(runs, config)
    return run_folder.new_folder(runs, run_name(config))


def _fold(fold: Any) -> int:
    if not isinstance(fold, int):
        raise ConfigError(f"fold is 0, 1, ... or all, not {fold!r}.")
    return fold


def _describe(data: "SpeechDataModule", folder: Path) -> None:
    """Say what is trained on, what was left out, and where the run goes."""
    labelled = data.labelled
    log.info("Run folder: %s", folder)
    log.info(
        "Data: %s, %d utterances, fingerprint %s", "+".join(data.corpora), len(labelled.manifest), data.fingerprint
    )
    log.info("Labels: %s", labels_of(data))
    for reason, count in labelled.dropped.items():
        log.info("Dropped by the labels: %d, %s", count, reason)
    for part in data.parts:
        for difference in part.card["differences"]:
            log.info("%s", difference)
    if out := left_out(data):
        log.info("Left out: %d files, the first: %s (%s)", len(out), out[0]["path"], out[0]["kind"])
    log.info("Protocol: %s, %d folds", data.protocol.name, data.folds)


def _train_all(config: Config, folder: Path, folds: int) -> None:
    """Every fold in turn, each in its folder; those that are finished stay as they are. Then the pooled result."""
    for fold in range(folds):
        below = folder / f"fold_{fold}"
        below.mkdir(exist_ok=True)
        data = build_data(config, fold)
        data.setup()
        _train_fold(config, below, data)
    parts = [folder / f"fold_{fold}" for fold in range(folds)]
    pool(folder, parts, left_out(data))


def _train_fold(config: Config, folder: Path, data: "SpeechDataModule") -> None:
    """Fit, choose on dev, score test, write; a fold that is finished stays as it is."""
    if (folder / "metrics.json").exists():
        log.info("Fold %d is finished already: %s", data.fold, folder)
        if not (folder / "card.json").exists():  # stopped between the two
            write_card(folder, left_out(data))
        return
    parts = memory.parts_of(folder)
    for retries in reversed(range(config["retries"] + 1)):
        try:
            smaller = data if parts == 1 else build_data(memory.divided(config, parts), data.fold)
            smaller.setup()
            _train_once(memory.divided(config, parts), folder, smaller)
            return
        except Exception as error:
            if not memory.ran_out(error):
                raise
            if not retries or config["batch_size"] < 2 * parts:
                size = memory.divided(config, parts)["batch_size"]
                raise RunError(
                    f"Memory ran out with batches of {size}: {str(error).partition('. ')[0]}. Take a smaller batch_size, "
                    "trainer.precision=bf16-mixed, or resident=false; for a pretrained encoder, model.batch_seconds."
                ) from error
        # Out of the except block, whose error would hold on to the memory.
        parts *= 2
        memory.start_over(folder, parts)
        size = memory.divided(config, parts)["batch_size"]
        log.warning("Out of memory: again with batches of %d, and the gradients of %d of them a step.", size, parts)


def _train_once(config: Config, folder: Path, data: "SpeechDataModule") -> None:
    import lightning as L

    from ser.inference.load import BEST, complete, load
    from ser.inference.score import score

    L.seed_everything(config["seed"], workers=True, verbose=False)
    for side, rows in data.split.sides().items():
        speakers = data.labelled.manifest["speaker"].iloc[rows].nunique()
        log.info("Fold %d, %s: %d utterances of %d speakers", data.fold, side, len(rows), speakers)
    for finding in data.findings:
        log.info("Audit, %s: %s", finding.level, finding.text)
    write_split(folder, data)
    model = build_model(config, data)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    trained = sum(size for size, learns in sizes if learns)
    log.info("%s: %d parameters, %d of them trained", type(model).__name__, sum(size for size, _ in sizes), trained)
    name = folder.name if folder.name.startswith(run_name(config)) else f"{run_name(config)}-fold{data.fold}"
    group = f"{'+'.join(data.corpora)}-{data.protocol.name}-{data.labels.name}"
    marks = stamps_of(config, data)
    loggers = tracking.loggers(config["logger"], folder, name, group, config, marks)
    try:
        fitted = _fit(config, folder, model, data, loggers)
        complete(folder / BEST, model)
        best = load(folder / BEST, device=fitted.device)
        test, dev = (score(best, data, rows) for rows in (data.split.test, data.split.dev))
        environment = run_folder.environment(config["seed"], data.fingerprint, str(fitted.device))
        (folder / "environment.json").write_text(json.dumps(environment, indent=1) + "\n")
        curves = folder / "training_curves.png"
        plots.training_curves(fitted.history, fitted.best_epoch, curves, stamps=tuple(marks))
        summary = write_results(folder, test, dev, _about(config, model, data, fitted), left_out(data))
        pictures = {"confusion_matrix": folder / "confusion_matrix.png", "training_curves": curves}
        tracking.log_results(loggers, summary, test, pictures)
    finally:
        tracking.finish(loggers)


class Fitted(NamedTuple):
    """What training leaves beside its checkpoints; ``seconds`` are those of this process, not of a run it went on with."""

    history: pd.DataFrame
    best_epoch: int
    seconds: float
    device: "torch.device"


def _fit(
    config: Config, folder: Path, model: "SpeechClassifier", data: "SpeechDataModule", loggers: "list[Logger]"
) -> Fitted:
    from ser.callbacks import History

    history = History(folder / "metrics.csv")
    trainer = build_trainer(config, folder, loggers, history)
    began = time.perf_counter()
    try:
        trainer.fit(model, datamodule=data, ckpt_path=_checkpoint(config, folder), weights_only=True)
    except SystemExit as error:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from error
    table = history.table()
    by = config["selection"]["by"]
    measured = table[by].to_numpy() * (1 if MODES[by] == "max" else -1)
    best = int(measured.argmax())  # the first of equals, as ModelCheckpoint keeps
    # The model itself is back on the CPU by now.
    return Fitted(table, int(table["epoch"].iloc[best]), time.perf_counter() - began, trainer.strategy.root_device)


def _about(config: Config, model: "SpeechClassifier", data: "SpeechDataModule", fitted: Fitted) -> dict[str, Any]:
    """What stands beside a run's numbers: on what, how and from what they were had."""
    return {
        "stamps": stamps_of(config, data),
        "corpora": list(data.corpora),
        "labels": labels_of(data),
        "protocol": data.protocol.name,
        "fold": data.fold,
        "split_hash": data.split.hash(data.labelled.manifest),
        "fingerprint": data.fingerprint,
        "seed": config["seed"],
        "parameters": sum(p.numel() for p in model.parameters()),
        **model.origin(),
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "dev_uar": float(fitted.history.set_index("epoch")["dev_uar"][fitted.best_epoch]),
        "train_seconds": fitted.seconds,
        "batch": {"size": config["batch_size"], "accumulated": config["trainer"].get("accumulate_grad_batches", 1)},
    }


def _checkpoint(config: Config, folder: Path) -> str | None:
    """Where to go on from: this folder's last checkpoint, if going on was asked for and there is one."""
    asked = config["ckpt"]
    if asked is None:
        return None
    if asked != "last":
        raise ConfigError(f"ckpt is last or null, not {asked!r}; paths.run says which run to go on with.")
    file = folder / "checkpoints" / "last.ckpt"
    if not file.exists():
        log.info("No checkpoint in %s yet: starting at the first epoch.", folder)
        return None
    return str(file)
