"""Probabilities against listeners' votes: how close a model comes to what people heard, where people disagree.

Sources: Jensen-Shannon divergence: Lin, 1991, https://doi.org/10.1109/18.61115; macro F1 of several classes a clip: see
`ser.evaluation.multilabel`.

The votes are the columns ``v_<class>`` of a predictions table: shares of the listeners, which sum to 1 in a row. Rows
without votes (missing) are left out.
"""

from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.beyond import mean_interval
from ser.evaluation.intervals import speaker_interval
from ser.evaluation.multilabel import multilabel_f1, presence_by_speaker


def divergence(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the Jensen-Shannon divergence in bits: 0 where two distributions are equal, 1 where they share no class.

    Shapes:
        - one, other: ``(..., class)``, each sums to 1
        - returns: ``(...)``

    Example:
        >>> divergence(np.array([1.0, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]])).round(6)
        array([0., 1.])
    """
    from scipy.special import rel_entr

    middle = (one + other) / 2
    return np.asarray((rel_entr(one, middle) + rel_entr(other, middle)).sum(axis=-1) / (2 * np.log(2)))


def agreement(probabilities: np.ndarray, votes: np.ndarray) -> np.ndarray:
    """Return the probability that a listener drawn at random names the model's top class.

    Shapes:
        - probabilities, votes: ``(utterance, class)``
        - returns: ``(utterance,)``

    Example:
        >>> agreement(np.array([[0.4, 0.6]]), np.array([[0.7, 0.3]]))
        array([0.3])
    """
    return np.asarray(np.take_along_axis(votes, probabilities.argmax(axis=1)[:, None], axis=1)[:, 0])


def entropy(votes: np.ndarray) -> np.ndarray:
    """Return the entropy of the votes in bits: 0 where all listeners agree.

    Shapes:
        - votes: ``(..., class)``
        - returns: ``(...)``

    Example:
        >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]]))
        array([1., 0.])
    """
    from scipy.special import entr

    return np.asarray(entr(votes).sum(axis=-1) / np.log(2))


def summary(table: pd.DataFrame) -> dict[str, Any] | None:
    """Compare the model with the listeners, over the rows of a predictions table that have votes.

    Returns:
        ``None`` for a table without votes, otherwise plain JSON. Of the model: ``jsd`` (mean `divergence` to the votes),
        ``multilabel_f1`` and ``agreement`` (mean), each with an interval. The references of ``jsd`` and ``multilabel_f1``
        are ``..._of_mean_votes``, those of predicting the mean of these votes for every clip. The references of
        ``agreement`` are ``listener_agreement``, that of two listeners drawn *with replacement*, the sum of v^2, which for n
        listeners is too high by ``(1 - it) / (n - 1)``; and ``plurality_agreement``, the most that one answer per clip can
        reach. Of the votes: ``plurality_is_target`` (a tied plurality counts in part) and ``vote_entropy`` in bits.

    Raises:
        RunError: If a share is negative, or a row's shares do not sum to 1.

    Example:
        >>> table = pd.DataFrame({"speaker": ["1", "2"], "target": ["a", "b"], "p_a": [0.9, 0.2], "p_b": [0.1, 0.8]})
        >>> result = summary(table.assign(v_a=[0.9, 0.5], v_b=[0.1, 0.5]))
        >>> round(result["agreement"], 2), round(result["listener_agreement"], 2), result["plurality_is_target"]
        (0.7, 0.66, 0.75)
    """
    shares = predictions.votes(table)
    if shares is None or not (rows := ~np.isnan(shares).any(axis=1)).any():
        return None
    table, shares = table[rows], shares[rows]
    _check(shares, table)
    speaker, probabilities = table["speaker"].to_numpy(dtype=str), predictions.probabilities(table)
    apart, agreed = divergence(probabilities, shares), agreement(probabilities, shares)
    mean_votes = shares.mean(axis=0)
    presence = presence_by_speaker(probabilities, shares, speaker)
    constant = presence_by_speaker(np.broadcast_to(mean_votes, shares.shape), shares, speaker)
    most = np.isclose(shares, shares.max(axis=1, keepdims=True))
    of_target = most[np.arange(len(table)), predictions.target_indices(table)]
    return {
        "n_utterances": len(table),
        "jsd": float(apart.mean()),
        "jsd_interval": asdict(mean_interval(apart, speaker)),
        "jsd_of_mean_votes": float(divergence(mean_votes, shares).mean()),
        "multilabel_f1": float(multilabel_f1(presence.sum(axis=0))),
        "multilabel_f1_interval": asdict(speaker_interval(presence, multilabel_f1)),
        "multilabel_f1_of_mean_votes": float(multilabel_f1(constant.sum(axis=0))),
        "agreement": float(agreed.mean()),
        "agreement_interval": asdict(mean_interval(agreed, speaker)),
        "listener_agreement": float((shares**2).sum(axis=1).mean()),
        "plurality_agreement": float(shares.max(axis=1).mean()),
        "plurality_is_target": float((of_target / most.sum(axis=1)).mean()),
        "vote_entropy": float(entropy(shares).mean()),
    }


def _check(shares: np.ndarray, table: pd.DataFrame) -> None:
    wrong = (shares < 0).any(axis=1) | (np.abs(shares.sum(axis=1) - 1) > predictions.SUM_TOLERANCE)
    if wrong.any():
        row = int(wrong.argmax())
        raise RunError(
            f"The votes of {table['utterance'].iloc[row]} must be shares that sum to 1; got {shares[row].tolist()}. "
            f"{predictions.REMEDY}"
        )
