"""Candidates of a classical model: every combination of its settings, fitted on training clips and scored on dev clips."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.baselines.fitted import Fitted
from ser.errors import ConfigError
from ser.evaluation.agreement import ccc, moments
from ser.evaluation.calibration import fit_temperature
from ser.evaluation.measure import CLASSES, NUMBERS
from ser.evaluation.metrics import confusion, cross_entropy, uar
from ser.runtime.instantiate import find_class, instantiate

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin
    from sklearn.pipeline import Pipeline

log = logging.getLogger(__name__)
SCALERS = {"standard": "StandardScaler", "robust": "RobustScaler", "quantile": "QuantileTransformer"}
"""Names of scalers, and the classes of `sklearn.preprocessing`; ``none`` is none of them."""
Settings = dict[str, Any]


@dataclass(frozen=True)
class Clips:
    """Vectors of some clips, ``(clip, feature)`` float64, and their targets.

    These are the positions of their classes, ``(clip,)`` integers, or standardised numbers, ``(clip, number)``.
    """

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Candidate:
    """A fitted pipeline.

    Attributes:
        settings: The settings in which the candidates differ.
        measured: Its ``dev_uar``, and its ``dev_loss`` in nats; of numbers its ``dev_ccc``, and its mean squared error.
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


def estimator_for(name: str, estimator: Mapping[str, Any], regressor: str | None, numeric: bool) -> Settings:
    """Return an estimator of classes, or with the same arguments one of numbers.

    Args:
        name: Of the model.
        estimator: ``_target_`` and arguments.
        regressor: What takes the place of ``_target_`` where targets are numbers; ``None`` if it is a regressor itself.
        numeric: Whether they are.

    Raises:
        ConfigError: If there is no regressor.

    Example:
        >>> estimator_for("svm", {"_target_": "sklearn.svm.SVC", "C": 10}, "sklearn.svm.SVR", numeric=True)
        {'_target_': 'sklearn.svm.SVR', 'C': 10}
    """
    if not numeric:
        return dict(estimator)
    from sklearn.base import BaseEstimator, RegressorMixin  # late: slow to import

    path = regressor or str(estimator.get("_target_"))
    if not issubclass(find_class(path, BaseEstimator), RegressorMixin):
        raise ConfigError(
            f"labels must be classes with model={name}, whose {path.rpartition('.')[2]} has no twin for numbers; got "
            "numbers. Choose another model, such as ridge, svm or random_forest."
        )
    return {**estimator, "_target_": path}


def fit_candidates(
    grid: Sequence[Settings], train: Clips, dev: Clips, n_classes: int | None, seed: int, threads: int = 1
) -> list[Candidate]:
    """Fit a pipeline with each of some settings on the training clips, with classes of equal weight.

    One that cannot be used with these clips is left out, with a warning.

    Args:
        grid: The settings of each: ``scaler``, a name of `SCALERS` or ``none``; ``_target_`` of a classifier, or regressor,
            with the interface of scikit-learn; its arguments.
        train: Clips of training speakers, of two classes or more.
        dev: Clips of dev speakers: they score the candidates, and fit the temperature of those without probabilities.
        n_classes: Number of classes; ``None`` where targets are numbers.
        seed: Seed of a classifier that draws.
        threads: Candidates that are fitted at once; no result depends on it.

    Raises:
        ConfigError: If none can be used.
    """
    from sklearn.exceptions import ConvergenceWarning  # late: slow to import
    from threadpoolctl import threadpool_limits

    differing = [key for key in grid[0] if any(settings[key] != grid[0][key] for settings in grid)]

    def measured_candidate(settings: Settings) -> Candidate:
        if n_classes is None:
            fitted = _fitted_to_numbers(settings, train, seed)
            measured = _of_numbers(fitted.outputs(dev.x), dev.y)
        else:
            fitted = _fitted(settings, train, dev, n_classes, seed)
            measured = _of_classes(np.exp(fitted.outputs(dev.x)), dev.y)
        return Candidate(fitted, {key: settings[key] for key in differing}, measured)

    def candidate(settings: Settings) -> Candidate | ConfigError:
        try:
            return measured_candidate(settings)
        except ConfigError as error:
            return error
        except ValueError as error:  # found when it scores, such as more neighbours than clips
            refused = ConfigError(f"model.estimator must be settings that fit these clips; got an error: {error}")
            refused.__cause__ = error
            return refused

    with ThreadPoolExecutor(threads) as pool, warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # `unconverged` says so of the one that is kept
        found = list(pool.map(candidate, grid))
    refused = [one for one in found if isinstance(one, ConfigError)]
    if len(refused) == len(found):
        raise refused[0]
    for error in refused:
        log.warning("A candidate is left out: %s", error)
    return [one for one in found if isinstance(one, Candidate)]


