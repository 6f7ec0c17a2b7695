"""Scores of predicted numbers from their moments: concordance, correlation, root mean squared error.

CCC: Lin, 1989, https://doi.org/10.2307/2532051, with moments over n as there. It is 1 only where every prediction equals its
target: a wrong mean or a wrong spread lowers it, which Pearson's correlation does not see.

`moments` sums once; every other function takes ``(..., dimension, 6)`` sums and scores any number of them at once, as
`ser.evaluation.metrics` does with confusion matrices. Sums of speakers add up, so a bootstrap takes milliseconds.
"""

import numpy as np

from ser.evaluation.metrics import mean_of_defined, ratio

MOMENTS = 6
"""Number of sums: utterances, targets, predictions, squared targets, squared predictions, products."""

ROUNDING = 1e-12


def moments(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return what is summed over utterances: 1, the target, the prediction, their squares and their product.

    Shapes:
        - target, predicted: ``(utterance, dimension)``, in the same unit, from the same zero
        - returns: ``(utterance, dimension, 6)`` float64

    Raises:
        ValueError: If the shapes differ, or are others.

    Example:
        >>> moments(np.array([[2.0]]), np.array([[3.0]]))
        array([[[1., 2., 3., 4., 9., 6.]]])
    """
    if target.shape != predicted.shape or target.ndim != 2:
        raise ValueError(
            f"target and predicted must have the same shape (utterance, dimension); got {target.shape}, {predicted.shape}."
        )
    t, p = target.astype(np.float64), predicted.astype(np.float64)
    return np.stack([np.ones_like(t), t, p, t * t, p * p, t * p], axis=-1)


def moments_by_group(target: np.ndarray, predicted: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the summed moments of each group, from the mean of all targets, which keeps them exact far from zero.

    Shapes:
        - target, predicted: ``(utterance, dimension)``
        - group: ``(utterance,)`` names
        - returns: the names, sorted, ``(group,)``, and sums ``(group, dimension, 6)``

    Raises:
        ValueError: As `moments`, or if ``group`` differs in length.

    Example:
        >>> names, sums = moments_by_group(np.array([[1.0], [3.0]]), np.array([[1.0], [2.0]]), np.array(["b", "a"]))
        >>> names.tolist(), sums[0, 0].tolist()
        (['a', 'b'], [1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    """
    if len(group) != len(target):
        raise ValueError(f"group must have one value per utterance, here {len(target)}; got {len(group)}.")
    zero = target.mean(axis=0)
    names, index = np.unique(np.asarray(group, dtype=str), return_inverse=True)
    sums = np.zeros((len(names), target.shape[1], MOMENTS))
    np.add.at(sums, index, moments(target - zero, predicted - zero))
    return names, sums


def ccc_per_dimension(sums: np.ndarray) -> np.ndarray:
    """Return the concordance: ``2 cov / (var_t + var_p + (mean_t - mean_p)^2)``, from -1 to 1.

    Shapes:
        - sums: ``(..., dimension, 6)``
        - returns: ``(..., dimension)``; NaN where targets and predictions are one and the same constant

    Example:
        >>> ccc_per_dimension(moments(np.array([[1.0], [3.0]]), np.array([[2.0], [4.0]])).sum(axis=0))
        array([0.66666667])
    """
    mean_t, mean_p, var_t, var_p, covariance = _central(sums)
    return ratio(2 * covariance, var_t + var_p + (mean_t - mean_p) ** 2)


def pearson_per_dimension(sums: np.ndarray) -> np.ndarray:
    """Return Pearson's correlation, ``cov / sqrt(var_t var_p)``: whether predictions rise with targets, in whatever unit.

    Shapes:
        - sums: ``(..., dimension, 6)``
        - returns: ``(..., dimension)``; NaN where targets or predictions are all the same

    Example:
        >>> pearson_per_dimension(moments(np.array([[1.0], [3.0]]), np.array([[2.0], [4.0]])).sum(axis=0))
        array([1.])
    """
    _, _, var_t, var_p, covariance = _central(sums)
    return np.asarray(np.clip(ratio(covariance, np.sqrt(var_t * var_p)), -1.0, 1.0))


def rmse_per_dimension(sums: np.ndarray) -> np.ndarray:
    """Return the root mean squared error, in the unit of the targets.

    Shapes:
        - sums: ``(..., dimension, 6)``
        - returns: ``(..., dimension)``; NaN where there are no utterances

    Example:
        >>> rmse_per_dimension(moments(np.array([[1.0], [3.0]]), np.array([[2.0], [4.0]])).sum(axis=0))
        array([1.])
    """
    _check(sums)
    squared = sums[..., 3] + sums[..., 4] - 2 * sums[..., 5]
    return np.asarray(np.sqrt(np.maximum(ratio(squared, sums[..., 0]), 0.0)))


def ccc(sums: np.ndarray) -> np.ndarray:
    """Return the mean of `ccc_per_dimension` over the dimensions where it is defined, ``(...)``."""
    return mean_of_defined(ccc_per_dimension(sums))


def pearson(sums: np.ndarray) -> np.ndarray:
    """Return the mean of `pearson_per_dimension` over the dimensions where it is defined, ``(...)``."""
    return mean_of_defined(pearson_per_dimension(sums))


def rmse(sums: np.ndarray) -> np.ndarray:
    """Return the mean of `rmse_per_dimension`, ``(...)``; it has a unit only if all dimensions share one."""
    return mean_of_defined(rmse_per_dimension(sums))


def _central(sums: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return both means, both variances and the covariance, over n, ``(..., dimension)`` each."""
    _check(sums)
    n, t, p, tt, pp, tp = np.moveaxis(sums, -1, 0)
    mean_t, mean_p = ratio(t, n), ratio(p, n)
    var_t, var_p = (_variance(ratio(s, n), m) for s, m in ((tt, mean_t), (pp, mean_p)))
    return mean_t, mean_p, var_t, var_p, ratio(tp, n) - mean_t * mean_p


def _variance(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the variance, exactly 0 where it is no more than the rounding of a constant."""
    variance = square - mean**2
    return np.where(variance > ROUNDING * square, variance, 0.0)


def _check(sums: np.ndarray) -> None:
    if sums.ndim < 2 or sums.shape[-1] != MOMENTS:
        raise ValueError(f"sums must have shape (..., dimension, {MOMENTS}), as `moments` returns; got {sums.shape}.")
