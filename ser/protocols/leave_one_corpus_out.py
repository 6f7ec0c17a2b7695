"""Leave one corpus out: every corpus tests once; speakers of all the others train and are dev."""

import pandas as pd

from ser.errors import SplitError
from ser.protocols.cross_corpus import across, checked_share
from ser.protocols.split import Split


class LeaveOneCorpusOut:
    """One fold a corpus, in the order of the alphabet; see `ser.protocols.cross_corpus.CrossCorpus`.

    Args:
        dev_share: Share of each training corpus's speakers who are dev.
        seed: Seed of the choice of those speakers.
    """

    name = "leave_one_corpus_out"

    def __init__(self, dev_share: float = 0.2, seed: int = 0) -> None:
        self.dev_share, self.seed = checked_share(dev_share), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold; see `ser.protocols.split.Protocol`."""
        corpora = sorted(manifest["corpus"].unique())
        if len(corpora) < 2:
            raise SplitError(
                f"protocol=leave_one_corpus_out needs two corpora at least; the data has {', '.join(corpora) or 'none'}. "
                "Name several, such as data=[ravdess,savee], or use protocol=speaker_cv."
            )
        return [
            across(manifest, fold, [c for c in corpora if c != corpus], [corpus], self.dev_share, self.seed)
            for fold, corpus in enumerate(corpora)
        ]
