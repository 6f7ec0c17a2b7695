"""Few-shot: folds of speakers, with a few clips of each test speaker in training, as after a short enrolment."""

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.speaker_cv import deal_speakers
from ser.protocols.split import Split, checked_folds, from_masks
from ser.protocols.stamps import FEW_SHOT, SPEAKER_DEPENDENT
from ser.runtime.words import and_more


class FewShot:
    """Folds of speakers as in `ser.protocols.speaker_cv`; some clips of the test speakers move to training.

    Args:
        clips: Number of moved clips of each test speaker, as evenly over the emotions as possible.
        folds: Number of folds: at least 3, and at most the number of speakers.
        seed: Seed of the assignment of speakers to folds and of the choice of clips.
    """

    name = "few_shot"

    def __init__(self, clips: int = 7, folds: int = 5, seed: int = 0) -> None:
        if clips < 1:
            raise SplitError(f"protocol.clips must be 1 or more; got {clips}. Use protocol=speaker_cv to move none.")
        self.clips, self.folds, self.seed = clips, checked_folds(folds), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per group of test speakers."""
        clips_of = manifest["speaker"].value_counts()
        if len(clips_of) < 3:
            raise SplitError(
                f"protocol=few_shot requires at least 3 speakers (test, dev, train); got {len(clips_of)}: "
                f"{', '.join(sorted(clips_of.index))}."
            )
        if few := sorted(clips_of.index[clips_of <= self.clips]):
            raise SplitError(
                f"protocol.clips must be less than the clips of every speaker, at most {clips_of.min() - 1} here; got "
                f"{self.clips}, which leaves {and_more(few, 10)} without test clips."
            )
        groups = deal_speakers(manifest, min(self.folds, len(clips_of)), self.seed)
        fold_of = manifest["speaker"].map({s: fold for fold, group in enumerate(groups) for s in group}).to_numpy()
        moved = self._choose(manifest)
        # In these words also for one clip, as runs have it, whose stamps are verified.
        stamps = (SPEAKER_DEPENDENT, f"{FEW_SHOT}: {self.clips} clips of each test speaker in training")
        splits = []
        for fold in range(len(groups)):
            tested, is_dev = fold_of == fold, fold_of == (fold + 1) % len(groups)
            train = ~(tested | is_dev) | (tested & moved)
            splits.append(from_masks(fold, train, is_dev, tested & ~moved, *stamps))
        return splits

    def _choose(self, manifest: pd.DataFrame) -> np.ndarray:
        """Return whether each utterance moves to training: ``(utterance,)`` booleans."""
        random = np.random.default_rng(self.seed)
        drawn = manifest[["id", "speaker", "emotion"]].assign(row=np.arange(len(manifest))).sort_values("id")
        drawn["order"] = random.permutation(len(drawn))
        drawn = drawn.sort_values("order")
        # Every emotion gives one clip before any gives a second; if the last round has too many, the choice is random.
        drawn["round"] = drawn.groupby(["speaker", "emotion"]).cumcount()
        first = drawn.sort_values(["round", "order"]).groupby("speaker").head(self.clips)
        return np.isin(np.arange(len(manifest)), first["row"].to_numpy())
