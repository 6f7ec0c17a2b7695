"""Published folds: the test, dev and training speakers are listed in the protocol's YAML, with their source."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, from_speakers
from ser.runtime.words import and_more


class SpeakerLists:
    """Folds given as lists of speakers.

    Args:
        name: Name of the protocol in reports.
        corpus: The corpus whose speakers are listed, without its name: ``"01"`` is ``ravdess/01``.
        source: The publication of the folds.
        folds: One mapping per fold, with ``test``, ``dev`` and optionally ``train``, by default all other speakers.
    """

    def __init__(self, name: str, corpus: str, source: str, folds: Sequence[Mapping[str, Sequence[str]]]) -> None:
        if incomplete := [i for i, fold in enumerate(folds) if not {"dev", "test"} <= fold.keys()]:
            raise SplitError(
                f"protocol.folds must list dev and test speakers for every fold of protocol={name}; got folds without one: "
                f"{', '.join(map(str, incomplete))}."
            )
        self.name, self.corpus, self.source = name, corpus, source
        self.folds = [{side: {f"{corpus}/{s}" for s in speakers} for side, speakers in fold.items()} for fold in folds]

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return the listed folds."""
        if others := sorted(set(manifest["corpus"].unique()) - {self.corpus}):
            raise SplitError(
                f"data must be {self.corpus} for protocol={self.name}; got {', '.join(others)}. Use protocol=speaker_cv for "
                "other corpora, or for several."
            )
        named = set().union(*(speakers for fold in self.folds for speakers in fold.values()))
        if missing := sorted(named - set(manifest["speaker"].unique())):
            raise SplitError(
                f"protocol={self.name} requires all speakers of its published folds; got none of {and_more(missing, 10)}. "
                "Use the whole corpus, or protocol=speaker_cv on a part of it."
            )
        return [
            from_speakers(manifest, i, dev=fold["dev"], test=fold["test"], train=fold.get("train"))
            for i, fold in enumerate(self.folds)
        ]
