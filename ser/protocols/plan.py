"""Who trains, tunes and tests: prepared corpora under a label scheme and a protocol, without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ser.audio.duplicates import find_twins
from ser.audio.store import Store
from ser.corpora.labels import Labelled, LabelScheme
from ser.errors import ConfigError, SplitError
from ser.protocols.audit import Finding, audit
from ser.protocols.split import Protocol, Split

SYNTHETIC = "synthetic speech"
"""Stamps every result had on speech that nobody spoke."""


@dataclass(frozen=True)
class Plan:
    """Every fold of a protocol on some corpora.

    Attributes:
        parts: The corpora's stores, in the order of ``labelled.manifest``, whose ``start`` counts through all of them.
        labelled: The utterances that have a class, with their targets.
        protocol: What reports call the protocol.
        splits: Its folds; rows of ``labelled.manifest``.
    """

    parts: tuple[Store, ...]
    labelled: Labelled
    protocol: str
    splits: tuple[Split, ...]

    @cached_property
    def class_names(self) -> "pd.Series[str]":
        """The class of each row."""
        return pd.Series(np.array(self.labelled.classes)[self.labelled.target])

    def split(self, fold: int) -> Split:
        """One fold.

        Raises:
            SplitError: If the protocol has no such fold here.
        """
        if not 0 <= fold < len(self.splits):
            raise SplitError(
                f"fold={fold}, but protocol={self.protocol} has the folds 0 to {len(self.splits) - 1} here; "
                "fold=all runs every one."
            )
        return self.splits[fold]

    def audit(self, fold: int) -> list[Finding]:
        """What `ser.protocols.audit` finds in one fold, its recordings compared by `ser.audio.duplicates`."""
        home = self.parts[0].folder.parent  # of the stores: the comparison is kept there
        return audit(self.split(fold), self.labelled.manifest, self.class_names, find_twins(self.parts, home))


def plan(parts: Sequence[Store], labels: LabelScheme, protocol: Protocol) -> Plan:
    """Apply labels and protocol to prepared corpora.

    Raises:
        ConfigError: If an utterance is in two of the corpora.
        LabelError: If the labels leave nothing.
        SplitError: If the protocol does not fit these corpora.
    """
    offsets = np.cumsum([0] + [part.card["samples"] for part in parts])
    manifests = [
        part.manifest.assign(start=part.manifest["start"] + offset)
        for part, offset in zip(parts, offsets[:-1], strict=True)
    ]
    manifest = pd.concat(manifests, ignore_index=True)
    if not manifest["id"].is_unique:
        twice = manifest.loc[manifest["id"].duplicated(), "id"].iloc[0]
        raise ConfigError(f"{twice} is in two of the corpora: data.corpora names one of them twice.")
    labelled = labels.apply(manifest)
    return Plan(tuple(parts), labelled, protocol.name, tuple(protocol.splits(labelled.manifest)))
