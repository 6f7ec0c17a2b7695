"""Turn a configuration into a run folder (`ser.runs.folder`): train each requested fold, then report all together."""

import logging
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError, RunError, SerError
from ser.protocols.plan import Plan, planned
from ser.runs.alike import check_same, newest_like
from ser.runs.folder import (
    DEV_METRICS,
    LOG,
    METRICS,
    RunFolder,
    fold_folder,
    new_folder,
    write_config,
)
from ser.runs.identity import of_fold, run_name
from ser.runs.results import write_results
from ser.runs.sibling import write_sibling
from ser.runtime import distributed
from ser.runtime.phases import phase
from ser.runtime.words import counted
from ser.training import out_of_memory, tracking
from ser.training.build import Config, build_data
from ser.training.checks import check_kind, check_training
from ser.training.fit import fit_fold
from ser.training.logs import FILE_ONLY, logging_to
from ser.training.tracking import Tracker

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ser.datamodules.data import SpeechData

log = logging.getLogger(__name__)


def run(config: "DictConfig") -> Path:
    """Train and report a composed configuration.

    Raises:
        SerError: For everything that the user can correct.
    """
    return train(settings_of(config))


def settings_of(config: "DictConfig") -> dict[str, Any]:
    """Return the plain settings of a composed configuration."""
    from omegaconf import OmegaConf

    settings: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    settings.pop("space", None)  # the space of a search, which a training does not use
    return settings


def train(config: Config, *, terminal: bool = True) -> Path:
    """Train and report plain settings, in as many processes as they request; see `run`.

    Args:
        config: The settings.
        terminal: Print progress and results on the terminal; ``run.log`` has them either way.
    """
    check_training(config)
    if config["fold"] == "final":
        config = {**config, "test": False}  # nobody is left to test
    first = config["fold"] if type(config["fold"]) is int else 0
    count = distributed.processes(config["trainer"])
    # Before torch is imported and the run has a folder: a missing corpus fails at once, and leaves nothing behind.
    with phase("start"):
        plan = planned(config)
    if count > 1 and not distributed.is_member():
        return distributed.launch(count, _train, config, plan, first, terminal)
    return _train(config, plan, first, terminal)


def _train(config: Config, plan: Plan, first: int, terminal: bool) -> Path:
    """Train in this process, which may be one of several; only the first logs and writes."""
    with distributed.joined(config["trainer"]):
        with phase("start"):
            check_kind(config, plan.labelled.numeric)
            data = build_data(of_fold(config, first), plan, first)
        alone = distributed.process_rank() == 0
        try:
            folder = distributed.on_first_process(lambda: _folder(config))
            with logging_to(folder / LOG if alone else Path(os.devnull), terminal=terminal and alone):
                _train_logged(config, folder, data)
        except PermissionError as error:
            raise RunError(
                f"paths.runs and paths.run must be writable; got no permission for {error.filename}. Choose another folder."
            ) from error
    return folder


def _train_logged(config: Config, folder: Path, data: "SpeechData") -> None:
    try:
        _describe(data.plan, folder)
        group = f"{'+'.join(data.plan.corpora)}-{data.plan.protocol}-{data.plan.labels.name}"
        with tracking.tracked(config, folder, group, data.plan.fingerprint) as tracker:
            _train_folds(config, folder, data, tracker)
    except Exception as error:
        # The caller prints it on the terminal: a SerError as a sentence, anything else as a traceback.
        unforeseen = not isinstance(error, SerError)
        log.info("Stopped: %s", error, exc_info=unforeseen, extra=FILE_ONLY)
        raise


