"""The split that a table or a release gives: a column ``split`` says which clips train, tune (dev) and test.

Clips without a word there are left out. The audit checks the split as any other: speakers on two sides are an error, and
with ``audit=warn`` a stamp.
"""

import pandas as pd

from ser.corpora.manifest import FURTHER
from ser.errors import SplitError
from ser.protocols.cross_corpus import choose_speakers
from ser.protocols.split import SIDES, Split, checked_share, from_masks
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.runtime.words import and_more

WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The side that each word names; case does not matter."""
COLUMN = f"{FURTHER}split"


class GivenSplit:
    """One fold, as the column ``split`` of a table or a release says.

    Args:
        name: Name of the protocol in reports.
        shared_speakers: Whether test speakers also train by design; results carry a stamp.
        dev_share: Where no clip is dev, the share of each corpus's training speakers that is taken for it.
        seed: Seed of that choice.
    """

    def __init__(
        self, name: str = "given_split", shared_speakers: bool = False, dev_share: float = 0.2, seed: int = 0
    ) -> None:
        self.name, self.stamps = name, (SPEAKER_DEPENDENT,) * shared_speakers
        self.dev_share, self.seed = checked_share(dev_share), seed

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return the fold."""
        if COLUMN not in manifest:
            raise SplitError(
                "protocol=given_split must have data with a column split; got none. Add it to the table, with the words "
                f"{', '.join(SIDES)}, or choose protocol=speaker_cv."
            )
        words = manifest[COLUMN].str.strip().str.lower()
        sides = words.map(WORDS)
        if unknown := sorted(words[sides.isna()].dropna().unique()):
            raise SplitError(f"split must be one of {', '.join(WORDS)}; got {and_more(unknown)}. Correct the table.")
        train, dev, test = ((sides == side).to_numpy() for side in SIDES)
        if not dev.any():
            training = manifest[train]
            chosen = [
                speaker
                for corpus in sorted(training["corpus"].unique())
                for speaker in choose_speakers(training, corpus, self.dev_share, self.seed)
            ]
            dev = train & manifest["speaker"].isin(chosen).to_numpy()
        return [from_masks(0, train & ~dev, dev, test, *self.stamps)]
