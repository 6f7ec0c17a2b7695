"""Cross-validation over speakers: k folds of speakers, balanced by corpus and sex; the next fold tunes."""

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, checked_folds, from_masks, from_speakers, stratified_share
from ser.protocols.stamps import DEV_SHARES_SPEAKERS
from ser.protocols.text_independent import deal_sentences
from ser.protocols.unknown_speakers import is_unknown

DEV_PARTS = 5
"""Number of parts of the training sentences, one of which is dev if there is no third speaker."""


class SpeakerCV:
    """Each fold of speakers tests once, the fold after it is dev, and the rest train.

    There are at most as many folds as speakers. With two speakers there is none for dev, which is then a fifth of the
    training speaker's sentences, held out from training; results carry a stamp.

    Args:
        folds: Maximum number of folds, at least 3.
        seed: Seed of the assignment of speakers to folds.
    """

    name = "speaker_cv"

    def __init__(self, folds: int = 5, seed: int = 0) -> None:
        self.folds, self.seed = checked_folds(folds), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per group of speakers."""
        n_speakers = manifest["speaker"].nunique()
        if n_speakers < 2:
            raise SplitError(
                f"protocol=speaker_cv requires at least 2 speakers, to train and to test; got {n_speakers}. Add a corpus."
            )
        members = deal_speakers(manifest, min(self.folds, n_speakers), self.seed)
        if len(members) == 2:
            tests = [manifest["speaker"].isin(test).to_numpy() for test in members]
            devs = [held_out_sentences(manifest, ~test, self.seed) for test in tests]
            sides = enumerate(zip(devs, tests, strict=True))
            return [from_masks(fold, ~(test | dev), dev, test, DEV_SHARES_SPEAKERS) for fold, (dev, test) in sides]
        return [
            from_speakers(manifest, fold, dev=members[(fold + 1) % len(members)], test=members[fold])
            for fold in range(len(members))
        ]


def held_out_sentences(manifest: pd.DataFrame, trainable: np.ndarray, seed: int) -> np.ndarray:
    """Return which of the trainable utterances have one of a fifth of their sentences, ``(utterance,)`` booleans.

    Where a sentence is unknown, it is a random fifth of the utterances, stratified by emotion.
    """
    held_out = np.zeros(len(manifest), dtype=bool)
    if manifest["sentence"][trainable].isna().any():
        held_out[stratified_share(manifest, np.flatnonzero(trainable), 1 / DEV_PARTS, seed)] = True
        return held_out
    held_out[trainable] = deal_sentences(manifest[trainable], DEV_PARTS, seed) == 0
    return held_out


def deal_speakers(manifest: pd.DataFrame, folds: int, seed: int) -> list[set[str]]:
    """Assign speakers to folds, so that each corpus and sex is spread evenly and fold sizes differ by one at most.

    The result depends on the speakers' ids, not on their order or on their utterances. Recordings that stand in for
    unknown speakers are spread by emotion, too.
    """
    emotion = manifest["emotion"].where(is_unknown(manifest), "")
    strata = manifest[["corpus", "sex", "speaker"]].assign(emotion=emotion)
    speakers = strata.sort_values(["corpus", "sex", "emotion", "speaker"]).drop_duplicates(["corpus", "speaker"])
    random = np.random.default_rng(seed)
    dealt: list[str] = []
    for _, group in speakers.groupby(["corpus", "sex", "emotion"], sort=True, dropna=False):
        dealt += list(random.permutation(group["speaker"].to_numpy()))
    # Deal in turn, like cards.
    return [set(dealt[fold::folds]) for fold in range(folds)]
