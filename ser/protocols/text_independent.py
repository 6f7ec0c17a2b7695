"""Text-independent folds: the sentences that test are never said in training or dev, though the speakers are there.

What is left of a model's score when it cannot know the words. Speakers are on every side, and results are stamped so;
`ser.protocols.speaker_text_independent` keeps both apart.
"""

import warnings

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, stratified_share
from ser.protocols.stamps import SPEAKER_DEPENDENT

DEV_SHARE = 0.2
"""Of the training utterances, where there are two folds only and no third to be dev."""


class TextIndependent:
    """Each fold of sentences tests once, the fold after it is dev, and the rest train.

    A corpus with fewer sentences than ``folds`` has as many folds as sentences, and so have the corpora beside it. With
    two folds, as RAVDESS has, dev is a random fifth of the utterances that would train, of every emotion alike: it
    then says the training sentence, never the one that tests.

    Args:
        folds: How many at most, at least 2.
        seed: Seed of the deal of sentences to folds.
    """

    name = "text_independent"

    def __init__(self, folds: int = 5, seed: int = 0) -> None:
        if folds < 2:
            raise SplitError(f"protocol.folds must be 2 or more (test, train); got {folds}.")
        self.folds, self.seed = folds, seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold; see `ser.protocols.split.Protocol`."""
        fold_of = deal_sentences(manifest, self.folds, self.seed)
        folds = int(fold_of.max()) + 1
        splits = []
        for fold in range(folds):
            if folds > 2:
                dev = np.flatnonzero(fold_of == (fold + 1) % folds)
            else:
                dev = stratified_share(manifest, np.flatnonzero(fold_of != fold), DEV_SHARE, self.seed)
            test = np.flatnonzero(fold_of == fold)
            train = np.setdiff1d(np.flatnonzero(fold_of != fold), dev)
            splits.append(Split(fold, train, dev, test, stamps=(SPEAKER_DEPENDENT,), text_independent=True))
        return splits


def deal_sentences(manifest: pd.DataFrame, folds: int, seed: int) -> np.ndarray:
    """Deal the sentences of each corpus to folds so that every fold has a like share of every emotion.

    Args:
        manifest: See `ser.corpora.manifest`.
        folds: How many at most; no more than the sentences of the corpus that has the fewest.
        seed: Seed of the deal.

    Returns:
        ``(utterance,)`` folds, from 0.

    Raises:
        SplitError: If a corpus has one sentence only, or fewer utterances of every emotion than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    sentences = manifest.groupby("corpus")["sentence"].nunique()
    if lone := sorted(sentences.index[sentences < 2]):
        raise SplitError(
            f"A text-independent protocol keeps sentences apart, but {', '.join(lone)} has one sentence only. "
            "Use protocol=speaker_cv, or leave that corpus out."
        )
    folds = min(folds, int(sentences.min()))
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    fold_of = np.empty(len(manifest), dtype=np.int64)
    ids = manifest["id"].to_numpy()
    for corpus in sentences.index:
        of_corpus = np.flatnonzero(manifest["corpus"] == corpus)
        rows = of_corpus[np.argsort(ids[of_corpus])]  # the deal hangs on the ids, not on the order of rows
        part = manifest.iloc[rows]
        try:
            with warnings.catch_warnings():
                # A class with fewer clips than folds cannot be in all of them; reports count every class anyway.
                warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
                for fold, (_, dealt) in enumerate(dealer.split(rows, part["emotion"], part["sentence"])):
                    fold_of[rows[dealt]] = fold
        except ValueError as error:
            raise SplitError(
                f"{corpus} has too few utterances for {folds} folds of sentences: {error} Ask for fewer folds."
            ) from error
    return fold_of
