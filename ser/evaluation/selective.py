"""Selective classification: how often a model errs when it may skip the utterances that it is least sure of.

Sources: Geifman and El-Yaniv, 2017, https://arxiv.org/abs/1705.08500 (the risk-coverage curve); Geifman, Uziel and
El-Yaniv, 2019, https://arxiv.org/abs/1805.08206 (AURC and its excess over the best ordering).

The *confidence* is the probability of the top class. Utterances of equal confidence have no order, so every number
here is the mean over all their orders; shuffling the rows changes nothing.
"""

import numpy as np
import pandas as pd

from ser.evaluation.calibration import top_class


def risk_coverage(probabilities: np.ndarray, target: np.ndarray) -> pd.DataFrame:
    """Return the share of errors among the k most confident utterances, for every k.

    Shapes:
        - probabilities: ``(utterance, class)``, each in [0, 1]
        - target: ``(utterance,)`` integers
        - returns: one row per utterance, ``coverage`` ascending from 1 / n to 1, and ``risk`` in [0, 1]

    Raises:
        ValueError: As `ser.evaluation.calibration.top_class`.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]])
        >>> risk_coverage(p, np.array([0, 0, 1])).round(2).to_dict("list")
        {'coverage': [0.33, 0.67, 1.0], 'risk': [0.0, 0.0, 0.33]}
    """
    confidence, right = top_class(probabilities, target)
    return pd.DataFrame(
        {"coverage": np.arange(1, len(right) + 1) / len(right), "risk": ranked_risks(confidence, right)}
    )


def ranked_risks(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the share of errors among the k most confident utterances, for every k: ``(utterance,)``.

    Shapes:
        - confidence, right: ``(utterance,)``, as of `ser.evaluation.calibration.top_class`

    Example:
        >>> ranked_risks(np.array([0.9, 0.6, 0.6]), np.array([True, True, False]))
        array([0.        , 0.25      , 0.33333333])
    """
    _, which, times = np.unique(-confidence, return_inverse=True, return_counts=True)  # most confident first
    wrong = np.bincount(which, weights=~right) / times  # share of errors per confidence
    return np.asarray(np.cumsum(np.repeat(wrong, times)) / np.arange(1, len(right) + 1))


def risk_at(curve: pd.DataFrame, coverage: float) -> float:
    """Return the risk of a curve (see `risk_coverage`) when at least this share is answered.

    Raises:
        ValueError: If ``coverage`` is out of range.

    Example:
        >>> risk_at(pd.DataFrame({"coverage": [0.5, 1.0], "risk": [0.0, 0.2]}), coverage=0.8)
        0.2
    """
    if not 0 < coverage <= 1:
        raise ValueError(f"coverage must be above 0 and at most 1; got {coverage}.")
    enough = curve["coverage"].to_numpy() >= coverage - 1e-12  # 1e-12: k / n is rounded
    return float(curve["risk"].to_numpy()[enough.argmax()])


def thresholds(probabilities: np.ndarray, target: np.ndarray) -> list[tuple[float, float, float]]:
    """Return from which confidence on the risk stays below ever smaller levels, about a percent apart.

    The risk of ``k`` errors among ``n`` answered utterances is taken as ``(k + 1) / (n + 1)``: one error more than was seen,
    so that a few right answers promise nothing.

    Shapes and errors: as `risk_coverage`.

    Returns:
        Confidence (ascending, the first 0), coverage and risk (descending) of each level.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.8, 0.2]])
        >>> [tuple(round(x, 2) for x in row) for row in thresholds(p, np.array([0, 0, 1, 0]))]
        [(0.0, 1.0, 0.4), (0.7, 0.75, 0.25)]
    """
    confidence, right = top_class(probabilities, target)
    levels, which = np.unique(confidence, return_inverse=True)
    answered = np.bincount(which)[::-1].cumsum()[::-1]  # with at least each confidence
    wrong = np.bincount(which, weights=~right)[::-1].cumsum()[::-1]
    risk = (wrong + 1) / (answered + 1)
    levels[0] = 0.0  # all are answered
    kept: list[tuple[float, float, float]] = []
    for row in zip(levels.tolist(), (answered / len(right)).tolist(), risk.tolist(), strict=True):
        if not kept or _percent(row[2]) < _percent(kept[-1][2]):
            kept.append(row)
    return kept


def _percent(risk: float) -> int:
    """Return the risk in percent, rounded up: of equal ones the first answers most."""
    return int(np.ceil(100 * risk - 1e-9))  # 1e-9: 100 * 0.29 is above 29


def aurc(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Return the area under the risk-coverage curve: the mean of its risks. Lower is better; it mixes accuracy and ordering.

    Shapes and errors: as `risk_coverage`.

    Example:
        >>> round(aurc(np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]), np.array([0, 0, 1])), 3)
        0.111
    """
    return float(ranked_risks(*top_class(probabilities, target)).mean())


def e_aurc(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Return the excess AURC: `aurc` minus that of the best ordering of the same errors, all of them last.

    Shapes and errors: as `risk_coverage`.

    Example:
        >>> e_aurc(np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7]]), np.array([0, 0, 1]))
        0.0
    """
    _, right = top_class(probabilities, target)
    return aurc(probabilities, target) - _best(right)


def e_aurc_normalised(probabilities: np.ndarray, target: np.ndarray) -> float:
    """Return the excess AURC relative to a random ordering: 0 for the best ordering, 1 for a random one, more for worse.

    Unlike `e_aurc`, it compares models of different accuracy.

    Shapes and errors: as `risk_coverage`; NaN if all is right or all is wrong, since there is nothing to order.

    Example:
        >>> e_aurc_normalised(np.tile([0.9, 0.1], (4, 1)), np.array([0, 0, 1, 0]))
        1.0
    """
    _, right = top_class(probabilities, target)
    at_random = 1 - right.mean() - _best(right)
    return float(e_aurc(probabilities, target) / at_random) if 0 < right.mean() < 1 else float("nan")


def _best(right: np.ndarray) -> float:
    """Return the AURC of a model whose every error is less confident than every right answer."""
    answered = np.arange(1, len(right) + 1)
    return float((np.maximum(answered - right.sum(), 0) / answered).mean())
