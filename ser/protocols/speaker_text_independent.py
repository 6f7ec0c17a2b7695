"""Speaker- and text-independent folds: training has neither the test speakers nor the test sentences."""

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.speaker_cv import deal_speakers, held_out_sentences
from ser.protocols.split import Split, from_masks
from ser.protocols.stamps import DEV_SHARES_SPEAKERS
from ser.protocols.text_independent import deal_sentences


class SpeakerTextIndependent:
    """One fold per group of speakers and group of sentences; other speakers saying other sentences train.

    The next group of speakers, saying the training sentences, is dev. With two groups of speakers, as in TESS, dev is a
    fifth of the training *sentences*, and results carry a stamp. Every utterance tests once over all folds; each fold
    leaves out the test speakers' other sentences and the other speakers' test sentences.

    Args:
        speaker_folds: Number of groups of speakers: at least 2, and at most the number of speakers.
        sentence_folds: Number of groups of sentences: at least 2, and at most the number of a corpus's sentences.
        seed: Seed of the assignment to groups.
    """

    name = "speaker_text_independent"

    def __init__(self, speaker_folds: int = 5, sentence_folds: int = 2, seed: int = 0) -> None:
        for argument, folds in (("speaker_folds", speaker_folds), ("sentence_folds", sentence_folds)):
            if folds < 2:
                raise SplitError(f"protocol.{argument} must be 2 or more (test, train); got {folds}.")
        self.speaker_folds, self.sentence_folds, self.seed = speaker_folds, sentence_folds, seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per group of speakers and group of sentences."""
        speakers = manifest["speaker"]
        if (n_speakers := speakers.nunique()) < 2:
            raise SplitError(
                f"protocol={self.name} requires at least 2 speakers, to train and to test; got {n_speakers}. Add a corpus."
            )
        groups = deal_speakers(manifest, min(self.speaker_folds, n_speakers), self.seed)
        group_of = speakers.map({s: i for i, group in enumerate(groups) for s in group}).to_numpy()
        text_of = deal_sentences(manifest, self.sentence_folds, self.seed)
        return [
            self._split(manifest, group_of, text_of, group, text)
            for group in range(len(groups))
            for text in range(int(text_of.max()) + 1)
        ]

    def _split(self, manifest: pd.DataFrame, group_of: np.ndarray, text_of: np.ndarray, group: int, text: int) -> Split:
        groups, texts = int(group_of.max()) + 1, int(text_of.max()) + 1
        rest = (group_of != group) & (text_of != text)
        if groups > 2:
            is_dev = group_of == (group + 1) % groups
            stamps: tuple[str, ...] = ()
        else:
            is_dev = held_out_sentences(manifest, rest, self.seed)
            stamps = (DEV_SHARES_SPEAKERS,)
        test = (group_of == group) & (text_of == text)
        return from_masks(group * texts + text, rest & ~is_dev, rest & is_dev, test, *stamps, text_independent=True)
