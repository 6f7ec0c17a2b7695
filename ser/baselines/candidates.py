"""Candidates of a classical model: every combination of its settings, fitted on training clips and scored on dev clips."""

import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.baselines.fitted import Fitted
from ser.errors import ConfigError
from ser.evaluation.calibration import fit_temperature
from ser.evaluation.metrics import confusion, cross_entropy, uar
from ser.runtime.instantiate import instantiate

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

SCALERS = {"standard": "StandardScaler", "robust": "RobustScaler", "quantile": "QuantileTransformer"}
"""Names of scalers, and the classes of `sklearn.preprocessing`; ``none`` is none of them."""
Settings = dict[str, Any]


@dataclass(frozen=True)
class Clips:
    """Vectors of some clips, ``(clip, feature)`` float64, and the positions of their classes, ``(clip,)`` integers."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """A fitted pipeline.

    Attributes:
        settings: The settings in which the candidates differ.
        measured: Its ``dev_uar``, and its ``dev_loss`` in nats.
    """

    fitted: Fitted
    settings: Settings
    measured: Mapping[str, float]


def combinations(settings: Mapping[str, Any]) -> list[Settings]:
    """Return every combination of settings, of which each is a value, or a list of values to choose from.

    Example:
        >>> combinations({"C": [1, 10], "kernel": "rbf"})
        [{'C': 1, 'kernel': 'rbf'}, {'C': 10, 'kernel': 'rbf'}]
    """
    values = [value if isinstance(value, list) else [value] for value in settings.values()]
    return [dict(zip(settings, chosen, strict=True)) for chosen in product(*values)]


def fit_candidates(
    grid: Sequence[Settings], train: Clips, dev: Clips, n_classes: int, seed: int, threads: int = 1
) -> list[Candidate]:
    """Fit a pipeline with each of some settings on the training clips, with classes of equal weight.

    Args:
        grid: The settings of each: ``scaler``, a name of `SCALERS` or ``none``; ``_target_`` of a classifier with the
            interface of scikit-learn; the arguments of that classifier.
        train: Clips of training speakers, of two classes or more.
        dev: Clips of dev speakers: they score the candidates, and fit the temperature of those without probabilities.
        n_classes: Number of classes.
        seed: Seed of a classifier that draws.
        threads: Candidates that are fitted at once; no result depends on it.

    Raises:
        ConfigError: If a setting cannot be used.
    """
    from sklearn.exceptions import ConvergenceWarning  # late: slow to import
    from threadpoolctl import threadpool_limits

    differing = [key for key in grid[0] if any(settings[key] != grid[0][key] for settings in grid)]

    def candidate(settings: Settings) -> Candidate:
        fitted = _fitted(settings, train, dev, n_classes, seed)
        p = np.exp(fitted.log_probabilities(dev.x))
        score = float(uar(confusion(dev.y, p.argmax(axis=1), n_classes)))
        measured = {"dev_loss": cross_entropy(p / p.sum(axis=1, keepdims=True), dev.y), "dev_uar": score}
        return Candidate(fitted, {key: settings[key] for key in differing}, measured)

    with ThreadPoolExecutor(threads) as pool, warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # `unconverged` says so of the one that is kept
        return list(pool.map(candidate, grid))


def unconverged(fitted: Fitted) -> bool:
    """Whether a classifier stopped at its ``max_iter``, unless these are epochs of a stochastic training."""
    classifier = fitted.pipeline[-1]
    return not hasattr(classifier, "loss_curve_") and bool(
        np.max(getattr(classifier, "n_iter_", 0)) >= (getattr(classifier, "max_iter", None) or np.inf) > 0
    )


def _fitted(settings: Settings, train: Clips, dev: Clips, n_classes: int, seed: int) -> Fitted:
    from sklearn.pipeline import make_pipeline
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.validation import has_fit_parameter

    present, y = np.unique(train.y, return_inverse=True)
    classifier = _classifier(settings, len(present), seed)
    pipeline = make_pipeline(_scaler(settings["scaler"]), classifier)
    weights = {}
    if has_fit_parameter(classifier, "sample_weight"):
        weights[f"{pipeline.steps[-1][0]}__sample_weight"] = compute_sample_weight("balanced", y)
    try:
        pipeline.fit(train.x, y, **weights)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model.estimator must be settings that fit these clips; got an error: {error}") from error
    fitted = Fitted(pipeline, np.isin(np.arange(n_classes), present))
    known = fitted.present[dev.y]
    if hasattr(pipeline, "predict_proba") or not known.any():
        return fitted
    p = np.exp(fitted.log_probabilities(dev.x[known]))
    return replace(fitted, temperature=fit_temperature(p / p.sum(axis=1, keepdims=True), dev.y[known]))


def _classifier(settings: Settings, n_classes: int, seed: int) -> "ClassifierMixin":
    from sklearn.base import ClassifierMixin

    config = {key: value for key, value in settings.items() if key != "scaler"}
    classifier = instantiate(config, ClassifierMixin)
    takes = classifier.get_params()
    if takes.get("random_state", 0) is None:
        classifier.set_params(random_state=seed)
    if takes.get("priors", 0) is None:
        classifier.set_params(priors=np.full(n_classes, 1 / n_classes))
    return classifier


def _scaler(name: str) -> Any:
    from sklearn import preprocessing

    if name == "none":
        return "passthrough"
    if name not in SCALERS:
        raise ConfigError(f"model.scaler must be among {', '.join(SCALERS)} and none; got {name!r}.")
    return getattr(preprocessing, SCALERS[name])()
