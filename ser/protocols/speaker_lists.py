"""Published folds: the speakers who test, tune and train are listed in the protocol's YAML, with their source."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, from_speakers


class SpeakerLists:
    """Folds given as lists of speakers.

    Args:
        name: What reports call the protocol.
        corpus: The corpus whose speakers are listed; they are written without its name: ``"01"`` is ``ravdess/01``.
        source: Where the folds were published.
        folds: One mapping a fold, with ``test``, ``dev`` and, unless it is everybody else, ``train``.
    """

    def __init__(self, name: str, corpus: str, source: str, folds: Sequence[Mapping[str, Sequence[str]]]) -> None:
        if incomplete := [i for i, fold in enumerate(folds) if not {"dev", "test"} <= fold.keys()]:
            raise SplitError(f"protocol={name}: the folds {incomplete} do not list both dev and test speakers.")
        self.name, self.corpus, self.source = name, corpus, source
        self.folds = [{side: {f"{corpus}/{s}" for s in speakers} for side, speakers in fold.items()} for fold in folds]

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return every fold; see `ser.protocols.split.Protocol`."""
        if others := sorted(set(manifest["corpus"]) - {self.corpus}):
            raise SplitError(
                f"protocol={self.name} lists speakers of {self.corpus} alone, but the data has {', '.join(others)} too. "
                "Use protocol=speaker_cv for several corpora."
            )
        named = set().union(*(speakers for fold in self.folds for speakers in fold.values()))
        if missing := sorted(named - set(manifest["speaker"])):
            raise SplitError(
                f"protocol={self.name} names speakers that the corpus on disk does not have: {', '.join(missing[:10])}. "
                "The published folds need the whole corpus; protocol=speaker_cv works on a part of it."
            )
        return [
            from_speakers(manifest, i, dev=fold["dev"], test=fold["test"], train=fold.get("train"))
            for i, fold in enumerate(self.folds)
        ]
