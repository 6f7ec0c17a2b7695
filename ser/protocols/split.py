"""A split: the utterances that train, tune and test in one fold, and what they are allowed to share."""

import hashlib
import json
from dataclasses import dataclass
from typing import Protocol as Interface

import numpy as np
import pandas as pd

from ser.errors import SplitError

SIDES = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """One fold.

    Attributes:
        fold: 0, 1, ...
        train, dev, test: Row positions in the manifest, ascending.
        stamps: Stamps of every result under this split; they also state what its sides may share.
        text_independent: Whether the protocol guarantees that no test sentence is in training or dev; the audit checks it.
    """

    fold: int
    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    stamps: tuple[str, ...] = ()
    text_independent: bool = False

    def sides(self) -> dict[str, np.ndarray]:
        """Return the three sides by name."""
        return {side: getattr(self, side) for side in SIDES}

    def hash(self, manifest: pd.DataFrame) -> str:
        """Return a hash of the utterance ids; results with the same hash use the same utterances."""
        ids = {side: sorted(manifest["id"].iloc[rows]) for side, rows in self.sides().items()}
        return hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16]


class Protocol(Interface):
    """The interface of a protocol. Each protocol is one class in its own file, with its constants in one YAML.

    A class may have ``asked``, the names of settings that are given with the data; see `ser.protocols.naming`.
    """

    name: str

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold over a manifest.

        Raises:
            SplitError: If the protocol does not fit these corpora.
        """


def checked_share(dev_share: float) -> float:
    """Return a share after checking that it is between 0 and 1.

    Raises:
        SplitError: If it is not.
    """
    if not 0 < dev_share < 1:
        raise SplitError(f"protocol.dev_share must be a share between 0 and 1; got {dev_share}.")
    return dev_share


def checked_folds(folds: int) -> int:
    """Return a number of folds after checking that it is at least 3.

    Raises:
        SplitError: If it is not.
    """
    if folds < 3:
        raise SplitError(f"protocol.folds must be 3 or more (test, dev, train); got {folds}.")
    return folds


def from_masks(
    fold: int, train: np.ndarray, dev: np.ndarray, test: np.ndarray, *stamps: str, text_independent: bool = False
) -> Split:
    """Return the split of three sides, each whether an utterance is in it, ``(utterance,)`` booleans."""
    sides = np.flatnonzero(train), np.flatnonzero(dev), np.flatnonzero(test)
    return Split(fold, *sides, stamps, text_independent)


def from_speakers(
    manifest: pd.DataFrame, fold: int, dev: set[str], test: set[str], train: set[str] | None = None
) -> Split:
    """Return the split by speakers; those in neither ``dev`` nor ``test`` train, unless ``train`` is given."""
    speakers = manifest["speaker"]
    in_dev, in_test = speakers.isin(dev).to_numpy(), speakers.isin(test).to_numpy()
    in_train = ~(in_dev | in_test) if train is None else speakers.isin(train).to_numpy()
    return from_masks(fold, in_train, in_dev, in_test)


def stratified_share(manifest: pd.DataFrame, rows: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose a random share of some utterances, stratified by corpus and emotion.

    Args:
        manifest: See `ser.corpora.manifest`.
        rows: Positions of the utterances to choose from.
        share: Between 0 and 1; at least one utterance of two or more is chosen.
        seed: Seed of the choice, which depends on the ids and not on the order of rows.

    Returns:
        Positions of the chosen utterances, ascending.
    """
    random = np.random.default_rng(seed)
    some = manifest.iloc[rows][["id", "corpus", "emotion"]].assign(row=rows).sort_values("id")
    chosen = [np.empty(0, dtype=np.int64)]
    for _, group in some.groupby(["corpus", "emotion"], sort=True):
        enough = min(max(1, round(share * len(group))), len(group) - 1)
        chosen.append(random.permutation(group["row"].to_numpy())[:enough])
    return np.sort(np.concatenate(chosen))
