"""The split of a model to be used: every speaker trains but a few dev speakers, and nobody tests."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.protocols.split import Split, from_masks
from ser.protocols.stamps import DEV_SHARES_SPEAKERS, FINAL, SPEAKER_DEPENDENT


def final_split(splits: Sequence[Split], manifest: pd.DataFrame) -> Split:
    """Return a split without a test side, from the folds of a protocol.

    The dev side is that of the first fold. All other utterances that any fold uses train, but none of a dev speaker, unless
    the protocol itself lets training and dev share speakers.

    Args:
        splits: All folds of the protocol.
        manifest: See `ser.corpora.manifest`.

    Example:
        >>> manifest = pd.DataFrame({"speaker": list("aabbcc"), "corpus": "x"})
        >>> one, two = [from_masks(i, *(manifest["speaker"].eq(s) for s in sides)) for i, sides in enumerate(["abc", "bca"])]
        >>> [rows.tolist() for rows in final_split([one, two], manifest).sides().values()]
        [[0, 1, 4, 5], [2, 3], []]
    """
    first = splits[0]
    used = np.zeros(len(manifest), dtype=bool)
    for split in splits:
        for rows in split.sides().values():
            used[rows] = True
    dev = np.zeros(len(manifest), dtype=bool)
    dev[first.dev] = True
    shared = [stamp for stamp in first.stamps if stamp in (DEV_SHARES_SPEAKERS, SPEAKER_DEPENDENT)]
    train = used & ~dev
    if not shared:
        train &= ~manifest["speaker"].isin(manifest["speaker"][dev]).to_numpy()
    return from_masks(0, train, dev, np.zeros(len(manifest), dtype=bool), FINAL, *[DEV_SHARES_SPEAKERS] * bool(shared))
