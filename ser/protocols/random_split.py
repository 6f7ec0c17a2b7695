"""Random folds of utterances, stratified by emotion: speakers are on every side, and results carry a stamp.

They exist to show the gain of such leaks and to reproduce papers that used them. Never report a model with them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.split import Split, checked_folds, from_masks
from ser.protocols.stamps import SPEAKER_DEPENDENT


class RandomUtterances:
    """Each fold of utterances tests once, the fold after it is dev, and the rest train.

    Args:
        folds: Number of folds, at least 3.
        seed: Seed of the shuffle, which depends on the ids and not on the order of rows.
    """

    name = "random"

    def __init__(self, folds: int = 5, seed: int = 0) -> None:
        self.folds, self.seed = checked_folds(folds), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per group of utterances."""
        random = np.random.default_rng(self.seed)
        fold_of = np.empty(len(manifest), dtype=np.int64)
        dealt = 0
        ordered = manifest[["id", "emotion"]].assign(row=np.arange(len(manifest))).sort_values("id")
        for _, group in ordered.groupby("emotion", sort=True):
            rows = group["row"].to_numpy()
            fold_of[random.permutation(rows)] = (dealt + np.arange(len(rows))) % self.folds
            dealt += len(rows)
        dev_of = [(fold + 1) % self.folds for fold in range(self.folds)]
        return [
            from_masks(fold, ~np.isin(fold_of, (fold, dev)), fold_of == dev, fold_of == fold, SPEAKER_DEPENDENT)
            for fold, dev in enumerate(dev_of)
        ]


class RandomMatched:
    """Random folds with as many utterances on each side as those of `ser.protocols.speaker_cv`.

    Every utterance tests once, and no model has more to learn from. What cannot be matched is how many speakers train: here
    all of them do, in every fold.

    Args:
        folds, seed: Those of ``speaker_cv``; the seed is that of the shuffle, too.
    """

    name = "random_matched"

    def __init__(self, folds: int = 5, seed: int = 0) -> None:
        self.folds, self.seed = checked_folds(folds), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold for each fold of ``speaker_cv``."""
        honest = SpeakerCV(self.folds, self.seed).splits(manifest)
        random = np.random.default_rng(self.seed)
        tested = _dealt(manifest, np.arange(len(manifest)), [len(split.test) for split in honest], random)
        made = []
        for split in honest:
            rest = np.flatnonzero(tested != split.fold)
            side = np.full(len(manifest), -1)
            side[rest] = _dealt(manifest, rest, [len(split.dev), len(split.train)], random)
            made.append(from_masks(split.fold, side == 1, side == 0, tested == split.fold, SPEAKER_DEPENDENT))
        return made


def _dealt(manifest: pd.DataFrame, rows: np.ndarray, sizes: Sequence[int], random: np.random.Generator) -> np.ndarray:
    """Return the group of each of some rows at random; groups have these sizes, and about equal shares of each emotion."""
    ordered = manifest[["id", "emotion"]].iloc[rows].assign(at=np.arange(len(rows))).sort_values(["emotion", "id"])
    by_emotion = [random.permutation(part["at"].to_numpy()) for _, part in ordered.groupby("emotion", sort=True)]
    # Each group evenly spaced over the utterances in the order of their emotions.
    places = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes if size])
    groups = np.repeat(np.arange(len(sizes)), sizes)[np.argsort(places, kind="stable")]
    found = np.empty(len(rows), dtype=np.int64)
    found[np.concatenate(by_emotion)] = groups
    return found
