"""Train on some corpora and test on others: generalisation to other recordings, acting and speakers."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.split import Split, checked_share, from_masks
from ser.runtime.words import counted

OTHERS = "others"
"""As ``train``: every corpus of the data that is not a test corpus."""


class CrossCorpus:
    """One fold: the training corpora's speakers are divided into train and dev; all test corpora's utterances test.

    Corpora in neither list are left out. The corpora should share their emotions: those of this package have all of
    ``labels=four``, except eNTERFACE'05, which has no neutral. If both lists are the same, the folds are those of
    `ser.protocols.speaker_cv` within those corpora, as a reference for cross-corpus results.

    Args:
        train: A training corpus, several, or ``others``: all of the data that are not test corpora.
        test: A test corpus, or several.
        dev_share: Share of each training corpus's speakers who are dev.
        seed: Seed of the choice of those speakers.
    """

    name = "cross_corpus"
    asked = ("train", "test")

    def __init__(
        self, train: str | Sequence[str], test: str | Sequence[str], dev_share: float = 0.2, seed: int = 0
    ) -> None:
        self.train, self.test = (sorted({names} if isinstance(names, str) else set(names)) for names in (train, test))
        if not self.train or not self.test:
            raise SplitError(
                "protocol.train and protocol.test must name at least one corpus each; got an empty list. Set both, such as "
                "protocol.train=ravdess protocol.test=savee."
            )
        both = sorted(set(self.train) & set(self.test))
        if both and self.train != self.test:
            raise SplitError(
                f"protocol.train and protocol.test must be the same or share no corpus; got {', '.join(both)} in both."
            )
        self.dev_share, self.seed = checked_share(dev_share), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return the fold, or the folds within the corpora if both lists are the same."""
        here = sorted(manifest["corpus"].unique())
        train = sorted(set(here) - set(self.test)) if self.train == [OTHERS] else self.train
        if absent := sorted({*train, *self.test} - set(here)):
            raise SplitError(
                f"protocol=cross_corpus must name corpora of the data, {', '.join(here)}; got {', '.join(absent)}. Load all "
                f"of them, data=[{','.join([*train, *self.test])}], or set protocol.train and protocol.test."
            )
        if not train:
            raise SplitError(
                f"protocol.train=others requires a corpus besides the test corpora; got only {', '.join(here)}. Add one to "
                "data=[...]."
            )
        if train == self.test:
            return self._within(manifest)
        return [across(manifest, 0, train, self.test, self.dev_share, self.seed)]

    def _within(self, manifest: pd.DataFrame) -> list[Split]:
        rows = np.flatnonzero(manifest["corpus"].isin(self.test))
        within = SpeakerCV(seed=self.seed).splits(manifest.iloc[rows].reset_index(drop=True))
        return [Split(s.fold, rows[s.train], rows[s.dev], rows[s.test], s.stamps) for s in within]


def across(
    manifest: pd.DataFrame, fold: int, train: Collection[str], test: Collection[str], dev_share: float, seed: int
) -> Split:
    """Return the split of two groups of corpora, with a share of each training corpus's speakers as dev."""
    dev = {speaker for corpus in sorted(train) for speaker in choose_speakers(manifest, corpus, dev_share, seed)}
    trains, tests = manifest["corpus"].isin(train).to_numpy(), manifest["corpus"].isin(test).to_numpy()
    is_dev = manifest["speaker"].isin(dev).to_numpy()
    return from_masks(fold, trains & ~is_dev, trains & is_dev, tests)


def choose_speakers(manifest: pd.DataFrame, corpus: str, share: float, seed: int) -> list[str]:
    """Choose a share of a corpus's speakers, equally from each sex: at least one, and not all.

    Raises:
        SplitError: If the corpus has only one speaker.
    """
    speakers = manifest.loc[manifest["corpus"] == corpus, ["sex", "speaker"]].drop_duplicates("speaker")
    speakers = speakers.sort_values(["sex", "speaker"])
    if len(speakers) < 2:
        raise SplitError(
            "A training corpus must have at least 2 speakers, one for train and one for dev; got "
            f"{counted(len(speakers), 'speaker')} of {corpus} with these labels."
        )
    random = np.random.default_rng(seed)
    ranked: list[tuple[float, float, str]] = []
    for _, group in speakers.groupby("sex", sort=True, dropna=False):
        shuffled = random.permutation(group["speaker"].to_numpy())
        # Evenly spaced in 0..1, so that the first few have the same share of each sex as all; ties are broken at random.
        ranked += [((i + 0.5) / len(group), random.random(), speaker) for i, speaker in enumerate(shuffled)]
    chosen = min(max(1, round(share * len(ranked))), len(ranked) - 1)
    return [speaker for *_, speaker in sorted(ranked)[:chosen]]
