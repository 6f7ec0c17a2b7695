"""Checkpoints of models: only what a prediction needs, read as tensors and plain containers, never as code.

During training, checkpoints are Lightning's, from which training can resume: `during_training` adds to them what is
needed to build the model, and leaves out the weights that training does not change. `finish` reduces the best one to a
model.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ser.errors import RunError
from ser.features.normalise import Statistics
from ser.models.calibration import Calibration
from ser.models.classifier import SpeechClassifier
from ser.models.familiar import Familiar
from ser.models.published import no_more_weights_than, read_published
from ser.models.published_files import FACTS
from ser.runtime.files import replacing
from ser.runtime.instantiate import find_class
from ser.runtime.migration import migrated_hparams, migrated_weights, moved_targets

PARTS = ("ser_model", "hyper_parameters", "state_dict")
CALIBRATION = "ser_calibration"
"""Key of the fields of a `Calibration`, which checkpoints of versions up to 0.1 lack, and those of numbers."""
FAMILIAR = "ser_familiar"
"""Key of the state of a `Familiar`, which checkpoints of versions up to 0.1 lack, and those of some models."""
ADAPTED = "ser_adapted"
"""Key of the statistics of the speaker, or corpus, that a model is adapted to."""
LEFT_OUT = "ser_left_out"
"""Key of the number of weights that a training's checkpoint leaves out, since training does not change them."""
TRAINING = "ser_training"
"""Key of what the training was of: the hashes of its split, corpora and settings, which checkpoints of versions up to 0.1
lack."""
PREFIX = "model."
"""Prefix of the model's weights in a training's checkpoint."""
STATES = ("state_dict", "current_model_state")
"""Keys of the weights to use, and of those to resume from where the former are an average, in a training's checkpoint."""

UNFIT = (TypeError, LookupError, ValueError, AttributeError, RuntimeError, ArithmeticError, AssertionError, MemoryError)
"""What constructors raise on settings, and on tensors, of another version or from a stranger."""


def during_training(checkpoint: dict[str, Any], model: SpeechClassifier) -> None:
    """Add to a training's checkpoint what is needed to build its model, and leave out what training does not change."""
    checkpoint["ser_model"] = f"{type(model).__module__}.{type(model).__qualname__}"
    checkpoint["hyper_parameters"] = model.hparams
    if left_out := {PREFIX + name for name in model.unchanging()}:
        checkpoint[LEFT_OUT] = len(left_out)
        for part in checkpoint.keys() & STATES:
            checkpoint[part] = {k: v for k, v in checkpoint[part].items() if k not in left_out}


def put_back(checkpoint: dict[str, Any], model: SpeechClassifier) -> None:
    """Restore in a training's checkpoint what `during_training` left out."""
    left_out = {PREFIX + name: value for name, value in model.unchanging().items()}
    for part in checkpoint.keys() & STATES:
        checkpoint[part] = {**left_out, **checkpoint[part]}


def finish(path: Path, model: SpeechClassifier) -> None:
    """Reduce the checkpoint of a finished training to what a prediction needs."""
    checkpoint = read_checkpoint(path)
    if set(checkpoint) <= {*PARTS, CALIBRATION, FAMILIAR, TRAINING}:
        return
    put_back(checkpoint, model)
    kept = {name: checkpoint[name] for name in PARTS}
    _save({**kept, "state_dict": _without_prefix(checkpoint["state_dict"])}, path)


def write_model(path: Path, model: SpeechClassifier) -> None:
    """Write the checkpoint of a model that was not trained by Lightning: what a prediction needs."""
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict()}
    during_training(checkpoint, model)
    _save(checkpoint, path)


