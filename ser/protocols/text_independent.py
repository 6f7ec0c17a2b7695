"""Text-independent folds: test sentences never occur in training or dev, but the speakers do.

They show the score of a model that cannot rely on the words. Speakers are on every side, and results carry a stamp;
`ser.protocols.speaker_text_independent` separates both.
"""

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, stratified_share
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.runtime.words import counted

DEV_SHARE = 0.2
"""Dev share of the training utterances if there are only two folds, and so no third for dev."""


class TextIndependent:
    """Each fold of sentences tests once, the fold after it is dev, and the rest train.

    The corpus with the fewest sentences limits the number of folds for all corpora. With two folds, as in RAVDESS, dev is
    a random fifth of the training utterances, stratified by emotion: it then has the training sentence, never the test
    sentence.

    Args:
        folds: Maximum number of folds, at least 2.
        seed: Seed of the assignment of sentences to folds.
    """

    name = "text_independent"

    def __init__(self, folds: int = 5, seed: int = 0) -> None:
        if folds < 2:
            raise SplitError(f"protocol.folds must be 2 or more (test, train); got {folds}.")
        self.folds, self.seed = folds, seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per group of sentences."""
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
    """Assign the sentences of each corpus to folds so that every fold has a similar share of every emotion.

    The corpus with the fewest sentences may limit their number further.

    Returns:
        The fold of each utterance, ``(utterance,)``, from 0.

    Raises:
        SplitError: If a corpus has only one sentence, or fewer utterances of every emotion than folds.
    """
    if (unknown := manifest["sentence"].isna()).any():
        raise SplitError(
            f"A text-independent protocol requires the sentence of every clip; got {counted(int(unknown.sum()), 'clip')} "
            f"of {', '.join(sorted(manifest['corpus'][unknown].unique()))} without one. Use protocol=speaker_cv."
        )
    sentences = manifest.groupby("corpus")["sentence"].nunique()
    if lone := sorted(sentences.index[sentences < 2]):
        raise SplitError(
            f"A text-independent protocol requires at least 2 sentences in every corpus; got 1 in {', '.join(lone)}. "
            "Use protocol=speaker_cv, or leave that corpus out."
        )
    folds = min(folds, int(sentences.min()))
    fold_of = np.empty(len(manifest), dtype=np.int64)
    ids = manifest["id"].to_numpy()
    for corpus in sentences.index:
        of_corpus = np.flatnonzero(manifest["corpus"] == corpus)
        rows = of_corpus[np.argsort(ids[of_corpus])]  # the assignment depends on the ids, not on the order of rows
        part = manifest.iloc[rows]
        if (most := int(part["emotion"].value_counts().max())) < folds:
            raise SplitError(
                f"protocol folds of sentences must be fewer than {folds} for {corpus}; it has {counted(most, 'utterance')} "
                "of its most frequent emotion. Set fewer folds."
            )
        fold_of[rows] = _deal_groups(part["emotion"], part["sentence"], folds, seed)
    return fold_of


def _deal_groups(classes: pd.Series, groups: pd.Series, folds: int, seed: int) -> np.ndarray:
    """Assign whole groups to folds, each to the fold that keeps the shares of all classes most even.

    The folds are those of ``StratifiedGroupKFold(folds, shuffle=True, random_state=seed)`` of scikit-learn 1.9. The rule is
    written here so that another version of it cannot change folds that results were published with.

    Returns:
        The fold of each row, ``(row,)``, from 0.
    """
    _, class_of, of_class = np.unique(classes.to_numpy(object), return_inverse=True, return_counts=True)
    names, group_of = np.unique(groups.to_numpy(object), return_inverse=True)
    counts = np.zeros((len(names), len(of_class)))
    np.add.at(counts, (group_of, class_of), 1)
    order = np.arange(len(names))
    np.random.RandomState(seed).shuffle(order)
    order = order[np.argsort(-np.std(counts[order], axis=1), kind="stable")]  # the least even groups first
    in_fold, fold_of = np.zeros((folds, len(of_class))), np.empty(len(names), dtype=np.int64)
    for group in order:
        best, least, fewest = 0, np.inf, np.inf
        for fold in range(folds):
            in_fold[fold] += counts[group]
            uneven = float(np.mean(np.std(in_fold / of_class, axis=0)))
            in_fold[fold] -= counts[group]
            rows = float(in_fold[fold].sum())
            if uneven < least or (np.isclose(uneven, least) and rows < fewest):
                best, least, fewest = fold, uneven, rows
        in_fold[best] += counts[group]
        fold_of[group] = best
    return fold_of[group_of]
