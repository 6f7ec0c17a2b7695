"""The leak audit: what a split's sides share, measured before every training and written beside every result.

Each finding has a level. An *error* refuses to train (unless ``audit=warn``, which makes it a stamp): somebody or something
is on two sides, and the protocol does not admit it. A *stamp* is admitted, and every result carries its words. A *note* is
for the reader: in an acted corpus all speakers say the same sentences, so that hearing a test sentence in training is usual.

Why it matters: Kapoor and Narayanan, 2023, Leakage and the reproducibility crisis in machine-learning-based science,
https://doi.org/10.1016/j.patter.2023.100804. Near-identical audio is found by `ser.audio.duplicates`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import pandas as pd

from ser.errors import ConfigError, SplitError
from ser.protocols.split import SIDES, Split
from ser.protocols.stamps import (
    DEV_SHARES_SPEAKERS,
    NEVER_TRAINED,
    NOT_TESTED,
    SPEAKER_DEPENDENT,
    TEXT_DEPENDENT,
    combined,
)
from ser.runtime.words import and_more

Level = Literal["error", "stamp", "note"]
Policy = Literal["refuse", "warn"]
NAMED = 10
"""Speakers, sentences or clips that a sentence names; `Finding.clips` has them all."""


@dataclass(frozen=True)
class Finding:
    """Something that a reader of a result must, or may want to, know of its split.

    Attributes:
        level: See the module.
        kind: In a word or two: ``speakers``, ``sentences``, ``identical audio``, ...
        text: The whole finding, as a sentence.
        stamp: What a result carries on account of it; empty for a note.
        clips: Every utterance concerned, by id; for audio, pairs as ``one = other``.
    """

    level: Level
    kind: str
    text: str
    stamp: str = ""
    clips: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Return the finding as plain JSON."""
        return asdict(self) | {"clips": list(self.clips)}


def audit(
    split: Split, manifest: pd.DataFrame, classes: pd.Series, duplicates: pd.DataFrame | None = None
) -> list[Finding]:
    """Return everything found in one fold, errors first.

    Args:
        split: The fold.
        manifest: What its rows point into.
        classes: The class of each row of the manifest.
        duplicates: Pairs of one recording, as `ser.audio.duplicates.find_duplicates` returns them.

    Example:
        >>> from ser.corpora.demo import Demo
        >>> from ser.corpora.manifest import to_table
        >>> from ser.protocols.random_split import RandomUtterances
        >>> manifest = to_table(Demo().utterances())
        >>> split = RandomUtterances().splits(manifest)[0]
        >>> found = audit(split, manifest, manifest["emotion"])
        >>> found[0].level, found[0].kind
        ('stamp', 'speakers')
        >>> stamps(split, found)
        ('not speaker-independent (100 % of test clips by training speakers, 100 % with a sentence of training)',)
    """
    findings = list(_empty(split))
    if not findings:
        findings += _twice(split, manifest)
        findings += _speakers(split, manifest)
        findings += _sentences(split, manifest)
        findings += _audio(split, manifest, duplicates)
        findings += _classes(split, classes)
        findings += _sexes(split, manifest)
    order = ("error", "stamp", "note")
    return sorted(findings, key=lambda finding: order.index(finding.level))


def enforce(findings: Sequence[Finding], fold: int, policy: Policy = "refuse") -> None:
    """Refuse a fold with an error, unless it is to be a stamp; an empty side or an utterance twice is always refused.

    Raises:
        SplitError: With every error in it.
        ConfigError: If there is no such policy.
    """
    if policy not in ("refuse", "warn"):
        raise ConfigError(f"audit must be refuse or warn; got {policy!r}.")
    errors = [f for f in findings if f.level == "error"]
    if errors and policy == "refuse":
        raise SplitError(f"Fold {fold}: " + "\n".join(f.text for f in errors))
    if broken := [f.text for f in errors if f.kind in ("empty side", "utterances")]:
        raise SplitError(f"Fold {fold}: " + "\n".join(broken))


