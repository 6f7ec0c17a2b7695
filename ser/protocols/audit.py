"""The leak audit: what the sides of a split share, measured before every training and written beside every result.

Each finding has a level. An *error* prevents training (``audit=warn`` turns it into a stamp): two sides share something
that the protocol does not allow. A *stamp* is allowed, and every result carries its text. A *note* is for information: in
an acted corpus all speakers say the same sentences, so test sentences usually occur in training.

Background: Kapoor and Narayanan, 2023, Leakage and the reproducibility crisis in machine-learning-based science,
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
    FINAL,
    NEVER_TRAINED,
    NOT_TESTED,
    SPEAKER_DEPENDENT,
    TEXT_DEPENDENT,
    combined,
)
from ser.protocols.unknown_speakers import is_unknown, stamp_of
from ser.protocols.without_listening import STAMPED, Baseline
from ser.runtime.words import and_more, counted

Level = Literal["error", "stamp", "note"]
Policy = Literal["refuse", "warn"]
NAMED = 10
"""Maximum number of speakers, sentences or clips that a text lists; `Finding.clips` has them all."""


@dataclass(frozen=True)
class Finding:
    """One finding of the audit about a split.

    Attributes:
        level: ``error``, ``stamp`` or ``note``, as the module explains.
        kind: Short name: ``speakers``, ``sentences``, ``identical audio``, ...
        text: The finding as a sentence.
        stamp: The stamp that results carry because of it; empty for a note.
        clips: Ids of all utterances concerned; for audio, pairs as ``one = other``.
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
    split: Split,
    manifest: pd.DataFrame,
    classes: pd.Series | None,
    duplicates: pd.DataFrame | None = None,
    baselines: Sequence[Baseline] = (),
) -> list[Finding]:
    """Return the findings of one fold, errors first.

    Args:
        split: The fold.
        manifest: See `ser.corpora.manifest`.
        classes: The class of each of its rows; ``None`` where targets are numbers, so that no class can be missing.
        duplicates: Its duplicates; see `ser.audio.duplicates`.
        baselines: What guesses without listening reach under the protocol.

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
        findings += _unknown(split, manifest)
        findings += _speakers(split, manifest)
        findings += _sentences(split, manifest)
        findings += _audio(split, manifest, duplicates)
        findings += [] if classes is None else _classes(split, classes)
        findings += _sexes(split, manifest)
        findings += _given_away(split, baselines)
    order = ("error", "stamp", "note")
    return sorted(findings, key=lambda finding: order.index(finding.level))


def enforce(findings: Sequence[Finding], fold: int, policy: Policy = "refuse") -> None:
    """Raise the errors of a fold; under ``warn`` only empty sides and utterances on two sides are raised.

    Raises:
        SplitError: If the fold has an error; the message lists all of them.
        ConfigError: If the policy is unknown.
    """
    if policy not in ("refuse", "warn"):
        raise ConfigError(f"audit must be refuse or warn; got {policy!r}.")
    errors = [f for f in findings if f.level == "error"]
    if errors and policy == "refuse":
        raise SplitError(f"Fold {fold}: " + "\n".join(f.text for f in errors))
    if broken := [f.text for f in errors if f.kind in ("empty side", "utterances")]:
        raise SplitError(f"Fold {fold}: " + "\n".join(broken))


def stamps(split: Split, findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the stamps of every result under this split, from its findings and its protocol."""
    return combined([*(f.stamp for f in findings if f.stamp), *split.stamps])


def check_fitted(split: Split, rows: np.ndarray) -> None:
    """Check that statistics, such as those of normalisation, were computed from rows of the training side only.

    Raises:
        SplitError: If a row is on another side.
    """
    outside = np.setdiff1d(rows, split.train)
    if len(outside):
        raise SplitError(
            f"Fold {split.fold}: statistics must be fitted on the training side; got "
            f"{counted(len(outside), 'clip')} outside it, for example row {outside[0]}."
        )


def admits(split: Split, one: str, other: str) -> bool:
    """Whether the protocol allows these two sides to share speakers."""
    return SPEAKER_DEPENDENT in split.stamps or (
        {one, other} == {"train", "dev"} and DEV_SHARES_SPEAKERS in split.stamps
    )


