"""Intervals over speakers of scores that are not functions of the confusion counts: means, calibration error, ordering.

They are those of `ser.evaluation.intervals.speaker_interval`. A mean and the calibration error are functions of sums, which
add up over speakers; for the ordering (AURC) the utterances are ranked anew without each speaker in turn.
"""

import math

import numpy as np

from ser.evaluation.calibration import gaps_in_bins, top_class
from ser.evaluation.intervals import Bounds, Estimate, Interval, jackknife_error, jackknife_interval, speaker_interval
from ser.evaluation.metrics import ratio
from ser.evaluation.selective import ranked_risks


def mean_interval(values: np.ndarray, speaker: np.ndarray, bounds: Bounds = (0.0, 1.0)) -> Interval:
    """Return the interval of the mean of a value of each utterance.

    Shapes:
        - values: ``(utterance,)``, within ``bounds``
        - speaker: ``(utterance,)`` names

    Example:
        >>> interval = mean_interval(np.array([1.0, 0.0, 1.0, 1.0, 1.0, 0.0]), np.array(list("aabbcc")))
        >>> round(interval.low, 2), round(interval.high, 2), interval.speakers
        (0.07, 0.98, 3)
    """
    sums = _sums(np.column_stack([values, np.ones(len(values))]), speaker)
    return speaker_interval(sums, lambda sums: ratio(sums[..., 0, 0], sums[..., 0, 1]), bounds=bounds)


def log_loss_interval(probabilities: np.ndarray, target: np.ndarray, speaker: np.ndarray) -> Interval:
    """Return the interval of `ser.evaluation.metrics.cross_entropy`.

    Shapes: as `aurc_interval`.
    """
    of_target = probabilities[np.arange(len(target)), target].astype(np.float64)
    loss = -np.log(np.maximum(of_target, np.finfo(np.float64).eps))
    return mean_interval(loss, speaker, (0.0, math.inf))


def brier_interval(probabilities: np.ndarray, target: np.ndarray, speaker: np.ndarray) -> Interval:
    """Return the interval of `ser.evaluation.calibration.brier`.

    Shapes: as `aurc_interval`.
    """
    squared = ((probabilities - np.eye(probabilities.shape[1])[target]) ** 2).sum(axis=1)
    return mean_interval(squared, speaker, (0.0, 2.0))


def ece_interval(probabilities: np.ndarray, target: np.ndarray, speaker: np.ndarray) -> Interval:
    """Return the interval of `ser.evaluation.calibration.ece`, whose upward bias it shares.

    Shapes: as `aurc_interval`.
    """
    return speaker_interval(ece_sums(probabilities, target, speaker), ece_of_sums)


def ece_sums(probabilities: np.ndarray, target: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """Return the sums over utterances of each speaker that `ece_of_sums` takes, ``(speaker, 1, bin + 1)``.

    Shapes: as `aurc_interval`.
    """
    gaps = gaps_in_bins(probabilities, target)  # (utterance, bin)
    return _sums(np.column_stack([gaps, np.ones(len(gaps))]), speaker)


def ece_of_sums(sums: np.ndarray) -> np.ndarray:
    """Return `ser.evaluation.calibration.ece` of sums over utterances, ``(..., 1, bin + 1)``: ``(...)``."""
    return ratio(np.abs(sums[..., 0, :-1]).sum(axis=-1), sums[..., 0, -1])


def aurc_interval(probabilities: np.ndarray, target: np.ndarray, speaker: np.ndarray) -> Interval:
    """Return the interval of `ser.evaluation.selective.aurc`.

    Shapes:
        - probabilities: ``(utterance, class)``
        - target: ``(utterance,)`` integers
        - speaker: ``(utterance,)`` names
    """
    confidence, right = top_class(probabilities, target)
    names, of = np.unique(speaker.astype(str), return_inverse=True)
    order = np.argsort(-confidence)  # once for all: what is left of an order is in order
    confidence, right, of = confidence[order], right[order], of[order]
    value = float(ranked_risks(confidence, right).mean())
    if len(names) == 1:
        return jackknife_interval(Estimate(value, math.nan, 0), 1)
    left_out = np.array(
        [ranked_risks(confidence[kept], right[kept]).mean() for kept in (of != i for i in range(len(names)))]
    )
    return jackknife_interval(Estimate(value, jackknife_error(left_out, value), len(names) - 1), len(names))


def _sums(values: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """Sum values of utterances by speaker: ``(utterance, value)`` to ``(speaker, 1, value)``."""
    names, of = np.unique(speaker.astype(str), return_inverse=True)
    sums = np.zeros((len(names), 1, values.shape[1]))
    np.add.at(sums[:, 0], of, values)
    return sums
