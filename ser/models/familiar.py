"""How far a recording is from the clips that a model was trained on, by what the model's outputs are made from.

Source: Lee et al., 2018, https://arxiv.org/abs/1807.03888: the Mahalanobis distance to the nearest class, with one covariance
for all classes.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from io import BytesIO
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np

DIRECTIONS = 256
"""Directions of largest variance that are kept: an embedding of the nets here has no more, and openSMILE's vectors do."""
QUANTILE = 0.99
"""Share of the dev clips that are not further away than the limit."""
SMALLEST = 1e-6
"""Smallest variance of a direction, of 1 of a unit: below is rounding."""


@dataclass(frozen=True)
class Familiar:
    """A training's clips in short.

    Args:
        centre: ``(unit,)``, subtracted from an embedding.
        whitening: ``(unit, direction)``: an embedding times it has unit covariance within a class.
        means: ``(class, direction)``, of the classes.
        limit: Distance that `QUANTILE` of the dev clips do not exceed.
    """

    centre: np.ndarray
    whitening: np.ndarray
    means: np.ndarray
    limit: float

    def distance(self, embedding: np.ndarray) -> np.ndarray:
        """Return the distances of embeddings ``(clip, unit)`` to the nearest class mean, ``(clip,)``, in deviations.

        Example:
            >>> found = Familiar(np.zeros(2), np.eye(2), np.array([[0.0, 0.0], [9.0, 0.0]]), limit=3.0)
            >>> found.distance(np.array([[0.0, 2.0], [9.0, 4.0]])).tolist()
            [2.0, 4.0]
        """
        at = (embedding.astype(float) - self.centre) @ self.whitening
        nearest: np.ndarray = np.linalg.norm(at[:, None] - self.means, axis=2).min(axis=1)
        return nearest

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds: tensors and a number."""
        import torch  # late: a prediction by another library needs none

        arrays = {name: value for name, value in asdict(self).items() if name != "limit"}
        return {"limit": self.limit, **{name: torch.from_numpy(value).float() for name, value in arrays.items()}}

    def text(self) -> str:
        """Return it as a text, for files that hold texts beside a net."""
        file = BytesIO()
        arrays = {name: np.asarray(value, dtype=np.float32) for name, value in asdict(self).items()}
        np.savez_compressed(file, allow_pickle=False, **arrays)
        return b64encode(file.getvalue()).decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return what a text of `text` holds.

        Raises:
            ValueError: If it is damaged.
        """
        try:
            with np.load(BytesIO(b64decode(text, validate=True)), allow_pickle=False) as file:
                arrays = {field.name: file[field.name].astype(float) for field in fields(cls)}
        except (OSError, KeyError, BadZipFile, EOFError) as error:
            raise ValueError(f"familiar must be what an export wrote; got {error!r}.") from error
        return cls(**{**arrays, "limit": float(arrays["limit"])})

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return what a checkpoint holds."""
        arrays = {name: value.double().numpy() for name, value in state.items() if name != "limit"}
        return cls(**arrays, limit=float(state["limit"]))


def familiar_from(training: np.ndarray, group: np.ndarray, dev: np.ndarray) -> Familiar:
    """Summarise embeddings of training clips; the limit is that of dev clips.

    The covariance within classes is that of Ledoit and Wolf, 2004, https://doi.org/10.1016/S0047-259X(03)00096-4, of units
    with a deviation of 1: it can be inverted however few clips there are.

    Shapes:
        - training, dev: ``(clip, unit)``
        - group: ``(clip,)`` positions of the classes of training clips; one number for all where there are none
    """
    centre, spread = training.mean(axis=0), training.std(axis=0)
    scale = np.where(spread > 1e-6 * max(1.0, float(spread.max())), spread, np.inf)  # a constant unit says nothing
    units = (training - centre) / scale
    groups, which = np.unique(group, return_inverse=True)
    means = np.stack([units[which == at].mean(axis=0) for at in range(len(groups))])
    within = units - means[which]
    shrinkage = shrinkage_of(within)
    every = len(within) < len(centre) <= DIRECTIONS  # also the directions in which no training clip differs
    _, deviations, directions = np.linalg.svd(within / np.sqrt(len(within)), full_matrices=every)
    variances = np.zeros(len(directions))
    variances[: len(deviations)] = deviations**2
    variances = (1 - shrinkage) * variances + shrinkage * (within**2).mean()
    white = (directions / np.sqrt(np.maximum(variances, SMALLEST))[:, None])[:DIRECTIONS].T
    found = Familiar(centre, white / scale[:, None], means @ white, limit=0.0)
    return replace(found, limit=float(np.quantile(found.distance(dev), QUANTILE)))


def shrinkage_of(units: np.ndarray) -> float:
    """Return how far Ledoit and Wolf shrink the covariance of centred units towards equal variances, 0 to 1.

    Where there are fewer clips than units, it is computed from the inner products of clips: scikit-learn's takes time with
    the square of the units, which all layers of an encoder have thousands of.

    Shapes:
        - units: ``(clip, unit)``

    Example:
        >>> noise = np.random.default_rng(0).normal(size=(30, 200))  # whose true variances are equal
        >>> round(shrinkage_of(noise), 1)
        1.0
    """
    from sklearn.covariance import ledoit_wolf_shrinkage

    clips, count = units.shape
    if clips >= count:
        return float(ledoit_wolf_shrinkage(units, assume_centered=True))
    products = units @ units.T  # (clip, clip)
    trace, squares = products.trace() / clips, float((products**2).sum()) / clips**2  # the covariance's squared entries
    distance = (squares - trace**2 / count) / count
    noise = ((products.diagonal() ** 2).mean() - squares) / (count * clips)
    return float(min(noise, distance) / distance) if noise else 0.0
