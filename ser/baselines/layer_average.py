"""`LayerAverage`: one logistic regression on each layer of a frozen encoder, whose probabilities are averaged."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from typing_extensions import override

from ser.errors import ConfigError


class LayerAverage(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Average the probabilities of classifiers of the same clips, one for each layer of an encoder.

    Layers say different things about a clip, and which of them says most about emotion differs between corpora. A mean of
    their probabilities needs no choice of one layer, and is better than the best of them where their errors differ
    (`Kittler et al. 1998 <https://doi.org/10.1109/34.667881>`_, the sum rule).

    Args:
        n_layers: Layers in a vector, one after the other, each with as many features.
        first: The lowest layer that is used, 0 being the input of the encoder's first.
        C: Inverse strength of the penalty, see `sklearn.linear_model.LogisticRegression`.
        max_iter: The most steps of the solver.

    Attributes:
        classes_: The classes, ``(class,)``.
        estimators_: The fitted classifiers, from the lowest layer that is used to the top.
        n_iter_: Steps that each took, ``(layer,)``.

    Example:
        >>> x = np.array([[0.0, 5.0], [1.0, 4.0], [0.0, 1.0], [1.0, 0.0]])  # two layers of one feature
        >>> fitted = LayerAverage(n_layers=2, C=100.0).fit(x, np.array([0, 0, 1, 1]))
        >>> fitted.predict(np.array([[1.0, 4.5], [0.0, 0.5]]))
        array([0, 1])
    """

    def __init__(
        self,
        n_layers: int | None = None,
        first: int = 0,
        C: float = 1.0,  # noqa: N803, scikit-learn's name
        max_iter: int = 2000,
    ) -> None:
        self.n_layers, self.first, self.C, self.max_iter = n_layers, first, C, max_iter

    def fit(self, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None) -> "LayerAverage":
        """Fit each layer's classifier on vectors, ``(clip, feature)``, and classes, ``(clip,)``.

        Raises:
            ConfigError: If the features do not have such layers.
        """
        if type(self.n_layers) is not int or x.shape[1] % self.n_layers:
            raise ConfigError(
                f"features must be all layers of an encoder; got {x.shape[1]} features, which are not "
                f"{self.n_layers} layers. Set features=encoder and features.layer=null."
            )
        if type(self.first) is not int or not 0 <= self.first < self.n_layers:
            raise ConfigError(
                f"model.estimator.first must be a layer, 0 to {self.n_layers - 1}; got {self.first!r}. Choose another."
            )
        self.classes_ = np.unique(y)
        self.estimators_ = [
            LogisticRegression(C=self.C, max_iter=self.max_iter).fit(part, y, sample_weight) for part in self._parts(x)
        ]
        self.n_iter_ = np.array([int(np.max(one.n_iter_)) for one in self.estimators_])
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        """Return probabilities, ``(clip, class)``, of vectors, ``(clip, feature)``."""
        each = [one.predict_proba(part) for one, part in zip(self.estimators_, self._parts(x), strict=True)]
        found: np.ndarray = np.mean(each, axis=0)
        return found

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the most probable class of each vector, ``(clip,)``."""
        found: np.ndarray = self.classes_[self.predict_proba(x).argmax(axis=1)]
        return found

    @override
    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimators_")

    def _parts(self, x: np.ndarray) -> list[Any]:
        return np.split(x, self.n_layers or 1, axis=1)[self.first :]
