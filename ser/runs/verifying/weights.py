"""Checks that need the checkpoints of a run: are they of its settings, its split and its corpora?"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.summary import differences
from ser.runs.folder import BEST, CONFIG, RunFolder
from ser.runs.identity import of_fold, training_hashes
from ser.runs.verifying.check import UncheckedError, refuse
from ser.runs.verifying.derived import Derived
from ser.runtime.migration import moved

if TYPE_CHECKING:
    from ser.models.classifier import SpeechClassifier

SAME_STATISTIC = 1e-3
"""In deviations of a feature: how far its mean and deviation may be from those computed again on another device."""
PLAIN = (str, int, float, type(None))


def verify_checkpoint(fold: RunFolder) -> str:
    """Check that the checkpoint has the model, the parameters and the encoder that the run names, and is of its training."""
    file = _checkpoint_of(fold)
    from ser.models.checkpoint import TRAINING, model_from, read_checkpoint

    stored = read_checkpoint(file)
    model, about = model_from(stored, file), fold.about
    parameters = sum(p.numel() for p in model.parameters()) or None
    found: dict[str, Any] = {
        "parameters": parameters,
        "encoder": model.provenance().get("encoder"),
        "stamps": list(model.stamps),
        "classes": list(model.classes),
    }
    said: dict[str, Any] = {
        "parameters": about.get("parameters"),
        "encoder": about.get("encoder"),
        "stamps": about["stamps"],
        "classes": list(predictions.classes(fold.predictions)),
    }
    if fold.whole.has(CONFIG):
        found |= _settings_of(model)
        said |= {key: value for key, value in _settings(_config(fold)).items() if key in found}
        found = {key: value for key, value in found.items() if key in said}
    refuse(differences(said, found, 0.0), f"{fold.path.name}: the run differs from its checkpoint")
    if TRAINING not in stored:
        raise UncheckedError("the checkpoint does not say which split, corpora and settings it was trained with")
    bound = training_hashes(fold.config, next(iter(about["splits"].values())), about["fingerprint"])
    refuse(differences(bound, dict(stored[TRAINING])), f"{fold.path.name}: the checkpoint is of another training")
    return f"{parameters or 'its'} parameters, of this split, these corpora and these settings"


def verify_statistics(fold: RunFolder, derived: Derived, costly: bool) -> str:
    """Check that the statistics of normalisation in the checkpoint are those of the training side.

    Args:
        fold: The fold.
        derived: What the corpora give.
        costly: Whether to compute features that take long, such as those of a pretrained encoder.
    """
    by = (_config(fold).get("normalise") or {}).get("by", "utterance")
    if by in ("utterance", "none"):
        return "none: what a clip is normalised by does not depend on other clips"
    file = _checkpoint_of(fold)
    from ser.datamodules.data import Loading, SpeechData
    from ser.inference.load import load_model

    model = load_model(file)
    if any(p.requires_grad for p in model.features.parameters()):
        raise UncheckedError("the features were trained after their statistics were computed")
    if model.cache_key() is not None and not costly:
        raise UncheckedError("the features take long to compute; give --rescore")
    (number,) = fold.splits
    data = SpeechData(derived.plan, number, Loading(workers=0))
    was = model.normalise.mean.clone(), model.normalise.deviation.clone()
    model.use_cached_features(data)
    model.fit_statistics(data)
    now = model.normalise.mean, model.normalise.deviation
    apart = max(
        float(((a - b).abs() / (now[1] + model.normalise.epsilon)).max()) for a, b in zip(was, now, strict=True)
    )
    if apart > SAME_STATISTIC:
        raise RunError(
            f"{fold.path.name}/{BEST} is normalised by other clips than those of its training side: a statistic is "
            f"{apart:.2g} deviations from theirs."
        )
    return f"those of the {len(data.split.train)} training clips"


def _config(fold: RunFolder) -> dict[str, Any]:
    """Return the settings that a fold was trained with."""
    (number,) = fold.splits
    return of_fold(fold.config, number)


def _checkpoint_of(fold: RunFolder) -> Any:
    if not fold.has(BEST):
        raise UncheckedError(f"the run has no {BEST}, so nothing here shows which model made its predictions")
    return fold.path / BEST


def _settings_of(model: "SpeechClassifier") -> dict[str, Any]:
    """Return the settings of a checkpoint's model that a configuration has in the same form."""
    own = {f"model.{key}": value for key, value in model.hparams.items() if isinstance(value, PLAIN)}
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    return {"model._target_": kind, **own, "audio": asdict(model.audio), "normalise.by": model.normalise.by}


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    model = {f"model.{key}": value for key, value in config["model"].items()}
    normalise = {"normalise.by": config["normalise"]["by"]} if config.get("normalise") else {}
    target = {"model._target_": moved(str(config["model"]["_target_"]))}
    return {**model, **target, "audio": config["audio"], **normalise}