def _folder(config: Config) -> Path:
    """Return the folder to write to, with its configuration: the requested one, the one to resume, or a new one."""
    if (asked := config["paths"]["run"]) is not None:
        folder = Path(asked).expanduser()
        if RunFolder(folder).is_finished and config["ckpt"] is None:
            raise ConfigError(
                f"paths.run must not hold a finished run; got {folder}. Choose another folder, or delete it."
            )
        folder.mkdir(parents=True, exist_ok=True)
    else:
        runs = Path(config["paths"]["runs"]).expanduser()
        folder = newest_like(runs, config) if config["ckpt"] == "last" else new_folder(runs, run_name(config))
    check_same(folder, config)
    write_config(folder, config)
    return folder


def _describe(plan: Plan, folder: Path) -> None:
    """Log what is trained on, what was left out, and the run's folder."""
    count = len(plan.labelled.manifest)
    log.info("Run folder: %s", folder)
    log.info("Data: %s, %d utterances, fingerprint %s", "+".join(plan.corpora), count, plan.fingerprint)
    log.info("Labels: %s", plan.describe_labels())
    for reason, count in plan.labelled.dropped.items():
        log.info("Dropped by the labels: %d, %s", count, reason)
    for store in plan.stores:
        for difference in store.card["differences"]:
            log.info("%s", difference)
    if out := plan.left_out:
        log.info("Left out: %s, the first: %s (%s)", counted(len(out), "file"), out[0]["path"], out[0]["kind"])
    log.info("Protocol: %s, %s", plan.protocol, counted(len(plan.splits), "fold"))


def _train_folds(config: Config, folder: Path, data: "SpeechData", tracker: Tracker) -> None:
    """Train every requested fold in its folder, skipping finished ones, then report all together."""
    for fold in range(len(data.plan.splits)) if config["fold"] == "all" else [data.fold]:
        below = fold_folder(folder, fold)
        distributed.on_first_process(partial(below.mkdir, exist_ok=True))
        own = of_fold(config, fold)
        _train_fold(own, below, data if fold == data.fold else build_data(own, data.plan, fold), tracker)
    if config["test"]:
        with phase("report"):
            distributed.on_first_process(
                lambda: write_results(RunFolder(folder), data.plan.left_out, data.plan.remarks)
            )
            distributed.on_first_process(lambda: tracker.results(folder))
    if config["fold"] == "final":
        distributed.on_first_process(lambda: write_sibling(folder, config))


def _train_fold(config: Config, folder: Path, data: "SpeechData", tracker: Tracker) -> None:
    """Train a fold, halving its batches where memory runs out; a finished fold is skipped."""
    if distributed.on_first_process(lambda: _is_finished(config, folder, data, tracker)):
        return
    parts = out_of_memory.gradient_parts(folder)
    for retries in reversed(range(config["retries"] + 1)):
        now = out_of_memory.divided(config, parts)
        try:
            part = data if parts == 1 else build_data(now, data.plan, data.fold)
            fit_fold(now, folder, part, tracker)
            out_of_memory.release()
            return
        except Exception as error:
            if not out_of_memory.ran_out(error):
                raise
            # Other processes would wait for one that starts over.
            if not retries or distributed.world_size() > 1 or config["batch_size"] < 2 * parts:
                raise RunError(
                    f"Memory ran out with batch size {now['batch_size']}: {str(error).partition('. ')[0]}. Set a smaller "
                    "batch_size, trainer.precision=bf16-mixed, or resident=false; for a pretrained encoder, a smaller "
                    "model.encoder.batch_seconds."
                ) from error
        # Outside the except block, whose error would keep the memory alive.
        parts *= 2
        out_of_memory.start_over(folder, parts)
        size = out_of_memory.divided(config, parts)["batch_size"]
        log.warning("Out of memory: retrying with batch size %d and %d gradient accumulation steps.", size, parts)


def _is_finished(config: Config, folder: Path, data: "SpeechData", tracker: Tracker) -> bool:
    if not RunFolder(folder).has(METRICS if config["test"] else DEV_METRICS):
        return False
    log.info("Fold %d is already finished: %s", data.fold, folder)
    tracker.results(folder)
    return True
