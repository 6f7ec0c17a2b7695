"""Train on one speaker and test on another: the speaker-independent split of a corpus with two speakers (TESS).

There is no third speaker for dev, so dev is a share of the training speaker's *sentences*, which are excluded from
training in every emotion. The model is thus selected on a training speaker; the test speaker is new. Results carry a stamp.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, checked_share, from_masks
from ser.protocols.stamps import DEV_SHARES_SPEAKERS
from ser.runtime.words import and_more, counted


class CrossSpeaker:
    """One fold per pair of speakers, in the given order.

    Args:
        name: Name of the protocol in reports.
        pairs: ``[train, test]`` speakers, with the corpus's name: ``["tess/OAF", "tess/YAF"]``.
        dev_share: Share of the training speaker's sentences that are dev.
        seed: Seed of the choice of those sentences.
    """

    def __init__(self, name: str, pairs: Sequence[Sequence[str]], dev_share: float = 0.2, seed: int = 0) -> None:
        self.name, self.pairs = name, [tuple(p) for p in pairs]
        self.dev_share, self.seed = checked_share(dev_share), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per pair of speakers."""
        here = set(manifest["speaker"])
        asked = {speaker for pair in self.pairs for speaker in pair}
        if asked != here:
            raise SplitError(
                f"protocol={self.name} requires exactly the speakers {', '.join(sorted(asked))}; got "
                f"{counted(len(here), 'speaker')}: {and_more(sorted(here), 5)}. Use protocol=speaker_cv or protocol=loso."
            )
        if manifest["sentence"].isna().any():
            raise SplitError(
                f"protocol={self.name} requires the sentence of every clip, which divides the training speaker's clips into "
                "train and dev; got clips without one. Use protocol=speaker_cv."
            )
        sentences = np.random.default_rng(self.seed).permutation(sorted(manifest["sentence"].unique()))
        dev_sentences = set(sentences[: max(1, round(self.dev_share * len(sentences)))])
        is_dev = manifest["sentence"].isin(dev_sentences).to_numpy()
        splits = []
        for fold, (train_speaker, test_speaker) in enumerate(self.pairs):
            trains = (manifest["speaker"] == train_speaker).to_numpy()
            tests = (manifest["speaker"] == test_speaker).to_numpy()
            splits.append(from_masks(fold, trains & ~is_dev, trains & is_dev, tests, DEV_SHARES_SPEAKERS))
        return splits
