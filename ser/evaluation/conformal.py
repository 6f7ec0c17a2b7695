"""Conformal prediction: sets of classes that hold the target in, say, 90 % of the utterances.

Source: Sadinle, Lei and Wasserman, 2019, https://doi.org/10.1080/01621459.2017.1395341 (LAC: the smallest sets on
average; they can be empty); the split method and its guarantee: Vovk, Gammerman and Shafer, 2005,
https://doi.org/10.1007/b106715.

The guarantee: if dev and test utterances are *exchangeable*, a test set holds its target with probability ``level`` or
more, whatever the model. Utterances of the same speakers are nearly so; those of new speakers are not, since a speaker
is hard or easy as a whole. So the guarantee does not hold in a speaker-independent test; `coverage` reports by speaker, and
`caution` says where the dev speakers are few. With few of them the sets hold their target less often than ``level``: where
scores spread between speakers with 0.7 of the deviation that they have within one, in 82 % of the clips for 90 % with one dev
speaker, 87 % with three, 89 % with ten (``python benchmarks/conformal_speakers.py``).
"""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ser.evaluation import predictions
from ser.evaluation.beyond import mean_interval
from ser.evaluation.calibration import top_class
from ser.runtime.words import are

LEVEL = 0.9
ENOUGH_DEV_SPEAKERS = 10
"""Dev speakers from which on the coverage falls short by no more than about a point."""


def threshold(dev_probabilities: np.ndarray, dev_target: np.ndarray, level: float = LEVEL) -> float:
    """Return how improbable a class may be and still belong to a set: the conformal quantile of ``1 - p(target)`` on dev.

    Shapes:
        - dev_probabilities: ``(utterance, class)``, each in [0, 1]
        - dev_target: ``(utterance,)`` integers
        - returns: a number from 0 to 1; 1, every class in every set, if dev is too small for the level

    Raises:
        ValueError: As `ser.evaluation.calibration.top_class`, or if ``level`` is not between 0 and 1.

    Example:
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
        >>> round(threshold(p, np.array([0, 0, 0]), level=0.5), 2), threshold(p, np.array([0, 0, 0]), level=0.9)
        (0.2, 1.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1; got {level}.")
    top_class(dev_probabilities, dev_target)  # checks both
    n = len(dev_target)
    scores = np.sort(1.0 - dev_probabilities[np.arange(n), dev_target].astype(np.float64))
    rank = math.ceil((n + 1) * level - 1e-9)  # 1e-9: (n + 1) * level is rounded, which must not skip a rank
    return float(scores[rank - 1]) if rank <= n else 1.0


def sets(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Return the classes that are probable enough.

    Shapes:
        - probabilities: ``(utterance, class)``
        - returns: ``(utterance, class)`` booleans; a row can be all false

    Example:
        >>> sets(np.array([[0.7, 0.3], [0.5, 0.5]]), threshold=0.5)
        array([[ True, False],
               [ True,  True]])
    """
    return np.asarray(1.0 - probabilities.astype(np.float64) <= threshold)  # the same subtraction as in `threshold`


def coverage(table: pd.DataFrame, sets: np.ndarray) -> dict[str, Any]:
    """Measure how often the sets contain the target and how large they are, overall and by speaker.

    Args:
        table: See `ser.evaluation.predictions`.
        sets: ``(utterance, class)`` booleans in the order of the table, see `sets`.

    Returns:
        Plain JSON: ``coverage`` and ``mean_size``, each with an interval over speakers (``<name>_interval``), ``empty``
        (share of empty sets), ``worst_speaker`` (the least covered), and ``speakers``: ``speaker``, ``n_utterances``,
        ``coverage``, ``mean_size`` of each.

    Raises:
        ValueError: If the shape of ``sets`` is not that of the table's probabilities.

    Example:
        >>> table = pd.DataFrame({"speaker": ["a", "b"], "target": ["x", "x"], "p_x": [0.9, 0.1], "p_y": [0.1, 0.9]})
        >>> covered = coverage(table, np.array([[True, False], [False, True]]))
        >>> covered["coverage"], covered["mean_size"], covered["worst_speaker"]["speaker"]
        (0.5, 1.0, 'b')
    """
    if sets.shape != (expected := predictions.probabilities(table).shape):
        raise ValueError(f"sets must have shape (utterance, class), here {expected}; got {sets.shape}.")
    size = sets.sum(axis=1)
    each = pd.DataFrame(
        {
            "speaker": table["speaker"].to_numpy(dtype=str),
            "hit": sets[np.arange(len(table)), predictions.target_indices(table)],
            "size": size,
        }
    )
    grouped = each.groupby("speaker").agg(
        n_utterances=("hit", "size"), coverage=("hit", "mean"), mean_size=("size", "mean")
    )
    speakers = grouped.reset_index().to_dict("records")
    speaker, hit = each["speaker"].to_numpy(), each["hit"].to_numpy(dtype=np.float64)
    return {
        "coverage": float(hit.mean()),
        "coverage_interval": asdict(mean_interval(hit, speaker)),
        "mean_size": float(size.mean()),
        "mean_size_interval": asdict(mean_interval(size.astype(np.float64), speaker, (0.0, float(sets.shape[1])))),
        "empty": float((size == 0).mean()),
        "worst_speaker": min(speakers, key=lambda row: row["coverage"]),
        "speakers": speakers,
    }


def fewest_speakers(dev: pd.DataFrame) -> int:
    """Return the number of dev speakers of the fold that has the fewest.

    Args:
        dev: See `ser.evaluation.predictions`.

    Example:
        >>> fewest_speakers(pd.DataFrame({"fold": [0, 0, 1, 1], "speaker": ["a", "b", "c", "c"]}))
        1
    """
    return int(dev.groupby("fold")["speaker"].nunique().min())


def caution(dev_speakers: int) -> str | None:
    """Return what to know of sets whose threshold is from so few dev speakers; ``None`` where they are enough.

    Example:
        >>> caution(1)
        '1 dev speaker is too few: on new speakers, sets may hold the answer less often'
        >>> caution(10)
    """
    if dev_speakers >= ENOUGH_DEV_SPEAKERS:
        return None
    return f"{are(dev_speakers, 'dev speaker')} too few: on new speakers, sets may hold the answer less often"