def _empty(split: Split) -> Iterator[Finding]:
    for side, rows in split.sides().items():
        if not len(rows) and not (side == "test" and FINAL in split.stamps):
            yield Finding(
                "error",
                "empty side",
                f"Fold {split.fold} has no {side} utterances. The protocol needs more speakers than the corpus has, or "
                "the labels dropped all of its clips; `python -m ser.prepare` lists what the corpus contains.",
            )


def _twice(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    """Find utterances on two sides, which no protocol allows."""
    codes, ids = pd.factorize(manifest["id"])
    of = {side: codes[rows] for side, rows in split.sides().items()}
    for one, other in combinations(SIDES, 2):
        if both := tuple(sorted(ids[np.intersect1d(of[one], of[other])])):
            text = f"{one} and {other} share {counted(len(both), 'utterance')}, for example {both[0]}."
            yield Finding("error", "utterances", text, clips=both)


def _unknown(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    """State what cannot be checked, because the corpora do not say it."""
    rows = np.concatenate(list(split.sides().values()))
    used = manifest.iloc[np.unique(rows)]

    def of(unknown: pd.Series) -> str:
        return f"of {int(unknown.sum())} of {len(used)} clips is unknown"

    if (speakers := is_unknown(used)).any():
        text = f"the speaker {of(speakers)}: whether sides share speakers could not be checked for them."
        yield Finding("stamp", "unknown speakers", text, stamp_of(manifest) or "", tuple(used["id"][speakers]))
    if (sentences := used["sentence"].isna()).any():
        text = f"the sentence {of(sentences)}: whether test sentences occur in training could not be checked for them."
        level: Level = "error" if split.text_independent else "note"
        yield Finding(level, "unknown sentences", text, f"{TEXT_DEPENDENT} (unknown sentences)" * (level == "error"))
    if (sexes := used["sex"].isna()).any():
        text = (
            f"the sex {of(sexes)}: whether sides differ in it could not be checked, and results by sex leave them out."
        )
        yield Finding("note", "unknown sex", text)


def _speakers(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    speaker = {side: manifest["speaker"].iloc[rows].dropna() for side, rows in split.sides().items()}
    for one, other in combinations(SIDES, 2):
        both = sorted(set(speaker[one].unique()) & set(speaker[other].unique()))
        if not both:
            continue
        rows = split.sides()[other]
        clips = tuple(manifest["id"].iloc[rows[manifest["speaker"].iloc[rows].isin(both).to_numpy()]])
        share = _percent(len(clips), len(rows))
        text = f"{one} and {other} share speakers: {and_more(both, NAMED)}; {share} of the {other} clips are by them."
        if not admits(split, one, other):
            why = (
                " Such a result says nothing about new speakers. To share speakers on purpose, use protocol=random, "
                "which stamps its results."
            )
            words = f"{SPEAKER_DEPENDENT} (undeclared: {one} and {other} share speakers)"
            yield Finding("error", "speakers", text + why, words, clips)
        elif (one, other) == ("train", "test"):
            tested = manifest["sentence"].iloc[split.test]
            trained_too = tested.isin(manifest["sentence"].iloc[split.train].dropna().unique()).sum()
            sentences = f"{_percent(trained_too, len(split.test))} with a sentence of training"
            sentences = "sentences unknown" if tested.isna().all() else sentences
            words = f"{SPEAKER_DEPENDENT} ({share} of test clips by training speakers, {sentences})"
            yield Finding("stamp", "speakers", text, words, clips)
        else:
            words = DEV_SHARES_SPEAKERS if SPEAKER_DEPENDENT not in split.stamps else SPEAKER_DEPENDENT
            yield Finding("stamp", "speakers", text, words, clips)


def _sentences(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    sentence = {side: manifest["sentence"].iloc[rows] for side, rows in split.sides().items()}
    for side in ("train", "dev"):
        both = sorted(set(sentence[side].dropna().unique()) & set(sentence["test"].dropna().unique()))
        if not both:
            continue
        rows = split.test[sentence["test"].isin(both).to_numpy()]
        clips = tuple(manifest["id"].iloc[rows])
        share = _percent(len(clips), len(split.test))
        text = f"{share} of the test clips have a sentence that is also in {side}: {and_more(both, NAMED)}."
        if split.text_independent:
            words = f"{TEXT_DEPENDENT} (undeclared: {side} and test share sentences)"
            yield Finding("error", "sentences", text + " The protocol guarantees that none has.", words, clips)
        elif side == "train":
            yield Finding("note", "sentences", text, clips=clips)


def _audio(split: Split, manifest: pd.DataFrame, duplicates: pd.DataFrame | None) -> Iterator[Finding]:
    """Find recordings that are in a fold under two ids: on two sides, or twice on one."""
    if duplicates is None or duplicates.empty:
        return
    side_of = {i: side for side, rows in split.sides().items() for i in manifest["id"].iloc[rows]}
    table = duplicates.assign(
        one_side=duplicates["one"].map(side_of), other_side=duplicates["other"].map(side_of)
    ).dropna()
    within = table["one_side"] == table["other_side"]
    for side, group in table[within & (table["kind"] == "identical")].groupby("one_side"):
        pairs = tuple(sorted(group["one"] + " = " + group["other"]))
        text = f"{side} has {counted(len(pairs), 'pair')} of identical recordings, each heard twice: "
        text += f"{and_more(pairs, NAMED)}."
        yield Finding("note", "identical audio", text, clips=pairs)
    apart = table[~within]
    if apart.empty:
        return
    sides = [
        "-".join(sorted(pair, key=SIDES.index)) for pair in zip(apart["one_side"], apart["other_side"], strict=True)
    ]
    apart = apart.assign(sides=sides, pair=apart["one"] + " = " + apart["other"])
    for (kind, between), group in apart.groupby(["kind", "sides"]):
        one, other = str(between).split("-")
        pairs = tuple(sorted(group["pair"]))
        text = f"{one} and {other} share {counted(len(pairs), 'pair')} of {kind} recordings: {and_more(pairs, NAMED)}."
        words = f"{kind} audio in {one} and {other} ({counted(len(pairs), 'pair')})"
        level: Level = "stamp" if admits(split, one, other) else "error"
        yield Finding(level, f"{kind} audio", text, words, pairs)


def _classes(split: Split, classes: pd.Series) -> Iterator[Finding]:
    every = set(classes.unique())
    for side, rows in split.sides().items():
        if not len(rows):
            continue
        absent = sorted(every - set(classes.iloc[rows].unique()))
        if not absent:
            continue
        text = f"{side} has no utterance of the class {', '.join(absent)}."
        if side == "train":
            yield Finding("error", "classes", text + " No model can learn it.", f"{NEVER_TRAINED}: {', '.join(absent)}")
        elif side == "test":
            text += " UAR is the mean over the others."
            yield Finding("stamp", "classes", text, f"{NOT_TESTED}: {', '.join(absent)}")
        else:
            yield Finding("note", "classes", text + " The dev UAR is the mean over the others.")


def _sexes(split: Split, manifest: pd.DataFrame) -> Iterator[Finding]:
    for side, rows in split.sides().items():
        sexes = manifest["sex"].iloc[rows].unique()
        if len(sexes) == 1 and isinstance(sexes[0], str):
            yield Finding("note", "sex", f"all {side} speakers are {sexes[0]}.")


def _given_away(split: Split, baselines: Sequence[Baseline]) -> Iterator[Finding]:
    for one in baselines:
        if one.gives_away and len(split.test):
            text = (
                f"{STAMPED[one.name]}: guessed from it alone, without audio, UAR over all folds is "
                f"{100 * one.uar:.1f} % (chance {100 * one.chance:.1f} %)."
            )
            yield Finding("stamp", "given away", text, one.stamp)


def _percent(part: int, whole: int) -> str:
    """Write a share in percent, as 0 or 100 only if it is exactly that."""
    share = 100 * part / whole
    return f"{share:.0f} %" if share in (0, 100) or 0.5 <= share < 99.5 else f"{share:.2f} %"