def stamps(split: Split, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the stamps that the findings and the protocol give to every result under this split."""
    return combined([*(f.stamp for f in findings if f.stamp), *split.stamps])


def check_fitted(split: Split, rows: np.ndarray) -> None:
    """Check that statistics, such as those of normalisation, were fitted on the training side only.

    Args:
        split: The fold.
        rows: ``(clip,)`` rows of the manifest that they were taken from.

    Raises:
        SplitError: If one is of another side.
    """
    outside = np.setdiff1d(rows, split.train)
    if len(outside):
        raise SplitError(
            f"Fold {split.fold}: statistics were fitted on {len(outside)} clips outside the training side, row "
            f"{outside[0]} for one. Take them from the training side alone."
        )


def admits(split: Split, one: str, other: str) -> bool:
    """Return whether the protocol admits that these two sides share speakers."""
    return SPEAKER_DEPENDENT in split.stamps or (
        {one, other} == {"train", "dev"} and DEV_SHARES_SPEAKERS in split.stamps
    )


def _empty(split: Split) -> Iterator[Finding]:
    for side, rows in split.sides().items():
        if not len(rows):
            yield Finding(
                "error",
                "empty side",
                f"Fold {split.fold} has no {side} utterances. The protocol asks for more speakers than the corpus has, "
                "or the labels dropped them all; see `python -m ser.prepare` for what is there.",
            )


def _twice(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    """An utterance on two sides, which nothing admits."""
    ids = {side: set(manifest["id"].iloc[rows]) for side, rows in split.sides().items()}
    for one, other in combinations(SIDES, 2):
        if both := tuple(sorted(ids[one] & ids[other])):
            text = f"{len(both)} utterances are in {one} and {other}, {both[0]} for one."
            yield Finding("error", "utterances", text, clips=both)


def _speakers(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    speaker = {side: manifest["speaker"].iloc[rows] for side, rows in split.sides().items()}
    for one, other in combinations(SIDES, 2):
        both = sorted(set(speaker[one]) & set(speaker[other]))
        if not both:
            continue
        rows = split.sides()[other][speaker[other].isin(both).to_numpy()]
        clips = tuple(manifest["id"].iloc[rows])
        share = _percent(len(clips), len(speaker[other]))
        text = (
            f"speakers are in {one} and in {other}: {and_more(both, NAMED)}; {share} of the {other} clips are theirs."
        )
        if not admits(split, one, other):
            why = (
                " Such a result says nothing about new speakers. protocol=random shares speakers on purpose and stamps "
                "its results."
            )
            words = f"{SPEAKER_DEPENDENT} (undeclared: {one} and {other} share speakers)"
            yield Finding("error", "speakers", text + why, words, clips)
        elif (one, other) == ("train", "test"):
            heard = manifest["sentence"].iloc[split.test].isin(manifest["sentence"].iloc[split.train]).sum()
            sentences = f"{_percent(heard, len(split.test))} with a sentence of training"
            words = f"{SPEAKER_DEPENDENT} ({share} of test clips by training speakers, {sentences})"
            yield Finding("stamp", "speakers", text, words, clips)
        else:
            words = DEV_SHARES_SPEAKERS if SPEAKER_DEPENDENT not in split.stamps else SPEAKER_DEPENDENT
            yield Finding("stamp", "speakers", text, words, clips)


def _sentences(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    sentence = {side: manifest["sentence"].iloc[rows] for side, rows in split.sides().items()}
    for side in ("train", "dev"):
        both = sorted(set(sentence[side]) & set(sentence["test"]))
        if not both:
            continue
        rows = split.test[sentence["test"].isin(both).to_numpy()]
        clips = tuple(manifest["id"].iloc[rows])
        share = _percent(len(clips), len(split.test))
        text = f"{share} of the test clips say a sentence that is in {side} too: {and_more(both, NAMED)}."
        if split.text_independent:
            words = f"{TEXT_DEPENDENT} (undeclared: {side} and test share sentences)"
            yield Finding("error", "sentences", text + " The protocol promises that none does.", words, clips)
        elif side == "train":
            yield Finding("note", "sentences", text, clips=clips)


def _audio(split: Split, manifest: pd.DataFrame, duplicates: pd.DataFrame | None) -> Iterator[Finding]:
    """Recordings that are one and the same under two ids, on two sides."""
    if duplicates is None or duplicates.empty:
        return
    side_of = {i: side for side, rows in split.sides().items() for i in manifest["id"].iloc[rows]}
    table = duplicates.assign(
        one_side=duplicates["one"].map(side_of), other_side=duplicates["other"].map(side_of)
    ).dropna()
    apart = table[table["one_side"] != table["other_side"]]
    if apart.empty:
        return
    sides = [
        "-".join(sorted(pair, key=SIDES.index)) for pair in zip(apart["one_side"], apart["other_side"], strict=True)
    ]
    apart = apart.assign(sides=sides, pair=apart["one"] + " = " + apart["other"])
    for (kind, between), group in apart.groupby(["kind", "sides"]):
        one, other = str(between).split("-")
        pairs = tuple(sorted(group["pair"]))
        text = f"{len(pairs)} pairs of {kind} recordings stand in {one} and {other}: {and_more(pairs, NAMED)}."
        words = f"{kind} audio in {one} and {other} ({len(pairs)} pairs)"
        level: Level = "stamp" if admits(split, one, other) else "error"
        yield Finding(level, f"{kind} audio", text, words, pairs)


def _classes(split: Split, classes: pd.Series) -> Iterator[Finding]:
    every = set(classes)
    for side, rows in split.sides().items():
        absent = sorted(every - set(classes.iloc[rows]))
        if not absent:
            continue
        text = f"no {side} utterance of the class {', '.join(absent)}."
        if side == "train":
            yield Finding("error", "classes", text + " No model can learn it.", f"{NEVER_TRAINED}: {', '.join(absent)}")
        elif side == "test":
            yield Finding("stamp", "classes", text + " UAR is over the others.", f"{NOT_TESTED}: {', '.join(absent)}")
        else:
            yield Finding("note", "classes", text + " The dev UAR is over the others.")


def _sexes(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    for side, rows in split.sides().items():
        sexes = manifest["sex"].iloc[rows].unique()
        if len(sexes) == 1:
            yield Finding("note", "sex", f"all {side} speakers are {sexes[0]}.")


def _percent(part: int, whole: int) -> str:
    """Never rounded to 0 or 100 unless it is."""
    share = 100 * part / whole
    return f"{share:.0f} %" if share in (0, 100) or 0.5 <= share < 99.5 else f"{share:.2f} %"
