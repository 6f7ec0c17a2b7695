"""What a predictions table says of its utterances besides the answers: all of it follows from the corpora and the labels."""

import numpy as np
import pandas as pd

from ser.corpora.labels import Labelled
from ser.corpora.manifest import FURTHER
from ser.evaluation import predictions
from ser.protocols.given_split import COLUMN

MOST_GROUPS = 12
"""Values of a further column up to which it is a group: a table may also have numbers or texts in it."""


def facts_table(labelled: Labelled, rows: np.ndarray, fold: int) -> pd.DataFrame:
    """Return the columns before the answers, in the order of the table; see `ser.evaluation.predictions`.

    Args:
        labelled: The utterances with their targets.
        rows: Row positions in its manifest.
        fold: The number of the fold.
    """
    manifest = labelled.manifest.iloc[rows].reset_index(drop=True)
    known = [c for c in predictions.OPTIONAL if c in manifest and manifest[c].notna().all()]
    known += grouping_columns(labelled)
    table = manifest[["id", "corpus", "speaker", "sex", "sentence"]].rename(columns={"id": "utterance"})
    table["fold"] = fold
    targets = labelled.columns().iloc[rows].reset_index(drop=True)
    table[targets.columns] = targets
    table[known] = manifest[known]
    return table


def votes_of(labelled: Labelled, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return the columns after the answers: the share of votes for each class, where the corpora have votes."""
    if (votes := labelled.votes) is None:
        return {}
    return {f"{predictions.VOTES}{name}": votes[rows, i] for i, name in enumerate(labelled.classes)}


def grouping_columns(labelled: Labelled) -> list[str]:
    """Return the further columns that divide utterances into a few groups, the split and the targets aside."""
    targets = [FURTHER + name.lower() for name in labelled.classes] if labelled.numeric else []
    further = [c for c in predictions.further_groups(labelled.manifest) if c.lower() not in (COLUMN, *targets)]
    return [c for c in further if 2 <= labelled.manifest[c].nunique() <= MOST_GROUPS]
