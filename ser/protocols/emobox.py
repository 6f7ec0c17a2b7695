"""EmoBox's splits of IEMOCAP, RAVDESS, SAVEE, CREMA-D and TESS.

Source: Ma et al., 2024, https://arxiv.org/abs/2406.07162; the lists are those of its split files.

IEMOCAP has five folds of one session each, RAVDESS six of actors and SAVEE four of one speaker each. CREMA-D and TESS have
one fold with a list of test utterances; the rest of the corpus trains. Every speaker is on both sides, as is every word of
TESS, so results carry a stamp. The lists have no dev side. Here the next fold's speakers are dev where folds are of
speakers, and a random tenth of the training utterances, stratified by emotion, for CREMA-D and TESS: training uses that
much less than the lists.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.speaker_lists import SpeakerLists, listed_corpus
from ser.protocols.split import Split, checked_share, stratified_share
from ser.protocols.stamps import SPEAKER_DEPENDENT

WHOLE = 0.9
"""Minimum share of the listed utterances, of the emotions in use, that must exist: copies miss single clips at most."""


class EmoBox:
    """The published splits of one corpus at a time.

    Args:
        folds: Maps a corpus to the test speakers of each fold, without the corpus's name.
        utterances: Maps a corpus and a speaker to the rest of the names of the test clips, separated by spaces: ``"1001"``
            and ``"DFA_HAP_XX DFA_SAD_XX"``. The second part is the emotion.
        dev_share: Share of the training utterances that are dev, for corpora with listed utterances.
        seed: Seed of the choice of those.
    """

    name = "emobox"

    def __init__(
        self,
        folds: Mapping[str, Sequence[Sequence[str]]],
        utterances: Mapping[str, Mapping[str, str]],
        dev_share: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.folds, self.utterances, self.dev_share, self.seed = folds, utterances, checked_share(dev_share), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return the published folds of the corpus."""
        corpus = listed_corpus(manifest, {*self.folds, *self.utterances}, self.name)
        if corpus in self.utterances:
            return [self._of_utterances(manifest, corpus)]
        ring = [*self.folds[corpus], self.folds[corpus][0]]
        lists = [{"test": test, "dev": dev} for test, dev in pairwise(ring)]
        return SpeakerLists(self.name, corpus, "https://arxiv.org/abs/2406.07162", lists).splits(manifest)

    def _of_utterances(self, manifest: pd.DataFrame, corpus: str) -> Split:
        here = set(manifest["id"])
        emotions = {id_.split("_")[2] for id_ in here}
        asked, found = 0, set()
        for speaker, names in self.utterances[corpus].items():
            listed = {f"{corpus}/{speaker}_{name}" for name in names.split() if name.split("_")[1] in emotions}
            if listed and not listed & here:
                raise SplitError(
                    f"protocol=emobox requires the listed test clips of {corpus}/{speaker}; got none of them. Use the whole "
                    "corpus, or protocol=speaker_cv on a part of it."
                )
            asked += len(listed)
            found |= listed & here
        if len(found) < WHOLE * asked:
            raise SplitError(
                f"protocol=emobox requires {asked} listed test clips of {corpus} with these emotions; got {len(found)} of "
                "them. Use the whole corpus and labels.target=intended, or protocol=speaker_cv on a part of it."
            )
        tests = manifest["id"].isin(found).to_numpy()
        dev = stratified_share(manifest, np.flatnonzero(~tests), self.dev_share, self.seed)
        train = np.setdiff1d(np.flatnonzero(~tests), dev)
        return Split(0, train, dev, np.flatnonzero(tests), stamps=(SPEAKER_DEPENDENT,))
