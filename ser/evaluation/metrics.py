"""Scores of a classifier from its confusion matrix, and the cross-entropy of its probabilities.

UAR: Schuller et al., 2009, https://doi.org/10.21437/Interspeech.2009-103. Macro F1 as the mean of the classes' F1, not
the F1 of the means: Opitz and Burst, 2019, https://arxiv.org/abs/1911.03347.

`confusion` counts once; every other function takes ``(..., class, class)`` counts, targets in rows and predictions in
columns, and scores any number of confusion matrices at once, so a bootstrap takes milliseconds. It raises `ValueError` if
they are not square, or negative.
"""

import numpy as np


def confusion(target: np.ndarray, predicted: np.ndarray, n_classes: int) -> np.ndarray:
    """Count how often each target class was predicted as each class.

    Shapes:
        - target, predicted: ``(utterance,)`` integers, ``0 .. n_classes - 1``
        - returns: ``(class, class)`` integers; row: target, column: prediction

    Raises:
        ValueError: If the arrays differ in length, are not integers, or hold a class outside ``0 .. n_classes - 1``.

    Example:
        >>> confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), n_classes=2)
        array([[1, 1],
               [0, 1]])
    """
    _check_indices("target", target, n_classes)
    _check_indices("predicted", predicted, n_classes)
    if len(target) != len(predicted):
        raise ValueError(f"predicted must have one value per utterance, here {len(target)}; got {len(predicted)}.")
    cell = target.astype(np.int64) * n_classes + predicted
    return np.bincount(cell, minlength=n_classes**2).reshape(n_classes, n_classes)


