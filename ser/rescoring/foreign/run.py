"""Score a model of others on the test utterances of a protocol, as a run beside those of models trained here."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.corpora.own import OwnRecordings
from ser.errors import ConfigError
from ser.protocols.plan import Plan, corpora_of, planned
from ser.protocols.stamps import FOREIGN as STAMP
from ser.rescoring.foreign.labels import Classes, class_probabilities, classes_of, label_stamps
from ser.rescoring.foreign.seen import Seen, plain_seen, seen_by, seen_stamps
from ser.runs.alike import check_same
from ser.runs.folder import RunFolder, fold_folder, new_folder, write_config
from ser.runs.identity import run_name, safe
from ser.runs.results import write_fold, write_results, write_split

if TYPE_CHECKING:
    from ser.datamodules.data import SpeechData
    from ser.rescoring.foreign.classifier import ForeignClassifier

log = logging.getLogger(__name__)

OF_DATA = ("audio", "data", "labels", "protocol", "strict", "paths")
"""Settings that say what is scored."""
LOADING = {"batch_size": 1, "resident": "auto", "workers": 0, "seed": 0}
"""One clip at a time: padding changes what some of these models answer."""


def evaluate_foreign(config: Mapping[str, Any]) -> Path:
    """Score a model of transformers, and return the folder of its run.

    Args:
        config: ``model.path``, the name behind ``hf:``, ``labels_map``, ``seen``, ``pickle``, ``device``, and what a training
            has of data, labels and protocol.

    Raises:
        ConfigError: If a setting, the model or a label cannot be used.
        RunError: If the model cannot take a clip.
        SerError: What the data and the protocol raise.
    """
    from ser.inference.load import device_named
    from ser.rescoring.foreign.classifier import FOREIGN, ForeignClassifier

    name = str(config["model"]["path"])
    if not name.removeprefix(FOREIGN) or not name.startswith(FOREIGN):
        raise ConfigError(
            f"model must be {FOREIGN}<folder> or {FOREIGN}<owner>/<name>, a model of transformers; got {name!r}. Set "
            "run=<folder> for a model that was trained here."
        )
    plan = planned(config)
    _check_plan(plan)
    model = ForeignClassifier(
        name.removeprefix(FOREIGN), pickle=bool(config["pickle"]), device=device_named(config["device"])
    )
    if model.sample_rate != plan.settings.sample_rate:
        rate = model.sample_rate
        raise ConfigError(f"audio.sample_rate must be {rate} for {model.id}; got {plan.settings.sample_rate}. Set it.")
    of = classes_of(model.labels, plan.labelled.classes, config["labels_map"])
    own = [name for name, corpus in corpora_of(config).items() if isinstance(corpus, OwnRecordings)]
    seen = seen_by(model.id, plan.corpora, config["seen"], own)
    folder = _folder(config, model, of)
    log.info("Scoring %s with %s", "+".join(plan.corpora), model.id)
    return _scored(plan, model, of, seen, folder)


def _check_plan(plan: Plan) -> None:
    if plan.labelled.numeric:
        raise ConfigError("labels must be classes for a model of transformers; got numbers. Choose labels=native.")
    if any(plan.across(fold) for fold in range(len(plan.splits))):
        raise ConfigError(
            f"protocol must train and test on the same corpora for a model that is not trained here; got {plan.protocol}. "
            "Set data to the corpora that are tested, and another protocol."
        )


def _folder(config: Mapping[str, Any], model: "ForeignClassifier", of: Classes) -> Path:
    """Return the run's folder, with the settings that identify it."""
    labels = dict(zip(model.labels, of, strict=True))
    about = {"_target_": "foreign", "name": safe(Path(model.id).name), **model.facts, "labels": labels}
    kept = {key: config[key] for key in OF_DATA if key in config}
    settings = {**kept, "model": about, "seed": 0, "fold": "all"}
    if (asked := config["paths"]["run"]) is None:
        folder = new_folder(Path(config["paths"]["runs"]).expanduser(), run_name(settings))
    else:
        folder = Path(asked).expanduser()
        if RunFolder(folder).is_finished:
            raise ConfigError(f"paths.run must not hold a finished run; got {folder}. Choose another folder.")
        check_same(folder, settings)
    write_config(folder, settings)
    return folder


def _scored(plan: Plan, model: "ForeignClassifier", of: Classes, seen: Mapping[str, Seen], folder: Path) -> Path:
    from ser.inference.score import answers_table
    from ser.training.build import build_data

    of_model = [STAMP, *seen_stamps(seen), *label_stamps(model.labels, of, plan.labelled.classes)]
    facts = {**model.facts, "labels": dict(zip(model.labels, of, strict=True)), "seen": plain_seen(seen)}
    logits: dict[int, np.ndarray] = {}
    for fold in range(len(plan.splits)):
        data = build_data(LOADING, plan, fold)
        _score(model, data, logits)
        rows = data.split.test
        table = answers_table(data, rows, class_probabilities(np.stack([logits[r] for r in rows]), of, data.classes))
        below = RunFolder(fold_folder(folder, fold))
        write_split(below, data)
        about = {
            "stamps": [*data.stamps, *of_model],
            "corpora": list(plan.corpora),
            "labels": plan.describe_labels(),
            "protocol": plan.protocol,
            "folds": len(plan.splits),
            "splits": {str(fold): data.split.hash(data.labelled.manifest)},
            "fingerprint": plan.fingerprint,
            "without_listening": [baseline.plain() for baseline in plan.baselines],
            "seed": 0,
            "parameters": model.parameters,
            "foreign": facts,
            "train_seconds": 0.0,
        }
        write_fold(below, table, None, about)
    write_results(RunFolder(folder), plan.left_out, plan.remarks)
    return folder


def _score(model: "ForeignClassifier", data: "SpeechData", logits: dict[int, np.ndarray]) -> None:
    """Add the outputs for the test utterances of a fold, those of earlier folds aside, by their rows."""
    import torch
    from rich import get_console
    from rich.progress import track

    missing = np.array([row for row in data.split.test if row not in logits], dtype=data.split.test.dtype)
    ids = data.labelled.manifest["id"]
    if not len(missing):
        return
    batches = data.batches(missing, torch.device("cpu"), 1)
    console, title = get_console(), f"Fold {data.fold}"
    for batch in track(batches, title, len(missing), console=console, transient=True, disable=not console.is_terminal):
        row = int(batch.index[0])
        logits[row] = model.logits(batch.waveform[0, : int(batch.lengths[0])].numpy(), str(ids.iloc[row]))
