"""Random k-fold over utterances, stratified by emotion: speakers are on every side, and results carry a stamp.

It exists to show the gain of such leaks and to reproduce papers that used it. Never report a model with it.
"""

import numpy as np
import pandas as pd

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
