"""A split: the utterances that train, tune and test in one fold, and the promises it is checked against."""

import hashlib
import json
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol as Interface

import numpy as np
import pandas as pd

from ser.errors import SplitError

SPEAKER_DEPENDENT = "speaker-dependent"
"""Stamps results whose test speakers were heard in training or chose the model."""
DEV_SHARES_SPEAKERS = "dev speakers also train"
"""Stamps results whose model was chosen on other utterances of the training speakers; the test speakers stay unheard."""

SIDES = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """One fold.

    Attributes:
        fold: 0, 1, ...
        train, dev, test: Row positions in the manifest, ascending.
        stamps: Words that every result had under this split carries; they are also what it is allowed to share.
    """

    fold: int
    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    stamps: tuple[str, ...] = ()

    def sides(self) -> dict[str, np.ndarray]:
        """The three sides by name."""
        return {side: getattr(self, side) for side in SIDES}

    def hash(self, manifest: pd.DataFrame) -> str:
        """Names the split by its utterance ids: two results with the same hash were had on the same utterances."""
        ids = {side: sorted(manifest["id"].iloc[rows]) for side, rows in self.sides().items()}
        return hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16]


class Protocol(Interface):
    """What a protocol offers; each is one class in its own file, with its constants in one YAML."""

    name: str

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Every fold over a manifest.

        Raises:
            SplitError: If the protocol does not fit these corpora.
        """


def from_speakers(
    manifest: pd.DataFrame, fold: int, dev: set[str], test: set[str], train: set[str] | None = None
) -> Split:
    """The split that these speakers make; whoever is in neither ``dev`` nor ``test`` trains, unless ``train`` is given."""
    speakers = manifest["speaker"]
    in_dev, in_test = speakers.isin(dev).to_numpy(), speakers.isin(test).to_numpy()
    in_train = ~(in_dev | in_test) if train is None else speakers.isin(train).to_numpy()
    return Split(fold, np.flatnonzero(in_train), np.flatnonzero(in_dev), np.flatnonzero(in_test))


def check(split: Split, manifest: pd.DataFrame) -> None:
    """Check a split against what its stamps admit. Runs before every training.

    Raises:
        SplitError: If a side is empty, an utterance is on two sides, or a speaker is where no stamp admits it.
    """
    rows = split.sides()
    for side in SIDES:
        if not len(rows[side]):
            raise SplitError(
                f"Fold {split.fold} has no {side} utterances. The protocol asks for more speakers than the corpus has, "
                "or the labels dropped them all; see `python -m ser.prepare` for what is there."
            )
    for one, other in combinations(SIDES, 2):
        if twice := sorted(set(manifest["id"].iloc[rows[one]]) & set(manifest["id"].iloc[rows[other]])):
            raise SplitError(
                f"Fold {split.fold}: {len(twice)} utterances are in {one} and {other}, {twice[0]} for one."
            )
        if SPEAKER_DEPENDENT in split.stamps or (
            {one, other} == {"train", "dev"} and DEV_SHARES_SPEAKERS in split.stamps
        ):
            continue
        speakers = [set(manifest["speaker"].iloc[rows[side]]) for side in (one, other)]
        if both := sorted(speakers[0] & speakers[1]):
            raise SplitError(
                f"Fold {split.fold}: speakers are in {one} and in {other}: {', '.join(both[:10])}. A result had this way "
                "says nothing of new speakers. protocol=random does that on purpose, and stamps what it touches."
            )
