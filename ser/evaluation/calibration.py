"""Calibration: whether a class given probability 0.8 is right 8 times in 10, and temperature scaling to correct it.

Sources: Guo et al., 2017, https://arxiv.org/abs/1706.04599 (expected calibration error, temperature scaling); Kumar,
Liang and Ma, 2019, https://arxiv.org/abs/1909.10155 (its bias and how to remove it); Brier, 1950,
https://doi.org/10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2. The log loss is `ser.evaluation.metrics.cross_entropy`.

`ece`, `ece_debiased` and `reliability` concern the top class only: its probability is the *confidence*.
"""

import numpy as np
import pandas as pd

from ser.evaluation.metrics import cross_entropy

TEMPERATURES = (0.05, 20.0)
"""Search range of `fit_temperature`. A result at either end means that none fits: dev is all right, or at chance."""
FLOOR = float(np.finfo(np.float64).eps)
"""Lower bound on a probability, as in `ser.evaluation.metrics.cross_entropy`: limits the loss of one certain mistake."""


def top_class(probabilities: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of the most probable class, and whether that class is the target.

    Shapes:
        - probabilities: ``(utterance, class)``, each in [0, 1]
        - target: ``(utterance,)`` integers
        - returns: ``(utterance,)`` confidences, and ``(utterance,)`` booleans

    Raises:
        ValueError: If the shapes do not fit, a value is out of range, or there are no utterances.

    Example:
        >>> confidence, right = top_class(np.array([[0.2, 0.8], [0.6, 0.4]]), np.array([1, 1]))
        >>> confidence.tolist(), right.tolist()
        ([0.8, 0.6], [True, False])
    """
    _check(probabilities, target)
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == target


def ece(probabilities: np.ndarray, target: np.ndarray, bins: int = 15) -> float:
    """Return the expected calibration error: the mean of ``|confidence - accuracy|`` over equally wide bins of confidence.

    This is the number that papers report. It is biased upwards: even a perfectly calibrated model scores above 0, more
    so with fewer utterances, since a bin's accuracy is never exactly its probability. See `ece_debiased`.

    Shapes and errors: as `top_class`, to a number from 0 to 1; a `ValueError` too if ``bins`` is below 1.

    Example:
        >>> round(ece(np.array([[0.2, 0.8], [0.8, 0.2]]), np.array([1, 1])), 3)
        0.3
    """
    return float(np.abs(gaps_in_bins(probabilities, target, bins).sum(axis=0)).sum() / len(target))


def gaps_in_bins(probabilities: np.ndarray, target: np.ndarray, bins: int = 15) -> np.ndarray:
    """Return ``confidence - right`` of each utterance, in the column of its bin, and 0 in the others. See `ece`.

    Shapes and errors: as `ece`, to ``(utterance, bin)``.

    Example:
        >>> gaps_in_bins(np.array([[0.2, 0.8], [1.0, 0.0]]), np.array([1, 1]), bins=2)
        array([[ 0. , -0.2],
               [ 0. ,  1. ]])
    """
    confidence, right = top_class(probabilities, target)
    _check_bins(bins)
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)  # bins are open below: (low, high]
    gaps = np.zeros((len(right), bins))
    gaps[np.arange(len(right)), index] = confidence - right
    return gaps


def ece_debiased(probabilities: np.ndarray, target: np.ndarray, bins: int = 15) -> float:
    """Return the calibration error without the bias of finite bins: the root of `squared_error_debiased`, at least 0.

    The unit is that of `ece`, probability, but the value can be larger: it is a root mean square over bins of equally
    many utterances, which separate confidences that lie so close together that `ece` puts them into one bin.

    Shapes and errors: as `ece`; NaN if no bin has 2 utterances.

    Example:
        >>> p = np.tile([0.75, 0.25], (1000, 1))
        >>> round(ece_debiased(p, np.repeat([0, 1], [750, 250])), 3), round(ece_debiased(p, np.repeat([0, 1], 500)), 2)
        (0.0, 0.25)
    """
    return float(np.sqrt(np.maximum(squared_error_debiased(probabilities, target, bins), 0.0)))


def squared_error_debiased(probabilities: np.ndarray, target: np.ndarray, bins: int = 15) -> float:
    """Return the mean over bins of the squared gap between confidence and accuracy, minus what chance alone adds to it.

    ``sum_b n_b / n (g_b^2 - s_b^2 / n_b)``, where g_b is the mean and s_b^2 the variance (n - 1) of ``confidence -
    right`` in a bin. Where the confidences in a bin are equal, this is Kumar et al.'s debiased estimator (Definition
    4.1); its expectation is the true error, 0 for a calibrated model, so values below 0 occur. The absolute error of
    `ece` has no such estimator. Utterances are treated as independent; those of one speaker are not quite, which leaves
    some bias.

    Bins hold equally many utterances; equal confidences share a bin. A bin with one utterance is left out.

    Shapes and errors: as `ece_debiased`.

    Example:
        >>> round(squared_error_debiased(np.tile([0.5, 0.5], (10, 1)), np.repeat([0, 1], 5)), 4)
        -0.0278
    """
    confidence, right = top_class(probabilities, target)
    index = _equal_mass(confidence, bins)
    gap = confidence - right
    count, total, square = (np.bincount(index, weights=w) for w in (np.ones_like(gap), gap, gap**2))
    kept = count > 1
    if not kept.any():
        return float("nan")
    count, mean, square = count[kept], total[kept] / count[kept], square[kept]
    variance = np.maximum(square - count * mean**2, 0.0) / (count - 1)
    return float(np.average(mean**2 - variance / count, weights=count))


def brier(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Return the Brier score: the squared distance to the one-hot target, summed over classes, averaged over utterances.

    It ranges from 0 to 2, as Brier defined it; some halve it for 2 classes. Uniform probabilities over n classes give
    ``1 - 1 / n``.

    Shapes and errors: as `top_class`, to a number.

    Example:
        >>> brier(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
        1.0
    """
    _check(probabilities, target)
    one_hot = np.eye(probabilities.shape[1])[target]
    return float(((probabilities - one_hot) ** 2).sum(axis=1).mean())