def _of_classes(p: np.ndarray, target: np.ndarray) -> dict[str, float]:
    score = float(uar(confusion(target, p.argmax(axis=1), p.shape[1])))
    return {CLASSES.dev: score, "dev_loss": cross_entropy(p / p.sum(axis=1, keepdims=True), target)}


def _of_numbers(predicted: np.ndarray, target: np.ndarray) -> dict[str, float]:
    score = float(ccc(moments(target, predicted).sum(axis=0)))
    return {NUMBERS.dev: score, "dev_loss": float(np.mean((predicted - target) ** 2))}


def unconverged(fitted: Fitted) -> bool:
    """Whether an estimator stopped at its ``max_iter``, unless these are epochs of a stochastic training."""
    from sklearn.multioutput import MultiOutputRegressor

    last = fitted.pipeline[-1]
    return any(map(_stopped, last.estimators_ if isinstance(last, MultiOutputRegressor) else [last]))


def _stopped(estimator: Any) -> bool:
    steps, most = getattr(estimator, "n_iter_", None), getattr(estimator, "max_iter", None)
    if hasattr(estimator, "loss_curve_") or steps is None or most is None:  # solved in closed form, or without a limit
        return False
    return bool(np.max(steps) >= most > 0)


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
    _fit(pipeline, train.x, y, weights)
    trained = np.isin(np.arange(n_classes), present)
    fitted, known = Fitted(pipeline, trained), trained[dev.y]
    if hasattr(pipeline, "predict_proba") or not known.any():
        return fitted
    p = np.exp(fitted.outputs(dev.x[known]))
    return replace(fitted, temperature=fit_temperature(p / p.sum(axis=1, keepdims=True), dev.y[known]))


def _fitted_to_numbers(settings: Settings, train: Clips, seed: int) -> Fitted:
    from sklearn.multioutput import MultiOutputRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.utils import get_tags

    regressor = _regressor(settings, seed)
    several = train.y.shape[1] > 1
    if several and not get_tags(regressor).target_tags.multi_output:
        regressor = MultiOutputRegressor(regressor)
    pipeline = make_pipeline(_scaler(settings["scaler"]), regressor)
    _fit(pipeline, train.x, train.y if several else train.y[:, 0], {})
    return Fitted(pipeline)


def _fit(pipeline: "Pipeline", x: np.ndarray, y: np.ndarray, weights: Mapping[str, np.ndarray]) -> None:
    try:
        pipeline.fit(x, y, **weights)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"model.estimator must be settings that fit these clips; got an error: {error}") from error


def _classifier(settings: Settings, n_classes: int, seed: int) -> "ClassifierMixin":
    from sklearn.base import ClassifierMixin

    classifier = _seeded(instantiate(_arguments(settings), ClassifierMixin), seed)
    if classifier.get_params().get("priors", 0) is None:
        classifier.set_params(priors=np.full(n_classes, 1 / n_classes))
    return classifier


def _regressor(settings: Settings, seed: int) -> Any:
    from sklearn.base import RegressorMixin

    return _seeded(instantiate(_arguments(settings), RegressorMixin), seed)


def _arguments(settings: Settings) -> Settings:
    return {key: value for key, value in settings.items() if key != "scaler"}


def _seeded(estimator: Any, seed: int) -> Any:
    if estimator.get_params().get("random_state", 0) is None:
        estimator.set_params(random_state=seed)
    return estimator


def _scaler(name: str) -> Any:
    from sklearn import preprocessing

    if name == "none":
        return "passthrough"
    if name not in SCALERS:
        raise ConfigError(f"model.scaler must be among {', '.join(SCALERS)} and none; got {name!r}.")
    return getattr(preprocessing, SCALERS[name])()
