"""The common emotions, and the declared mappings from a corpus's emotions to the classes a model learns.

A mapping is data: ``{"calm": "neutral"}`` merges, ``{"surprise": None}`` drops, and every report prints what a scheme
merged or dropped (`LabelScheme.describe`); no loader hides it.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

import numpy as np
import pandas as pd
from typing_extensions import override

from ser.errors import LabelError
from ser.runtime.keys import key_text
from ser.runtime.words import counted

log = logging.getLogger(__name__)

EMOTIONS = ("angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The common vocabulary, which schemes such as ``six`` map from. A corpus may have other words, such as ``bored``."""

Target = Literal["intended", "plurality", "distribution"]
Ties = Literal["drop", "keep"]

MISSPELT = 0.8
"""Similarity of two words, from 0 to 1, above which one is taken for a misspelling of the other."""
_NO_CLASS = "heard as "
"""Prefix of an emotion that the scheme drops, among the votes: clips with that plurality are dropped too."""


@dataclass(frozen=True)
class Labelled:
    """A manifest with its targets.

    Attributes:
        manifest: The utterances that have a class under the scheme, in their original order, indexed 0..n-1.
        classes: Class names; a target of 2 means ``classes[2]``. Where targets are numbers, the names of these.
        target: ``(utterance,)`` integers: the class that is scored; or ``(utterance, dimension)`` float64 numbers.
        soft: ``(utterance, class)`` rows that sum to 1 if the target is a vote distribution, else ``None``.
        votes: ``(utterance, class)`` shares of the listeners' votes, whatever the target is; NaN for a clip without a
            vote for any class; ``None`` if a corpus has no votes.
        dropped: Number of dropped utterances by reason.
    """

    manifest: pd.DataFrame
    classes: tuple[str, ...]
    target: np.ndarray
    soft: np.ndarray | None
    votes: np.ndarray | None
    dropped: dict[str, int]

    @property
    def class_names(self) -> "pd.Series[str] | None":
        """The class of each row of the manifest; ``None`` where targets are numbers."""
        return None if self.numeric else pd.Series(np.array(self.classes)[self.target])

    @property
    def numeric(self) -> bool:
        """Whether the targets are numbers."""
        return self.target.ndim == 2

    def columns(self) -> pd.DataFrame:
        """Return the targets as a table of predictions has them: ``target``, or ``target_<name>`` for each number."""
        if (classes := self.class_names) is None:
            return pd.DataFrame(self.target, columns=[f"target_{name}" for name in self.classes])
        return classes.to_frame("target")


class Labels(ABC):
    """What a model is trained to give for an utterance; a file of ``conf/labels`` names a subclass.

    Attributes:
        name: Its name in reports.
    """

    name: str

    @abstractmethod
    def describe(self, emotions: Iterable[str] = EMOTIONS) -> str:
        """Return one line for reports, given the emotions that are present."""

    @abstractmethod
    def apply(self, manifest: pd.DataFrame) -> Labelled:
        """Assign a target to each utterance.

        Raises:
            LabelError: If the scheme does not fit the manifest.
        """