def checkpoint_from(model: SpeechClassifier) -> dict[str, Any]:
    """Return the checkpoint of a trained model, whole and in the form of this version; see `model_from`."""
    found: dict[str, Any] = {
        "ser_model": f"{type(model).__module__}.{type(model).__qualname__}",
        "hyper_parameters": moved_targets(model.hparams),
        "state_dict": model.state_dict(),
    }
    if model.calibration is not None:
        found[CALIBRATION] = asdict(model.calibration)
    if model.familiar is not None:
        found[FAMILIAR] = model.familiar.state()
    return found | _adapted(model)


def add_findings(
    path: Path, calibration: Calibration | None, familiar: Familiar | None, training: Mapping[str, str] | None = None
) -> None:
    """Store what a finished training found in its checkpoint, and what it was a training of."""
    found: dict[str, Any] = {} if calibration is None else {CALIBRATION: asdict(calibration)}
    if familiar is not None:
        found[FAMILIAR] = familiar.state()
    if training is not None:
        found[TRAINING] = dict(training)
    _save({**read_checkpoint(path), **found}, path)


def write_adapted(source: Path, path: Path, model: SpeechClassifier) -> None:
    """Write the checkpoint of a model with the statistics that the model is adapted to."""
    _save({**read_checkpoint(source), **_adapted(model)}, path)


def _adapted(model: SpeechClassifier) -> dict[str, Any]:
    own = model.normalise.adapted
    return {} if own is None else {ADAPTED: {name: value.cpu() for name, value in own._asdict().items()}}


def _save(checkpoint: Mapping[str, Any], path: Path) -> None:
    # Into a file of Python's, whose error names a full disk: torch's own does not.
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        torch.save(checkpoint, file)


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint, or the facts of a published model with the files beside them.

    Raises:
        RunError: If there is none, it is damaged, or it was not written by ``ser``.
    """
    checkpoint = read_published(file) if file.name == FACTS else _read(file)
    if not isinstance(checkpoint, dict) or not checkpoint.keys() >= set(PARTS):
        raise RunError(
            f"{file} must be a checkpoint of ser, which has {', '.join(PARTS)}. Give the folder of a run, or its best.ckpt."
        )
    return checkpoint


def _read(file: Path) -> Any:
    try:
        # weights_only: tensors and plain containers, never code.
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler can raise anything on a file of another kind
        raise RunError(
            f"{file} must be a checkpoint of tensors and plain data; got a damaged file, or one of another kind. Copy it "
            "again, or train again."
        ) from error


def model_from(checkpoint: Mapping[str, Any], file: Path) -> SpeechClassifier:
    """Build the model of a checkpoint; checkpoints of version 0.1 are translated.

    Raises:
        RunError: If its training has not finished and weights are missing, or it does not fit this version.
    """
    if LEFT_OUT in checkpoint:
        raise RunError(
            f"{file} must be of a finished training; {checkpoint[LEFT_OUT]} pretrained weights are added at its end. "
            "Resume the training with the same command plus ckpt=last."
        )
    kind = find_class(str(checkpoint["ser_model"]), SpeechClassifier)
    try:
        with no_more_weights_than(checkpoint["state_dict"]):
            model = kind(**migrated_hparams(checkpoint["hyper_parameters"]))
        model.load_state_dict(migrated_weights(_without_prefix(checkpoint["state_dict"])))
        if CALIBRATION in checkpoint:
            model.calibration = Calibration(**checkpoint[CALIBRATION])
        if (own := checkpoint.get(ADAPTED)) is not None:
            model.normalise.adapt(Statistics(own["mean"][None], own["deviation"][None]))
        if FAMILIAR in checkpoint:
            model.familiar = Familiar.from_state(checkpoint[FAMILIAR])
    except UNFIT as error:
        first = str(error).partition("\n")[0]
        raise RunError(f"{file} does not fit {kind.__name__} of this version: {first} Train it again.") from error
    return model


def _without_prefix(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's weights by the names that the model has for them."""
    if not all(name.startswith(PREFIX) for name in state):
        return dict(state)
    return {name.removeprefix(PREFIX): value for name, value in state.items()}
