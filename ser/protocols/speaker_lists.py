"""Published folds: the test, dev and training speakers are listed in the protocol's YAML, with their source."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from ser.errors import SplitError
from ser.protocols.split import Split, from_speakers
from ser.runtime.words import and_more

Folds = Sequence[Mapping[str, Sequence[str]]]
"""One mapping per fold, from ``test``, ``dev`` and optionally ``train`` to speakers without their corpus's name."""


class SpeakerLists:
    """Folds given as lists of speakers.

    Args:
        name: Name of the protocol in reports.
        corpus: The corpus whose speakers are listed, without its name: ``"01"`` is ``ravdess/01``.
        source: The publication of the folds.
        folds: One mapping per fold, with ``test``, ``dev`` and optionally ``train``, by default all other speakers.
    """

    def __init__(self, name: str, corpus: str, source: str, folds: Folds) -> None:
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


class ListsByCorpus:
    """Folds given as lists of speakers for several corpora, one of which is the data.

    Args:
        name: Name of the protocol in reports.
        source: The publication of the folds.
        corpora: Maps a corpus to its folds, as `SpeakerLists` takes them.
    """

    def __init__(self, name: str, source: str, corpora: Mapping[str, Folds]) -> None:
        self.name = name
        self.lists = {corpus: SpeakerLists(name, corpus, source, folds) for corpus, folds in corpora.items()}

    def splits(self, manifest: pd.DataFrame) -> list[Split]:
        """Return the listed folds of the corpus."""
        return self.lists[listed_corpus(manifest, self.lists, self.name)].splits(manifest)


def listed_corpus(manifest: pd.DataFrame, listed: Iterable[str], name: str) -> str:
    """Return the corpus of a manifest after checking that it is alone, and one of those that a protocol lists.

    Raises:
        SplitError: If it is not.
    """
    corpora, known = sorted(manifest["corpus"].unique()), sorted(listed)
    if len(corpora) != 1 or corpora[0] not in known:
        raise SplitError(
            f"data must be one of {', '.join(known)} for protocol={name}; got {', '.join(corpora) or 'none'}. Use "
            "protocol=speaker_cv."
        )
    return str(corpora[0])
