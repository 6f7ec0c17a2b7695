"""Few-shot: folds of speakers, but a few clips of each test speaker are in training, as after a short enrolment."""

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.speaker_cv import deal_speakers
from ser.protocols.split import Split
from ser.protocols.stamps import FEW_SHOT, SPEAKER_DEPENDENT


class FewShot:
    """Folds of speakers as in `ser.protocols.speaker_cv`; some clips of those who test move to training, the rest test.

    Args:
        clips: How many of each test speaker, over the emotions as evenly as can be.
        folds: How many, at least 3; as many as speakers at most.
        seed: Seed of the deal of speakers and of the choice of clips.
    """

    name = "few_shot"

    def __init__(self, clips: int = 7, folds: int = 5, seed: int = 0) -> None:
        if clips < 1:
            raise SplitError(f"protocol.clips is {clips}, but it takes 1 at least; protocol=speaker_cv moves none.")
        if folds < 3:
            raise SplitError(f"protocol.folds must be 3 or more (test, dev, train); got {folds}.")
        self.clips, self.folds, self.seed = clips, folds, seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold; see `ser.protocols.split.Protocol`."""
        clips_of = manifest["speaker"].value_counts()
        if len(clips_of) < 3:
            raise SplitError(
                f"protocol=few_shot needs 3 speakers (test, dev, train); these are {len(clips_of)}: "
                f"{', '.join(sorted(clips_of.index))}."
            )
        if few := sorted(clips_of.index[clips_of <= self.clips]):
            raise SplitError(
                f"protocol.clips is {self.clips}, which leaves {', '.join(few[:10])} nothing to test: the fewest that "
                f"a speaker has is {clips_of.min()}."
            )
        groups = deal_speakers(manifest, min(self.folds, len(clips_of)), self.seed)
        fold_of = manifest["speaker"].map({s: fold for fold, group in enumerate(groups) for s in group}).to_numpy()
        moved = self._choose(manifest)
        stamps = (SPEAKER_DEPENDENT, f"{FEW_SHOT}: {self.clips} clips of each test speaker in training")
        splits = []
        for fold in range(len(groups)):
            tested, is_dev = fold_of == fold, fold_of == (fold + 1) % len(groups)
            sides = (~(tested | is_dev) | (tested & moved), is_dev, tested & ~moved)
            train, dev, test = (np.flatnonzero(side) for side in sides)
            splits.append(Split(fold, train, dev, test, stamps))
        return splits

    def _choose(self, manifest: pd.DataFrame) -> np.ndarray:
        """Whether each utterance is one of its speaker's few: ``(utterance,)`` booleans."""
        random = np.random.default_rng(self.seed)
        drawn = manifest[["id", "speaker", "emotion"]].assign(row=np.arange(len(manifest))).sort_values("id")
        drawn["order"] = random.permutation(len(drawn))
        drawn = drawn.sort_values("order")
        # Every emotion gives its first clip before one gives its second; where the last round has too many, chance picks.
        drawn["round"] = drawn.groupby(["speaker", "emotion"]).cumcount()
        first = drawn.sort_values(["round", "order"]).groupby("speaker").head(self.clips)
        return np.isin(np.arange(len(manifest)), first["row"].to_numpy())
