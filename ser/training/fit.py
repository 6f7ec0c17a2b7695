"""Train one fold: fit on its training speakers, select the epoch on dev, score test, and write the results."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import is_zipfile

import pandas as pd

from ser.errors import RunError
from ser.evaluation.measure import measure_of
from ser.evaluation.summary import read_metrics, summarise, write_metrics
from ser.report import plots
from ser.runs.environment import environment
from ser.runs.folder import BEST, CURVES, DEV_METRICS, ENVIRONMENT, HISTORY, LAST, RunFolder
from ser.runs.identity import training_hashes
from ser.runs.results import write_fold, write_split
from ser.runtime import distributed
from ser.runtime.files import replacing, write_json
from ser.runtime.memory import keep_freed_memory
from ser.runtime.phases import phase
from ser.runtime.words import counted
from ser.training.build import Config, build_model, build_trainer, build_training, device_of, stamps_of
from ser.training.selection import MODES
from ser.training.tracking import Tracker

if TYPE_CHECKING:
    import torch
    from lightning.pytorch.loggers import Logger

    from ser.datamodules.data import SpeechData
    from ser.models.classifier import SpeechClassifier

log = logging.getLogger(__name__)


def fit_fold(config: Config, folder: Path, data: "SpeechData", tracker: Tracker) -> None:
    """Train, score dev and test with the best weights, and write the fold's folder."""
    with phase("start"):
        from ser.inference.calibrate import calibration_of
        from ser.inference.familiarise import familiar_of
        from ser.inference.load import load_model
        from ser.inference.score import score
        from ser.models.checkpoint import add_findings, finish
        from ser.training.seed import seed_everything

        seed_everything(config["seed"])
        _describe_fold(data)
        distributed.on_first_process(lambda: write_split(RunFolder(folder), data))
        model = build_model(config, data)
        if model.by_gradients:
            sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
            total, trained = sum(size for size, _ in sizes), sum(size for size, learns in sizes if learns)
            log.info("%s: %d parameters, %d of them trained", type(model).__name__, total, trained)
        marks = stamps_of(config, data)
        loggers = tracker.loggers(folder, data.fold, data.split.hash(data.labelled.manifest), marks)
    with phase("training"):
        fitted = (_fit if model.by_gradients else _fit_once)(config, folder, model, data, loggers)
    with phase("scoring"):
        distributed.on_first_process(lambda: finish(folder / BEST, model))
        best = load_model(folder / BEST, device=fitted.device)
        dev = score(best, data, data.split.dev)
        about = _about(config, model, data, fitted, dev)
        bound = training_hashes(RunFolder(folder).config, about["splits"][str(data.fold)], about["fingerprint"])
        calibration = None if best.numeric else calibration_of(dev)
        distributed.on_first_process(lambda: add_findings(folder / BEST, calibration, familiar_of(best, data), bound))
        test = score(best, data, data.split.test) if config["test"] else None

    def write() -> None:
        write_metrics({**summarise(dev), "run": about}, folder / DEV_METRICS)
        if test is not None:
            made_with = environment(config["seed"], data.plan.fingerprint, str(fitted.device))
            write_json(made_with, folder / ENVIRONMENT)
            if model.by_gradients:  # others have no curves
                plots.training_curves(fitted.history, fitted.best_epoch, folder / CURVES, stamps=tuple(marks))
            write_fold(RunFolder(folder), test, dev, about)
        tracker.results(folder)

    with phase("report"):
        distributed.on_first_process(write)


def _describe_fold(data: "SpeechData") -> None:
    for side, rows in data.split.sides().items():
        speakers = data.labelled.manifest["speaker"].iloc[rows].nunique()
        clips = counted(len(rows), "utterance")
        log.info("Fold %d, %s: %s of %s", data.fold, side, clips, counted(speakers, "speaker"))
    for finding in data.findings:
        log.info("Audit, %s: %s", finding.level, finding.text)


class Fitted(NamedTuple):
    """Result of training beside its checkpoints; ``seconds`` excludes earlier parts of a run that were interrupted."""

    history: pd.DataFrame
    best_epoch: int
    seconds: float
    device: "torch.device"


