"""Train on some corpora, test on others: whether a model holds where nobody recorded, acted or spoke like its training."""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.split import Split

OTHERS = "others"
"""As ``train``: every corpus of the data that does not test."""


class CrossCorpus:
    """One fold: speakers of the training corpora train and are dev; every utterance of the test corpora tests.

    Corpora in neither list are left out. The corpora should share their emotions: ``labels=six`` and ``labels=four`` are
    what all of the shipped ones have. Where both lists are the same, what a cross is to be compared with: the folds of
    `ser.protocols.speaker_cv` within those corpora.

    Args:
        train: A training corpus, several, or ``others``: all of the data that do not test.
        test: A test corpus, or several.
        dev_share: Share of each training corpus's speakers who are dev.
        seed: Seed of the choice of those speakers.
    """

    name = "cross_corpus"

    def __init__(
        self, train: str | Sequence[str], test: str | Sequence[str], dev_share: float = 0.2, seed: int = 0
    ) -> None:
        self.train, self.test = (sorted({names} if isinstance(names, str) else set(names)) for names in (train, test))
        if not self.train or not self.test:
            raise SplitError(
                "protocol=cross_corpus needs corpora on both sides, such as protocol.train=ravdess protocol.test=savee."
            )
        both = sorted(set(self.train) & set(self.test))
        if both and self.train != self.test:
            raise SplitError(f"{', '.join(both)} is in protocol.train and in protocol.test: a corpus is on one side.")
        self.dev_share, self.seed = checked_share(dev_share), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold; see `ser.protocols.split.Protocol`."""
        here = sorted(manifest["corpus"].unique())
        train = sorted(set(here) - set(self.test)) if self.train == [OTHERS] else self.train
        if absent := sorted({*train, *self.test} - set(here)):
            raise SplitError(
                f"protocol=cross_corpus names {', '.join(absent)}, but the data has {', '.join(here)}. Load all that it "
                f"names, data=[{','.join([*train, *self.test])}], or set protocol.train and protocol.test."
            )
        if not train:
            raise SplitError(f"protocol.train=others leaves none: the data has {', '.join(here)} alone, which test.")
        if train == self.test:
            return self._within(manifest)
        return [across(manifest, 0, train, self.test, self.dev_share, self.seed)]

    def _within(self, manifest: pd.DataFrame) -> list[Split]:
        rows = np.flatnonzero(manifest["corpus"].isin(self.test))
        within = SpeakerCV(seed=self.seed).splits(manifest.iloc[rows].reset_index(drop=True))
        return [Split(s.fold, rows[s.train], rows[s.dev], rows[s.test], s.stamps) for s in within]


def checked_share(dev_share: float) -> float:
    """Pass a share on.

    Raises:
        SplitError: If it is none.
    """
    if not 0 < dev_share < 1:
        raise SplitError(f"protocol.dev_share must be a share between 0 and 1; got {dev_share}.")
    return dev_share


def across(
    manifest: pd.DataFrame, fold: int, train: Collection[str], test: Collection[str], dev_share: float, seed: int
) -> Split:
    """The split of two groups of corpora; a share of each training corpus's speakers is dev."""
    dev = {speaker for corpus in sorted(train) for speaker in choose_speakers(manifest, corpus, dev_share, seed)}
    trains, tests = manifest["corpus"].isin(train).to_numpy(), manifest["corpus"].isin(test).to_numpy()
    is_dev = manifest["speaker"].isin(dev).to_numpy()
    return Split(fold, np.flatnonzero(trains & ~is_dev), np.flatnonzero(trains & is_dev), np.flatnonzero(tests))


def choose_speakers(manifest: pd.DataFrame, corpus: str, share: float, seed: int) -> list[str]:
    """Choose a share of a corpus's speakers, of each sex alike: one at least, and not all.

    Raises:
        SplitError: If the corpus has one speaker only.
    """
    speakers = manifest.loc[manifest["corpus"] == corpus, ["sex", "speaker"]].drop_duplicates()
    speakers = speakers.sort_values(["sex", "speaker"])
    if len(speakers) < 2:
        raise SplitError(
            f"{corpus} has {len(speakers)} speaker with these labels, but a training corpus needs two at least: "
            "one trains, and another is dev."
        )
    random = np.random.default_rng(seed)
    ranked: list[tuple[float, float, str]] = []
    for _, group in speakers.groupby("sex", sort=True):
        shuffled = random.permutation(group["speaker"].to_numpy())
        # Evenly spaced in 0..1, so that the first few hold each sex as the whole does; chance settles who is first.
        ranked += [((i + 0.5) / len(group), random.random(), speaker) for i, speaker in enumerate(shuffled)]
    chosen = min(max(1, round(share * len(ranked))), len(ranked) - 1)
    return [speaker for *_, speaker in sorted(ranked)[:chosen]]