@dataclass(frozen=True)
class LabelScheme(Labels):
    """A mapping from emotions to classes.

    Args:
        name: Its name in reports.
        classes: The classes in the order of the logits. ``None`` uses every class that occurs, sorted.
        merge: Maps emotions to classes; an emotion that is not listed keeps its own name, and ``None`` drops it. With
            ``classes``, an emotion outside `EMOTIONS` must be listed or be a class itself.
        target: ``intended`` is the emotion that the actor was asked for; ``plurality`` the one that most listeners chose
            (voice only); ``distribution`` the listeners' votes for the classes as a soft target. The last two need a corpus
            with votes, CREMA-D, and drop clips whose plurality is an emotion without a class.
        ties: Handling of clips with a tied plurality: ``drop`` leaves them out; ``keep`` uses the intended emotion if it is
            among the tied, else the alphabetically first of them.

    Raises:
        LabelError: If ``merge`` names a class outside ``classes``, or a choice is unknown.

    Example:
        >>> LabelScheme("four", ("angry", "happy", "neutral", "sad"), {"calm": None}).class_of("calm") is None
        True
    """

    name: str
    classes: tuple[str, ...] | None = None
    merge: Mapping[str, str | None] | None = None
    target: Target = "intended"
    ties: Ties = "drop"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", None if self.classes is None else tuple(self.classes))
        object.__setattr__(self, "merge", {key_text(str(e)): c for e, c in (self.merge or {}).items()})
        for argument, allowed in (("target", ("intended", "plurality", "distribution")), ("ties", ("drop", "keep"))):
            if getattr(self, argument) not in allowed:
                raise LabelError(f"labels.{argument} must be {' or '.join(allowed)}; got {getattr(self, argument)!r}.")
        stray = sorted({str(c) for c in self._merge.values() if c is not None} - set(self.classes or EMOTIONS))
        if stray and self.classes is not None:
            raise LabelError(
                f"labels.merge must map to classes among {', '.join(self.classes)}; got {', '.join(stray)}."
            )
        if near := [(c, e) for c in stray for e in get_close_matches(c, EMOTIONS, 1, MISSPELT)]:
            raise LabelError(f"labels.merge must map to classes; got {near[0][0]}. Did you mean {near[0][1]}?")
        if self.classes is not None:  # a class disappears if all of its emotions were merged into others
            reached = {self._merge.get(emotion, emotion) for emotion in (*EMOTIONS, *self._merge, *self.classes)}
            object.__setattr__(self, "classes", tuple(c for c in self.classes if c in reached))

    @property
    def _merge(self) -> Mapping[str, str | None]:
        return self.merge or {}

    def class_of(self, emotion: str) -> str | None:
        """Return the class of an emotion; ``None`` if the scheme drops it.

        Raises:
            LabelError: If the scheme has classes and does not say which of them it is.
        """
        if self._unmapped(emotion):
            raise self._error_of({emotion: None})
        name = self._merge.get(emotion, emotion)
        return name if name is not None and (self.classes is None or name in self.classes) else None

    @override
    def describe(self, emotions: Iterable[str] = EMOTIONS) -> str:
        """Return one line for reports: the target, and which of the present emotions are merged or dropped."""
        present = sorted(set(emotions))
        merged = [f"{e} into {c}" for e in present if (c := self.class_of(e)) not in (None, e)]
        dropped = [e for e in present if self.class_of(e) is None]
        parts = [self.name, f"target: {self.target}"]
        if self.target != "intended":
            parts.append("ties dropped" if self.ties == "drop" else "ties kept")
        parts += [f"merged: {', '.join(merged)}"] * bool(merged) + [f"dropped: {', '.join(dropped)}"] * bool(dropped)
        return "; ".join(parts)

    @override
    def apply(self, manifest: pd.DataFrame) -> Labelled:
        """Assign a class to each utterance; drop and count those without one.

        Args:
            manifest: See `ser.corpora.manifest`; ``distribution`` and ``plurality`` need its ``votes_*`` columns.

        Raises:
            LabelError: If the target needs votes and a corpus has none, an emotion has neither a class nor an entry in
                ``merge``, or no utterance is left.
        """
        if without := int(manifest["emotion"].isna().sum()):
            raise LabelError(
                f"labels={self.name} needs a label for every clip; got {without} of {len(manifest)} without. Add them, or "
                "set labels=dimensions to predict numbers."
            )
        self._check_emotions(manifest)
        if self.target == "intended":
            names, reasons = manifest["emotion"].map(self.class_of), manifest["emotion"]
            classes = self.classes or tuple(sorted(names.dropna().unique()))
        else:
            votes = self._votes(manifest)
            classes = self.classes or tuple(c for c in map(str, votes.columns) if not c.startswith(_NO_CLASS))
            names, reasons = _plurality(votes, manifest["emotion"].map(self._voted_class), self.ties)
            names = names.where(names.isin(classes))
        kept = names.notna().to_numpy()
        if not kept.any():
            raise LabelError(
                f"labels={self.name} must keep at least one utterance; got no clip of the classes {', '.join(classes)}. "
                "Choose other labels or another corpus."
            )
        if len(classes) < 2:
            raise LabelError(
                f"labels={self.name} must keep at least 2 classes; got {', '.join(classes)} alone. Choose other labels, or "
                "add clips of another class."
            )
        shares = _shares(self._votes(manifest), classes)[kept] if not self._unvoted(manifest) else None
        position = {name: i for i, name in enumerate(classes)}
        return Labelled(
            manifest=manifest[kept].reset_index(drop=True),
            classes=classes,
            target=names[kept].map(position).to_numpy(dtype=np.int64),
            soft=shares if self.target == "distribution" else None,
            votes=shares,
            dropped={str(reason): int(count) for reason, count in reasons[~kept].value_counts().sort_index().items()},
        )

    def _unmapped(self, emotion: str) -> bool:
        return self.classes is not None and emotion not in (*EMOTIONS, *self._merge, *self.classes)

    def _check_emotions(self, manifest: pd.DataFrame) -> None:
        """Raise for emotions of the data that the scheme does not know, and for misspelt emotions of the scheme."""
        counts = {str(emotion): int(count) for emotion, count in manifest["emotion"].value_counts().items()}
        occur: dict[str, int | None] = {c.removeprefix("votes_"): None for c in _vote_columns(manifest)} | counts
        for emotion in sorted(set(self._merge) - {*EMOTIONS, *occur}):
            if near := get_close_matches(emotion, [*occur, *EMOTIONS], 1, MISSPELT):
                raise LabelError(
                    f"labels.merge must name labels that occur: {', '.join(sorted(occur))}; got {emotion}. Did you mean "
                    f"labels.merge.{near[0]}?"
                )
            log.warning("labels.merge.%s changes nothing: no clip has that label.", emotion)
        if unmapped := {e: occur[e] for e in sorted(occur) if self._unmapped(e)}:
            raise self._error_of(unmapped)

    def _error_of(self, unmapped: Mapping[str, int | None]) -> LabelError:
        found = [e if n is None else f"{e} ({counted(n, 'clip')})" for e, n in unmapped.items()]
        settings = " ".join(f"labels.merge.{e}=<class or null>" for e in unmapped)
        return LabelError(
            f"labels={self.name} must have a class for every label, of {', '.join(self.classes or ())}; got "
            f"{', '.join(found)}. Set {settings}, or labels=native, which keeps every label."
        )

    def _voted_class(self, emotion: str) -> str:
        """Return the class of an emotion, or a placeholder if it has none, so that its votes still count."""
        return self.class_of(emotion) or f"{_NO_CLASS}{emotion}"

    @staticmethod
    def _unvoted(manifest: pd.DataFrame) -> list[str]:
        """Return the corpora without any votes."""
        voted = manifest[_vote_columns(manifest)].notna().any(axis=1)
        return sorted(set(manifest["corpus"]) - set(manifest.loc[voted, "corpus"]))

    def _votes(self, manifest: pd.DataFrame) -> pd.DataFrame:
        """Return the votes summed by the names of `_voted_class`, ``(utterance, name)``, by emotion."""
        if without := self._unvoted(manifest):
            raise LabelError(
                f"labels.target={self.target} requires listeners' votes, but {', '.join(without)} has none here. "
                "Use labels.target=intended; for CREMA-D, put the released processedResults folder beside the audio."
            )
        columns = _vote_columns(manifest)
        names = pd.Series([self._voted_class(c.removeprefix("votes_")) for c in columns], index=columns)
        votes = manifest[columns].fillna(0.0).T.groupby(names).sum().T
        order: list[str] = sorted(map(str, votes.columns), key=lambda name: name.removeprefix(_NO_CLASS))
        return votes[order]


def _vote_columns(manifest: pd.DataFrame) -> list[str]:
    return [c for c in map(str, manifest.columns) if c.startswith("votes_")]


def _shares(votes: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    """Convert votes to shares among the classes, ``(utterance, class)``; NaN if no class has a vote."""
    counts = votes.reindex(columns=list(classes), fill_value=0.0).to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    return np.asarray(counts / np.where(totals > 0, totals, np.nan))


def _plurality(votes: pd.DataFrame, intended: pd.Series, ties: Ties) -> tuple[pd.Series, pd.Series]:
    """Return the plurality of each row, ``None`` without votes, and the reason to report if the row is dropped."""
    most = votes.max(axis=1)
    winners = votes.eq(most, axis=0)
    tied = (winners.sum(axis=1) > 1) & (most > 0)
    own = sum((winners[c] & (intended == c) for c in winners), start=pd.Series(False, index=votes.index))
    names = winners.idxmax(axis=1).astype(object).where(~(tied & own), intended).mask(most <= 0)
    reasons = names.fillna("no votes")
    return (names.mask(tied), reasons.mask(tied, "tied votes")) if ties == "drop" else (names, reasons)
