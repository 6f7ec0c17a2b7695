"""The emotions, and the declared mappings from a corpus's emotions to the classes a model learns.

A mapping is data: ``{"calm": "neutral"}`` merges, ``{"surprise": None}`` drops, and what a scheme merged or dropped is
printed in every report (`LabelScheme.describe`), never hidden in a loader.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ser.errors import LabelError

EMOTIONS = ("angry", "calm", "disgust", "fear", "happy", "neutral", "sad", "surprise")
"""The one vocabulary. Every corpus maps its own codes to these names."""

Target = Literal["intended", "plurality", "distribution"]
Ties = Literal["drop", "keep"]

_NO_CLASS = "heard as "
"""Before an emotion that the scheme drops, among the votes: a clip that most heard so is dropped too."""


@dataclass(frozen=True)
class Labelled:
    """A manifest with its targets.

    Attributes:
        manifest: The utterances that have a class under the scheme, in the order they came; a fresh 0..n-1 index.
        classes: Class names; a target of 2 means ``classes[2]``.
        target: ``(utterance,)`` integers: the class that is scored.
        soft: ``(utterance, class)`` rows that sum to 1 where the target is a vote distribution, else ``None``.
        votes: ``(utterance, class)`` shares of the listeners' votes whatever the target is, NaN for a clip that nobody
            heard as any of the classes; ``None`` where a corpus has no votes.
        dropped: How many utterances were left out, by reason.
    """

    manifest: pd.DataFrame
    classes: tuple[str, ...]
    target: np.ndarray
    soft: np.ndarray | None
    votes: np.ndarray | None
    dropped: dict[str, int]


@dataclass(frozen=True)
class LabelScheme:
    """How emotions become classes.

    Args:
        name: What reports call it.
        classes: The classes in the order of the logits. ``None`` takes every class that occurs, sorted.
        merge: Emotion to class; an emotion that is not named keeps its own name, and ``None`` drops it.
        target: ``intended`` is the emotion that the actor was asked for; ``plurality`` what most listeners heard (voice
            only); ``distribution`` the listeners' votes for the classes as a soft target. The last two need a corpus with
            votes, CREMA-D, and drop a clip that most heard as an emotion that has no class.
        ties: What becomes of a clip on whose plurality the listeners tie: ``drop`` leaves it out; ``keep`` takes the
            intended emotion where it is among the tied, else the first of them in the alphabet.

    Raises:
        LabelError: If ``merge`` names an emotion that does not exist or a class outside ``classes``, or a choice is unknown.

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
        object.__setattr__(self, "merge", dict(self.merge or {}))
        if unknown := sorted(set(self._merge) - set(EMOTIONS)):
            raise LabelError(f"labels={self.name}: merge names {unknown}, but the emotions are {', '.join(EMOTIONS)}.")
        for argument, allowed in (("target", ("intended", "plurality", "distribution")), ("ties", ("drop", "keep"))):
            if getattr(self, argument) not in allowed:
                raise LabelError(f"labels.{argument} must be {' or '.join(allowed)}; got {getattr(self, argument)!r}.")
        stray = sorted({c for c in self._merge.values() if c is not None} - set(self.classes or EMOTIONS))
        if stray:
            raise LabelError(f"labels={self.name}: merge maps to {stray}, which is not among the classes.")
        if self.classes is not None:  # a class whose every emotion was merged away is none
            reached = {self._merge.get(emotion, emotion) for emotion in EMOTIONS}
            object.__setattr__(self, "classes", tuple(c for c in self.classes if c in reached))

    @property
    def _merge(self) -> Mapping[str, str | None]:
        return self.merge or {}

    def class_of(self, emotion: str) -> str | None:
        """The class of an emotion, or ``None`` where the scheme drops it.

        Raises:
            LabelError: If ``emotion`` is not one of `EMOTIONS`.
        """
        if emotion not in EMOTIONS:
            raise LabelError(f"{emotion!r} is not an emotion of the vocabulary: {', '.join(EMOTIONS)}.")
        name = self._merge.get(emotion, emotion)
        return name if name is not None and (self.classes is None or name in self.classes) else None

    def describe(self, emotions: Iterable[str] = EMOTIONS) -> str:
        """One line on what the scheme does to the emotions that occur, for reports."""
        present = sorted(set(emotions))
        merged = [f"{e} into {c}" for e in present if (c := self.class_of(e)) not in (None, e)]
        dropped = [e for e in present if self.class_of(e) is None]
        parts = [self.name, f"target: {self.target}"]
        if self.target != "intended":
            parts.append("ties dropped" if self.ties == "drop" else "ties kept")
        parts += [f"merged: {', '.join(merged)}"] * bool(merged) + [f"dropped: {', '.join(dropped)}"] * bool(dropped)
        return "; ".join(parts)

    def apply(self, manifest: pd.DataFrame) -> Labelled:
        """Give each utterance its class; leave out those that have none, and count them.

        Args:
            manifest: See `ser.corpora.manifest`; ``distribution`` and ``plurality`` need its ``votes_*`` columns.

        Raises:
            LabelError: If votes are asked for and a corpus has none, or nothing is left.
        """
        if self.target == "intended":
            names, reasons = manifest["emotion"].map(self.class_of), manifest["emotion"]
            classes = self.classes or tuple(sorted(names.dropna().unique()))
        else:
            votes = self._votes(manifest)
            classes = self.classes or tuple(c for c in map(str, votes.columns) if not c.startswith(_NO_CLASS))
            names, reasons = _plurality(votes, manifest["emotion"].map(self._heard), self.ties)
            names = names.where(names.isin(classes))
        kept = names.notna().to_numpy()
        if not kept.any():
            raise LabelError(f"labels={self.name} leaves no utterance: none of the corpora has a class of {classes}.")
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

    def _heard(self, emotion: str) -> str:
        """The class of an emotion; where it has none, a name that is no class, so that its votes still count."""
        return self.class_of(emotion) or f"{_NO_CLASS}{emotion}"

    @staticmethod
    def _unvoted(manifest: pd.DataFrame) -> list[str]:
        """The corpora that have no votes at all."""
        voted = manifest[_vote_columns(manifest)].notna().any(axis=1)
        return sorted(set(manifest["corpus"]) - set(manifest.loc[voted, "corpus"]))

    def _votes(self, manifest: pd.DataFrame) -> pd.DataFrame:
        """Votes summed by what `_heard` says, ``(utterance, name)``, in the alphabet of the emotions.

        Raises:
            LabelError: If a corpus has no votes.
        """
        if lacking := self._unvoted(manifest):
            raise LabelError(
                f"labels.target={self.target} needs listeners' votes, and {', '.join(lacking)} has none here. "
                "Use labels.target=intended; for CREMA-D, put the released processedResults folder beside the audio."
            )
        columns = _vote_columns(manifest)
        names = pd.Series([self._heard(c.removeprefix("votes_")) for c in columns], index=columns)
        votes = manifest[columns].fillna(0.0).T.groupby(names).sum().T
        order: list[str] = sorted(map(str, votes.columns), key=lambda name: name.removeprefix(_NO_CLASS))
        return votes[order]


def _vote_columns(manifest: pd.DataFrame) -> list[str]:
    return [c for c in map(str, manifest.columns) if c.startswith("votes_")]


def _shares(votes: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    """Votes to shares among the classes, ``(utterance, class)``; NaN where none of them has a vote."""
    counts = votes.reindex(columns=list(classes), fill_value=0.0).to_numpy()
    totals = counts.sum(axis=1, keepdims=True)
    shares: np.ndarray = counts / np.where(totals > 0, totals, np.nan)
    return shares


def _plurality(votes: pd.DataFrame, intended: pd.Series, ties: Ties) -> tuple[pd.Series, pd.Series]:
    """What most listeners heard per row, ``None`` where nothing counts; and the reason to give if the row is dropped."""
    most = votes.max(axis=1)
    winners = votes.eq(most, axis=0)
    tied = (winners.sum(axis=1) > 1) & (most > 0)
    own = sum((winners[c] & (intended == c) for c in winners), start=pd.Series(False, index=votes.index))
    names = winners.idxmax(axis=1).astype(object).where(~(tied & own), intended).mask(most <= 0)
    reasons = names.fillna("no votes")
    return (names.mask(tied), reasons.mask(tied, "tied votes")) if ties == "drop" else (names, reasons)