def reliability(probabilities: np.ndarray, target: np.ndarray, bins: int = 15) -> pd.DataFrame:
    """Return the points of a reliability diagram: bins of equally many utterances, from the least to the most confident.

    Shapes and errors: as `ece`, to ``bins`` rows or fewer (equal confidences share a bin): ``confidence`` (mean),
    ``accuracy``, ``count``.

    Example:
        >>> reliability(np.array([[0.4, 0.6], [0.2, 0.8]]), np.array([0, 1]), bins=2).to_dict("list")
        {'confidence': [0.6, 0.8], 'accuracy': [0.0, 1.0], 'count': [1, 1]}
    """
    confidence, right = top_class(probabilities, target)
    binned = pd.DataFrame({"bin": _equal_mass(confidence, bins), "confidence": confidence, "right": right})
    return (
        binned.groupby("bin")
        .agg(confidence=("confidence", "mean"), accuracy=("right", "mean"), count=("right", "size"))
        .reset_index(drop=True)
    )


def fit_temperature(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Find the T within `TEMPERATURES` at which `apply_temperature` has the lowest log loss. For dev utterances only.

    The loss is convex in 1 / T, so there is one minimum. T > 1 means that the model was overconfident.

    Shapes and errors: as `top_class`, to a number.

    Example:
        >>> sure = np.tile([0.9, 0.1], (4, 1))  # right 3 times in 4: log odds ln 9 should be ln 3
        >>> round(fit_temperature(sure, np.array([0, 0, 0, 1])), 3)
        2.0
    """
    from scipy.optimize import minimize_scalar  # late: slow to import
    from scipy.special import log_softmax

    _check(probabilities, target)
    logits, rows = _log(probabilities), np.arange(len(target))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, target].mean())

    best = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``softmax(log p / T)``: the same order of classes, less confident for T > 1.

    Shapes:
        - probabilities: ``(utterance, class)``
        - returns: ``(utterance, class)`` in float64

    Raises:
        ValueError: If ``temperature`` is not positive.

    Example:
        >>> apply_temperature(np.array([[0.9, 0.1]]), temperature=2.0).round(3)
        array([[0.75, 0.25]])
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0; got {temperature}.")
    return softmax(_log(probabilities) / temperature)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return ``exp(x) / sum(exp(x))`` of each row. In NumPy, so that a prediction does not need SciPy.

    Shapes:
        - logits, returns: ``(utterance, class)``

    Example:
        >>> softmax(np.log([[1.0, 3.0], [2.0, 2.0]])).round(2)
        array([[0.25, 0.75],
               [0.5 , 0.5 ]])
    """
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _log(probabilities: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(np.maximum(probabilities.astype(np.float64), FLOOR)))


def _equal_mass(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Return the bin of each utterance, ``(utterance,)``, by rank; equal confidences share their mean rank, so one bin."""
    _check_bins(bins)
    _, which, times = np.unique(confidence, return_inverse=True, return_counts=True)
    middle = np.cumsum(times) - times / 2  # of the ranks, between 0 and len(confidence)
    return np.asarray((middle * bins / len(confidence)).astype(np.int64)[which])


def _check(probabilities: np.ndarray, target: np.ndarray) -> None:
    cross_entropy(probabilities, target)  # checks shapes and ranges
    if not len(target):
        raise ValueError("target must have at least 1 utterance; got none.")


def _check_bins(bins: int) -> None:
    if bins < 1:
        raise ValueError(f"bins must be at least 1; got {bins}.")
