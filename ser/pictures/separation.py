"""How far groups of clips (emotions, speakers) are apart: the effect size of a number, and the neighbours of a vector."""

import logging
from importlib.util import find_spec

import numpy as np

log = logging.getLogger(__name__)

CHUNK = 512
"""Clips whose distances to all others are in memory at once."""
NO_UMAP = (
    "UMAP needs the package umap-learn: pip install 'ser[explore]'. The pictures have principal components instead."
)


def eta_squared(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the share of the variance of numbers that lies between groups; NaN where all are equal or there is one group.

    Source: Cohen, Statistical Power Analysis for the Behavioral Sciences, 1988, whose words for it are small from 0.01,
    medium from 0.06 and large from 0.14.

    Shapes:
        - values: ``(clip, ...)``; NaN where a clip has no value, which leaves it out of that number
        - groups: ``(clip,)``, of any kind
        - returns: ``(...)``

    Example:
        >>> eta_squared(np.array([1.0, 1.0, 3.0, 3.0, 2.0]), np.array(["a", "a", "b", "b", "b"])).round(3).item()
        0.833
    """
    known = ~np.isnan(values)
    mean = _mean(values, known)
    total = np.where(known, values - mean, 0.0)
    between = np.zeros_like(mean)
    names = np.unique(groups)
    for name in names:
        rows = groups == name
        count = known[rows].sum(axis=0)
        between += count * (np.where(count > 0, _mean(values[rows], known[rows]), mean) - mean) ** 2
    within_and_between = (total**2).sum(axis=0)
    flat = (within_and_between <= 1e-12 * np.maximum(mean**2, 1e-12)) | (len(names) < 2)
    return np.asarray(np.where(flat, np.nan, between / np.where(flat, 1.0, within_and_between)))


def _mean(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    return np.asarray(np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))


def standardised(vectors: np.ndarray) -> np.ndarray:
    """Return vectors with zero mean and unit deviation in every number; one that is constant is left out.

    Shapes:
        - vectors: ``(clip, number)``
        - returns: ``(clip, number that varies)``
    """
    deviation = vectors.std(axis=0)
    varies = deviation > 1e-9 * np.maximum(abs(vectors).max(axis=0, initial=0.0), 1e-9)
    return np.asarray((vectors[:, varies] - vectors[:, varies].mean(axis=0)) / deviation[varies])


def nearest_is_alike(vectors: np.ndarray, groups: np.ndarray, apart: np.ndarray | None = None) -> tuple[float, float]:
    """Return how often the nearest other clip is of the same group, and how often one drawn at random would be.

    Args:
        vectors: ``(clip, number)``, compared by their Euclidean distance.
        groups: ``(clip,)``, such as emotions.
        apart: ``(clip,)``, such as speakers: only clips of another of these count as neighbours. A clip without any
            neighbour is left out; both numbers are NaN if all are.

    Example:
        >>> nearest_is_alike(np.array([[0.0], [0.1], [5.0], [5.2]]), np.array(["a", "a", "b", "b"]))
        (1.0, 0.3333333333333333)
    """
    squares = (vectors**2).sum(axis=1)
    alike, chance = [], []
    for start in range(0, len(vectors), CHUNK):
        rows = np.arange(start, min(start + CHUNK, len(vectors)))
        distance = squares[rows, None] + squares - 2 * vectors[rows] @ vectors.T
        allowed = rows[:, None] != np.arange(len(vectors))
        if apart is not None:
            allowed &= apart[rows, None] != apart
        some = allowed.any(axis=1)
        same = groups[rows, None] == groups
        nearest = np.where(allowed, distance, np.inf).argmin(axis=1)
        alike.append(same[np.arange(len(rows)), nearest][some])
        chance.append(((same & allowed).sum(axis=1) / np.maximum(allowed.sum(axis=1), 1))[some])
    found = np.concatenate(alike) if alike else np.empty(0)
    return (float(found.mean()), float(np.concatenate(chance).mean())) if len(found) else (np.nan, np.nan)


def beyond_chance(alike: float, chance: float) -> float:
    """Return a share on the scale where chance is 0 and always is 1, so that 4 speakers and 8 emotions can be compared.

    Example:
        >>> round(beyond_chance(0.75, 0.5), 3)
        0.5
    """
    return (alike - chance) / (1 - chance) if chance < 1 else float("nan")


def principal_components(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first two principal components, and the share of the variance that each has.

    Shapes:
        - vectors: ``(clip, number)``
        - returns: ``(clip, 2)`` and ``(2,)``; zeros where there are fewer than two

    Example:
        >>> points, shares = principal_components(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
        >>> shares.round(3).tolist()
        [1.0, 0.0]
    """
    from sklearn.decomposition import PCA  # late: slow to import

    points, shares = np.zeros((len(vectors), 2)), np.zeros(2)
    if np.ptp(vectors, axis=0).any():
        count = min(2, *vectors.shape)
        pca = PCA(count, svd_solver="full")  # exact, whatever the shape
        points[:, :count] = pca.fit_transform(vectors)
        shares[:count] = pca.explained_variance_ratio_
    return points, shares


def has_umap() -> bool:
    """Whether umap-learn is installed; logs a sentence if it is not."""
    if there := find_spec("umap") is not None:
        return there
    log.warning(NO_UMAP)
    return False


def umap_points(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the map of McInnes et al., 2018, https://doi.org/10.21105/joss.00861, ``(clip, 2)``; needs umap-learn."""
    import umap

    neighbours = min(15, len(vectors) - 1)
    mapped = umap.UMAP(n_neighbors=neighbours, init="pca", random_state=seed, n_jobs=1).fit_transform(vectors)
    return np.asarray(mapped, dtype=np.float64)


def tsne_points(vectors: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the map of van der Maaten and Hinton, 2008, ``(clip, 2)``."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(vectors) - 1) / 3)
    mapped = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(vectors)
    return np.asarray(mapped, dtype=np.float64)
