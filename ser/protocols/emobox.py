"""EmoBox's splits of RAVDESS, SAVEE, CREMA-D and TESS.

Source: Ma et al., 2024, https://arxiv.org/abs/2406.07162; the lists are those of its split files.

RAVDESS has six folds of actors and SAVEE four, one a speaker. For CREMA-D and TESS a list of utterances tests and the
rest of the corpus trains, in one fold: every speaker is on both sides, and every word of TESS, so results are stamped.
The lists have no dev side. Here the next fold's speakers are dev for RAVDESS and SAVEE, and a random tenth of the
training utterances, of every emotion alike, for CREMA-D and TESS: so much less trains than the lists have.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.speaker_lists import SpeakerLists
from ser.protocols.split import Split, stratified_share
from ser.protocols.stamps import SPEAKER_DEPENDENT

WHOLE = 0.9
"""Of the listed utterances whose emotion the data has, so many must be there: a release lacks single clips at most."""


class EmoBox:
    """The splits of whichever of its corpora the data is; one at a time.

    Args:
        folds: Corpus to the test speakers of each fold, without the corpus's name.
        utterances: Corpus to speaker to the rest of the names of those who test, with blanks between: ``"1001"`` and
            ``"DFA_HAP_XX DFA_SAD_XX"``. The second part is the emotion.
        dev_share: Share of the training utterances that are dev where utterances are listed.
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
        if not 0 < dev_share < 1:
            raise SplitError(f"protocol.dev_share must be a share between 0 and 1; got {dev_share}.")
        self.folds, self.utterances, self.dev_share, self.seed = folds, utterances, dev_share, seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold; see `ser.protocols.split.Protocol`."""
        corpora = sorted(manifest["corpus"].unique())
        known = sorted({*self.folds, *self.utterances})
        if len(corpora) != 1 or corpora[0] not in known:
            raise SplitError(
                f"protocol=emobox is for one of {', '.join(known)} at a time; the data has {', '.join(corpora) or 'none'}. "
                "Use protocol=speaker_cv."
            )
        (corpus,) = corpora
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
                raise SplitError(f"protocol=emobox tests {corpus}/{speaker}, of whom the data has none of those clips.")
            asked += len(listed)
            found |= listed & here
        if len(found) < WHOLE * asked:
            raise SplitError(
                f"protocol=emobox tests {asked} clips of {corpus} with these emotions, but the data has {len(found)} of "
                "them. The published list needs the whole corpus, and labels.target=intended; protocol=speaker_cv works "
                "on a part of it."
            )
        tests = manifest["id"].isin(found).to_numpy()
        dev = stratified_share(manifest, np.flatnonzero(~tests), self.dev_share, self.seed)
        train = np.setdiff1d(np.flatnonzero(~tests), dev)
        return Split(0, train, dev, np.flatnonzero(tests), stamps=(SPEAKER_DEPENDENT,))