def _fit(
    config: Config, folder: Path, model: "SpeechClassifier", data: "SpeechData", loggers: "list[Logger]"
) -> Fitted:
    from ser.datamodules.speech import SpeechDataModule
    from ser.training.callbacks import History

    training = build_training(config, model, data)
    history, checkpoint = History(folder / HISTORY), _checkpoint(config, folder)
    earlier = read_metrics(folder / DEV_METRICS) if checkpoint and (folder / DEV_METRICS).is_file() else {}
    trainer = build_trainer(config, folder, loggers, history)
    if trainer.strategy.root_device.type == "cpu":
        keep_freed_memory()
    began = time.perf_counter()
    try:
        trainer.fit(training, datamodule=SpeechDataModule(data), ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:  # Lightning turns Ctrl-C into it
        raise KeyboardInterrupt from error
    table = history.table()
    by = config["selection"]["by"]
    measured = table[by].to_numpy() * (1 if MODES[by] == "max" else -1)
    best = int(measured.argmax())  # the first of ties, as in ModelCheckpoint
    seconds = time.perf_counter() - began + earlier.get("run", {}).get("train_seconds", 0.0)
    # The model itself is already back on the CPU.
    return Fitted(table, int(table["epoch"].iloc[best]), seconds, trainer.strategy.root_device)


def _fit_once(
    config: Config, folder: Path, model: "SpeechClassifier", data: "SpeechData", loggers: "list[Logger]"
) -> Fitted:
    """Fit a model without gradients, and write its checkpoint and a history of one row."""
    from ser.models.checkpoint import write_model
    from ser.training.padding import check_padding

    began = time.perf_counter()
    model.to(device := device_of(config["trainer"]["accelerator"]))
    if device.type == "cpu":
        keep_freed_memory()
    check_padding(model, data)
    measured = model.fit(data, config["selection"]["by"])
    history = pd.DataFrame([{"epoch": 0, **measured}])

    def write() -> None:
        write_model(folder / BEST, model)
        with replacing(folder / HISTORY) as file:
            history.to_csv(file, index=False)

    distributed.on_first_process(write)
    for logger in loggers:
        logger.log_metrics(measured, step=0)
    return Fitted(history, 0, time.perf_counter() - began, device)


def _about(
    config: Config, model: "SpeechClassifier", data: "SpeechData", fitted: Fitted, dev: pd.DataFrame
) -> dict[str, Any]:
    """Return the provenance of a run's numbers: data, protocol, model and training."""
    measure = measure_of(dev)
    return {
        "stamps": stamps_of(config, data),
        "corpora": list(data.plan.corpora),
        **data.plan.across(data.fold),
        "labels": data.plan.describe_labels(),
        "protocol": data.plan.protocol,
        "folds": len(data.plan.splits),
        "splits": {str(data.fold): data.split.hash(data.labelled.manifest)},
        "fingerprint": data.plan.fingerprint,
        "without_listening": [baseline.plain() for baseline in data.plan.baselines],
        "seed": config["seed"],
        "parameters": sum(p.numel() for p in model.parameters()) or None,  # those of a classical model are not counted
        **model.provenance(),
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        measure.dev: measure.main(dev),
        "train_seconds": fitted.seconds,
        "batch": {"size": config["batch_size"], "accumulated": config["trainer"].get("accumulate_grad_batches", 1)},
        "processes": distributed.world_size(),
    }


def _checkpoint(config: Config, folder: Path) -> str | None:
    """Return this folder's last checkpoint, if resuming was requested and there is one."""
    if config["ckpt"] is None:
        return None
    file = folder / LAST
    if not distributed.on_first_process(file.exists):
        log.info("No checkpoint in %s yet: starting at the first epoch.", folder)
        return None
    if not is_zipfile(file):  # a zip file ends with its table of contents
        raise RunError(f"{file} is damaged or incomplete. Delete it to start this fold at its first epoch.")
    return str(file)
