"""Which test speakers a search for settings has looked at: those who are dev in a fold that it searched.

Over all folds, the dev speakers of one fold test in another. Settings that the dev scores of all folds chose together fit
speakers who test, as in Cawley and Talbot, 2010, On over-fitting in model selection and subsequent selection bias in
performance evaluation, https://jmlr.org/papers/v11/cawley10a.html.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split
from ser.protocols.stamps import CHOSEN_ON_TEST


def search_stamp(
    splits: Sequence[Split], manifest: pd.DataFrame, searched: Collection[int], reported: Collection[int]
) -> str:
    """Return the stamp of results whose settings the dev speakers of some folds chose; empty if none of them tests.

    Args:
        splits: Every fold.
        manifest: See `ser.corpora.manifest`.
        searched: The folds whose dev speakers chose the settings.
        reported: The folds whose test speakers are scored.

    Raises:
        SplitError: If a searched fold is not one of the splits.

    Example:
        >>> from ser.protocols.split import from_speakers
        >>> speakers = pd.DataFrame({"speaker": list("abcd")})
        >>> folds = [from_speakers(speakers, i, dev={dev}, test={test}) for i, (dev, test) in enumerate(["ba", "cb", "bc"])]
        >>> search_stamp(folds, speakers, searched=[0, 1, 2], reported=[0, 1, 2])
        'settings chosen on test speakers: 2 of 3'
        >>> search_stamp(folds, speakers, searched=[0], reported=[0])
        ''
    """
    if unknown := sorted(set(searched) - {split.fold for split in splits}):
        raise SplitError(f"searched must be folds from 0 to {len(splits) - 1}; got {unknown[0]}. Correct it.")
    looked_at = _speakers(manifest, [split.dev for split in splits if split.fold in searched])
    tested = _speakers(manifest, [split.test for split in splits if split.fold in reported])
    both = len(looked_at & tested)
    return f"{CHOSEN_ON_TEST}: {both} of {len(tested)}" if both else ""


def _speakers(manifest: pd.DataFrame, sides: Sequence[np.ndarray]) -> set[str]:
    return {speaker for rows in sides for speaker in manifest["speaker"].iloc[rows].unique()}