def confusion_by_group(
    target: np.ndarray, predicted: np.ndarray, group: np.ndarray, n_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return one confusion matrix per group, as `confusion` counts it.

    Shapes:
        - target, predicted: ``(utterance,)`` integers
        - group: ``(utterance,)`` names
        - returns: the names, sorted, ``(group,)``, and counts ``(group, class, class)``

    Raises:
        ValueError: As `confusion`, or if ``group`` differs in length.

    Example:
        >>> names, counts = confusion_by_group(np.array([0, 1, 1]), np.array([0, 1, 0]), np.array(["b", "a", "b"]), 2)
        >>> names.tolist(), counts.tolist()
        (['a', 'b'], [[[0, 0], [0, 1]], [[1, 0], [1, 0]]])
    """
    if len(group) != len(target):
        raise ValueError(f"group must have one value per utterance, here {len(target)}; got {len(group)}.")
    confusion(target, predicted, n_classes)  # checks both
    names, index = np.unique(np.asarray(group, dtype=str), return_inverse=True)
    cell = (index * n_classes + target) * n_classes + predicted
    counts = np.bincount(cell, minlength=len(names) * n_classes**2)
    return names, counts.reshape(len(names), n_classes, n_classes)


def recall_per_class(counts: np.ndarray) -> np.ndarray:
    """Return the share of each class's utterances that was found: ``counts[c, c] / counts[c, :].sum()``.

    Shapes:
        - counts: ``(..., class, class)``
        - returns: ``(..., class)``; NaN where no utterance is of that class

    Example:
        >>> recall_per_class(np.array([[3, 1], [0, 0]]))
        array([0.75,  nan])
    """
    return ratio(_hits(counts), counts.sum(axis=-1))


def precision_per_class(counts: np.ndarray) -> np.ndarray:
    """Return the share of each class's predictions that was right: ``counts[c, c] / counts[:, c].sum()``.

    Shapes:
        - counts: ``(..., class, class)``
        - returns: ``(..., class)``; NaN where the class was never predicted, since 0 would imply wrong predictions
          (`f1_per_class` needs no such choice: a class that was never found has F1 0)

    Example:
        >>> precision_per_class(np.array([[3, 0], [1, 0]]))
        array([0.75,  nan])
    """
    return ratio(_hits(counts), counts.sum(axis=-2))


def f1_per_class(counts: np.ndarray) -> np.ndarray:
    """Return the harmonic mean of precision and recall: ``2 counts[c, c] / (counts[c, :].sum() + counts[:, c].sum())``.

    Shapes:
        - counts: ``(..., class, class)``
        - returns: ``(..., class)``; NaN where the class is neither in the target nor ever predicted

    Example:
        >>> f1_per_class(np.array([[1, 1], [0, 2]])).round(3)
        array([0.667, 0.8  ])
    """
    return ratio(2 * _hits(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def uar(counts: np.ndarray) -> np.ndarray:
    """Return the unweighted average recall: the mean of `recall_per_class` over the classes that occur in the target.

    Shapes:
        - counts: ``(..., class, class)``
        - returns: ``(...)``; NaN where there are no utterances

    Example:
        >>> float(uar(np.array([[3, 1, 0], [1, 1, 0], [0, 0, 0]])))
        0.625
    """
    return mean_of_defined(recall_per_class(counts))


def accuracy(counts: np.ndarray) -> np.ndarray:
    """Return the share of utterances that are right: ``trace(counts) / counts.sum()``. Also called weighted accuracy (WA).

    Shapes:
        - counts: ``(..., class, class)``
        - returns: ``(...)``; NaN where there are no utterances

    Example:
        >>> float(accuracy(np.array([[3, 1], [0, 4]])))
        0.875
    """
    return ratio(_hits(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean of `f1_per_class` over the classes in the target or the predictions, as scikit-learn does.

    Shapes:
        - counts: ``(..., class, class)``
        - returns: ``(...)``; NaN where there are no utterances

    Example:
        >>> float(macro_f1(np.array([[2, 0, 0], [0, 2, 0], [0, 0, 0]])))
        1.0
    """
    return mean_of_defined(f1_per_class(counts))


def cross_entropy(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Return the mean of ``-ln p(target)`` in nats.

    Probabilities are at least float64's epsilon (2.2e-16), so one certain mistake costs 36 nats, not infinity.

    Shapes:
        - probabilities: ``(utterance, class)``, each in [0, 1]
        - target: ``(utterance,)`` integers
        - returns: a number; NaN where there are no utterances

    Raises:
        ValueError: If the shapes do not fit, or a value is out of range.

    Example:
        >>> round(cross_entropy(np.array([[0.25, 0.75], [1.0, 0.0]]), np.array([0, 0])), 4)
        0.6931
    """
    if probabilities.ndim != 2:
        raise ValueError(f"probabilities must have shape (utterance, class); got {probabilities.shape}.")
    _check_indices("target", target, probabilities.shape[1])
    if len(target) != len(probabilities):
        raise ValueError(f"probabilities must have one row per target, here {len(target)}; got {len(probabilities)}.")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        wrong = probabilities[~((probabilities >= 0) & (probabilities <= 1))][0]
        raise ValueError(f"probabilities must be in [0, 1]; got {wrong}.")
    if len(target) == 0:
        return float("nan")
    of_target = probabilities[np.arange(len(target)), target].astype(np.float64)
    return float(-np.log(np.maximum(of_target, np.finfo(np.float64).eps)).mean())


def _check_indices(argument: str, values: np.ndarray, n_classes: int) -> None:
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer):
        raise ValueError(
            f"{argument} must be an (utterance,) array of integers; got {values.dtype} of shape {values.shape}."
        )
    outside = values[(values < 0) | (values >= n_classes)]
    if len(outside):
        raise ValueError(
            f"{argument} must hold classes 0 to {n_classes - 1} (n_classes={n_classes}); got {outside[0]}."
        )


def _hits(counts: np.ndarray) -> np.ndarray:
    """Check counts and return their diagonal, ``(..., class)``."""
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"counts must have shape (..., class, class), as `confusion` returns; got {counts.shape}.")
    if counts.size and counts.min() < 0:
        raise ValueError(f"counts must be at least 0; got {counts.min()}.")
    return np.diagonal(counts, axis1=-2, axis2=-1)


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return ``part / whole``, NaN where ``whole`` is 0, without a warning."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)


def mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Average the values that are not NaN over the last axis, ``(..., class)`` to ``(...)``."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))
