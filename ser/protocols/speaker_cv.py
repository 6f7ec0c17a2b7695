"""Cross-validation over speakers: k folds of speakers, balanced by corpus and sex; the next fold tunes."""

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, from_speakers


class SpeakerCV:
    """Each fold of speakers tests once, the fold after it is dev, and the rest train.

    Args:
        folds: How many, at least 3.
        seed: Of the shuffle that deals speakers to folds.
    """

    name = "speaker_cv"

    def __init__(self, folds: int = 5, seed: int = 0) -> None:
        if folds < 3:
            raise SplitError(f"protocol.folds is {folds}, but it takes 3 at least: one tests, one is dev, one trains.")
        self.folds, self.seed = folds, seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Every fold; see `ser.protocols.split.Protocol`."""
        speakers = manifest[["corpus", "sex", "speaker"]].drop_duplicates().sort_values(["corpus", "sex", "speaker"])
        if len(speakers) < self.folds:
            other = (
                f"protocol=loso, or protocol.folds={len(speakers)} at most" if len(speakers) > 2 else "protocol=oaf_yaf"
            )
            raise SplitError(
                f"protocol=speaker_cv has {self.folds} folds, but there are {len(speakers)} speakers. Use {other}."
            )
        random = np.random.default_rng(self.seed)
        dealt: list[str] = []
        for _, group in speakers.groupby(["corpus", "sex"], sort=True):
            dealt += list(random.permutation(group["speaker"].to_numpy()))
        # Dealt round like cards, so each corpus and sex spreads evenly and fold sizes differ by one at most.
        fold_of = {speaker: i % self.folds for i, speaker in enumerate(dealt)}
        members = [{s for s, f in fold_of.items() if f == fold} for fold in range(self.folds)]
        return [
            from_speakers(manifest, fold, dev=members[(fold + 1) % self.folds], test=members[fold])
            for fold in range(self.folds)
        ]
