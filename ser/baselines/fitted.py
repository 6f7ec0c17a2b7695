"""A fitted scikit-learn pipeline: its probabilities or numbers, and its form in a checkpoint, which holds no code.

Source of the form: skops, https://skops.readthedocs.io (MIT), which reads known types only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ser.errors import ConfigError, RunError
from ser.evaluation.calibration import FLOOR
from ser.runtime.words import and_more

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

KNOWN = (
    "ser.baselines.layer_average.LayerAverage",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
)
"""Types beyond those that skops itself trusts: they hold numbers, and reading them runs no code of the file."""
REMEDY = "Do not use this file unless you wrote it; train it again."


@dataclass(frozen=True)
class Fitted:
    """A fitted pipeline.

    Args:
        pipeline: Its classes are the positions of the classes that training clips had, among these: 0, 1, ...
        present: Whether training clips had a class, ``(class,)`` booleans; the others get no probability. ``None`` of
            a regressor.
        temperature: Divides the decision function of a classifier that has no probabilities.
    """

    pipeline: "Pipeline"
    present: np.ndarray | None = None
    temperature: float = 1.0

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Return log-probabilities, ``(clip, class)``, or numbers, ``(clip, number)``, of vectors, ``(clip, feature)``.

        Log-probabilities are those of the classifier, or the softmax of its decision function over the temperature. None
        is below float64's epsilon (2.2e-16), as in `ser.evaluation.metrics.cross_entropy`.
        """
        if self.present is None:
            return np.asarray(self.pipeline.predict(x), dtype=np.float64).reshape(len(x), -1)
        from scipy.special import log_softmax  # late: slow to import

        found = np.full((len(x), len(self.present)), np.log(FLOOR))
        if hasattr(self.pipeline, "predict_proba"):
            found[:, self.present] = np.log(np.maximum(self.pipeline.predict_proba(x), FLOOR))
            return found
        decision = self.pipeline.decision_function(x)
        if decision.ndim == 1:  # of two classes: the distance to the second one's side
            decision = np.stack([-decision, decision], axis=1)
        found[:, self.present] = np.maximum(log_softmax(decision / self.temperature, axis=1), np.log(FLOOR))
        return found

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds: tensors, or nothing, and a number.

        Raises:
            ConfigError: If the pipeline could not be read again, as a type in it is not known.
        """
        from skops import io  # late: slow to import

        stored = io.dumps(self.pipeline)
        if unknown := _unknown_types(stored):
            raise ConfigError(
                f"model.estimator must be of types known to hold no code; got {and_more(unknown)}. "
                "Choose another estimator or algorithm."
            )
        as_tensor = torch.frombuffer(bytearray(stored), dtype=torch.uint8)
        return {
            "pipeline": as_tensor,
            "present": None if self.present is None else torch.from_numpy(self.present),
            "temperature": float(self.temperature),
        }


def fitted_from(state: Mapping[str, Any]) -> Fitted:
    """Return the pipeline that a checkpoint holds.

    Raises:
        RunError: If it is damaged, or holds another type than those of known estimators.
    """
    stored: Tensor = state["pipeline"]
    present: Tensor | None = state["present"]
    of_classes = None if present is None else present.cpu().numpy()
    return Fitted(_pipeline(stored.cpu().numpy().tobytes()), of_classes, state["temperature"])


def _unknown_types(stored: bytes) -> list[str]:
    from skops import io

    return sorted(set(io.get_untrusted_types(data=stored)) - set(KNOWN))


def _pipeline(stored: bytes) -> "Pipeline":
    from sklearn.pipeline import Pipeline
    from skops import io

    try:
        unknown = _unknown_types(stored)
        pipeline = None if unknown else io.loads(stored, trusted=list(KNOWN))
    except Exception as error:  # a damaged file can raise anything
        raise RunError(f"The classifier of a checkpoint must be whole; got {error!r}. {REMEDY}") from error
    if unknown:
        raise RunError(f"The classifier of a checkpoint must be of known types; got {and_more(unknown)}. {REMEDY}")
    if not isinstance(pipeline, Pipeline):
        raise RunError(f"The classifier of a checkpoint must be a Pipeline; got {type(pipeline).__name__}. {REMEDY}")
    return pipeline
