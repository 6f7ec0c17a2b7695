"""Macro F1 of the classes that listeners heard, of which a clip may have several: the rule of EMO-SUPERB.

Source: Wu et al., 2024, https://arxiv.org/abs/2402.13018, with the rule as its released code has it
(https://github.com/EMOsuperb/EMO-SUPERB-submission, ``emo-superb/expert.py``): of C classes, those with a share of the votes
above 1 / C were heard, and those with a probability above 1 / C are predicted. That code reports the mean of the scores of
batches of 32 clips; here the score is of all clips together.
"""

import numpy as np

from ser.evaluation.metrics import ratio

ROUNDING = 1e-6
"""What a share must exceed 1 / C by: rounding gives equal classes slightly more, in float32 most."""


def above_equal_share(shares: np.ndarray) -> np.ndarray:
    """Return whether each class has more than an equal share.

    Shapes:
        - shares: ``(..., class)``, each sums to 1
        - returns: ``(..., class)`` booleans; none is true where all shares are equal

    Example:
        >>> above_equal_share(np.array([[0.5, 0.4, 0.1, 0.0], [0.25, 0.25, 0.25, 0.25]])).astype(int)
        array([[1, 1, 0, 0],
               [0, 0, 0, 0]])
    """
    return np.asarray(shares > 1 / shares.shape[-1] + ROUNDING)


def presence_by_speaker(probabilities: np.ndarray, votes: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    """Count for each speaker in how many clips each class is heard and predicted, heard, and predicted.

    Shapes:
        - probabilities, votes: ``(utterance, class)``
        - speaker: ``(utterance,)`` names
        - returns: ``(speaker, class, 3)`` integers, the speakers sorted

    Example:
        >>> p, votes = np.array([[0.6, 0.4], [0.2, 0.8]]), np.array([[1.0, 0.0], [0.9, 0.1]])
        >>> presence_by_speaker(p, votes, np.array(["1", "1"])).tolist()
        [[[1, 2, 1], [0, 0, 1]]]
    """
    predicted, heard = above_equal_share(probabilities), above_equal_share(votes)
    each = np.stack([heard & predicted, heard, predicted], axis=-1)  # (utterance, class, 3)
    names, of = np.unique(speaker.astype(str), return_inverse=True)
    counts = np.zeros((len(names), *each.shape[1:]), dtype=np.int64)
    np.add.at(counts, of, each)
    return counts


def multilabel_f1(counts: np.ndarray) -> np.ndarray:
    """Return the mean over all classes of F1, ``2 both / (heard + predicted)``.

    A class that is neither heard nor predicted has 0, as in scikit-learn's report on several classes a clip, which EMO-SUPERB
    uses; `ser.evaluation.metrics.macro_f1` leaves such a class out.

    Shapes:
        - counts: ``(..., class, 3)``, as `presence_by_speaker` returns
        - returns: ``(...)``

    Example:
        >>> float(multilabel_f1(np.array([[1, 2, 1], [0, 0, 1]])).round(3))
        0.333
    """
    both, heard, predicted = np.moveaxis(counts, -1, 0)
    return np.asarray(np.nan_to_num(ratio(2 * both, heard + predicted)).mean(axis=-1))
