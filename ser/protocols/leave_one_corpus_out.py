"""Leave one corpus out: every corpus tests once; the speakers of all others are divided into train and dev."""

import pandas as pd

from ser.errors import SplitError
from ser.protocols.cross_corpus import across
from ser.protocols.split import Split, checked_share


class LeaveOneCorpusOut:
    """One fold per corpus, in alphabetical order; see `ser.protocols.cross_corpus.CrossCorpus`.

    Args:
        dev_share: Share of each training corpus's speakers who are dev.
        seed: Seed of the choice of those speakers.
    """

    name = "leave_one_corpus_out"

    def __init__(self, dev_share: float = 0.2, seed: int = 0) -> None:
        self.dev_share, self.seed = checked_share(dev_share), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return one fold per corpus."""
        corpora = sorted(manifest["corpus"].unique())
        if len(corpora) < 2:
            raise SplitError(
                f"data must have at least 2 corpora for protocol=leave_one_corpus_out; got {', '.join(corpora) or 'none'}. "
                "Name several, such as data=[ravdess,savee], or use protocol=speaker_cv."
            )
        return [
            across(manifest, fold, [c for c in corpora if c != corpus], [corpus], self.dev_share, self.seed)
            for fold, corpus in enumerate(corpora)
        ]
