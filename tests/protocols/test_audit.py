from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.labels import LabelScheme
from ser.corpora.manifest import Utterance, to_table
from ser.corpora.ravdess import Ravdess
from ser.corpora.tess import Tess
from ser.errors import ConfigError, SplitError
from ser.protocols.audit import Finding, audit, check_fitted, enforce, stamps
from ser.protocols.plan import plan_folds
from ser.protocols.random_split import RandomUtterances
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.split import Split
from ser.protocols.stamps import DEV_SHARES_SPEAKERS, SPEAKER_DEPENDENT

HEARD = f"{SPEAKER_DEPENDENT} (50 % of test clips by training speakers, 100 % with a sentence of training)"


@pytest.fixture
def manifest() -> pd.DataFrame:
    """Six speakers, a to f, women first; each says sentence 1 angrily and sentence 2 sadly: rows 0 and 1 are a's."""
    return to_table(
        Utterance(f"x/{s}{i}", Path(f"{s}{i}.wav"), "x", f"x/{s}", sex, emotion, f"x/{i}")
        for s, sex in zip("abcdef", ["female"] * 3 + ["male"] * 3, strict=True)
        for i, emotion in ((1, "angry"), (2, "sad"))
    )


def split(train: list[int], dev: list[int], test: list[int], *words: str, text_independent: bool = False) -> Split:
    return Split(0, np.array(train, int), np.array(dev, int), np.array(test, int), words, text_independent)


def found(split: Split, manifest: pd.DataFrame, duplicates: pd.DataFrame | None = None) -> list[Finding]:
    return audit(split, manifest, manifest["emotion"], duplicates)


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.kind) for finding in findings]


def pairs_of(*pairs: tuple[str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["one", "other", "kind"])


CLEAN = ([0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11])
"""Two speakers a side, one of each sex."""


def test_clean_split_has_only_a_note_on_sentences(manifest: pd.DataFrame) -> None:
    findings = found(split(*CLEAN), manifest)
    assert kinds(findings) == [("note", "sentences")]
    assert findings[0].text == "100 % of the test clips have a sentence that is also in train: x/1, x/2."
    assert findings[0].clips == ("x/c1", "x/c2", "x/f1", "x/f2")
    assert stamps(split(*CLEAN), findings) == ()
    enforce(findings, 0)


def test_allowed_sharing_becomes_a_stamp_with_percentages(manifest: pd.DataFrame) -> None:
    leaking = split([0, 1, 4, 6, 7], [2, 3, 8, 9], [5, 10], SPEAKER_DEPENDENT)
    findings = found(leaking, manifest)
    assert ("stamp", "speakers") in kinds(findings)
    assert findings[0].clips == ("x/c2",)
    assert stamps(leaking, findings) == (HEARD,)  # the shorter word that it begins with is not said twice
    enforce(findings, 0)


def test_undeclared_sharing_is_an_error_that_names_speakers(manifest: pd.DataFrame) -> None:
    leaking = split([0, 1, 4, 6, 7], [2, 3, 8, 9], [5, 10])
    findings = found(leaking, manifest)
    with pytest.raises(SplitError, match=r"Fold 7: train and test share speakers: x/c; 50 % of the test clips"):
        enforce(findings, 7)
    enforce(findings, 7, "warn")
    assert stamps(leaking, findings) == (f"{SPEAKER_DEPENDENT} (undeclared: train and test share speakers)",)


def test_dev_speakers_who_test_are_an_error(manifest: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="dev and test share speakers: x/c"):
        enforce(found(split([0, 1, 6, 7], [4, 8, 9], [5, 10, 11]), manifest), 0)


def test_declared_dev_training_speakers_become_a_stamp(manifest: pd.DataFrame) -> None:
    shared = split([0, 3, 6, 7], [1, 2], [4, 5, 10, 11], DEV_SHARES_SPEAKERS)
    assert stamps(shared, found(shared, manifest)) == (DEV_SHARES_SPEAKERS,)
    enforce(found(shared, manifest), 0)


@pytest.mark.parametrize("policy", ["refuse", "warn"])
def test_shared_utterance_and_empty_side_are_errors_under_any_policy(manifest: pd.DataFrame, policy: str) -> None:
    with pytest.raises(SplitError, match="train and test share 1 utterance, for example x/b1"):
        enforce(found(split([0, 1, 2], [8, 9], [2, 4]), manifest), 0, policy)  # type: ignore[arg-type]
    with pytest.raises(SplitError, match="Fold 0 has no dev utterances"):
        enforce(found(split([0, 1], [], [2, 4]), manifest), 0, policy)  # type: ignore[arg-type]


def test_unknown_policy_is_an_error() -> None:
    with pytest.raises(ConfigError, match="audit must be refuse or warn; got 'off'"):
        enforce([], 0, "off")  # type: ignore[arg-type]


def test_text_independence_is_checked(manifest: pd.DataFrame) -> None:
    kept = split([0, 6], [2, 8], [5, 11], text_independent=True)
    assert "sentences" not in {f.kind for f in found(kept, manifest)}
    broken = split([0, 6], [2, 9], [5, 11], text_independent=True)
    with pytest.raises(SplitError, match=r"100 % of the test clips have a sentence that is also in dev: x/2\."):
        enforce(found(broken, manifest), 0)


@pytest.mark.parametrize("kind", ["identical", "near-identical"])
def test_duplicate_recording_on_two_sides_names_both_ids(manifest: pd.DataFrame, kind: str) -> None:
    same = pairs_of(("x/a1", "x/c1", kind), ("x/c2", "x/f2", kind))  # the second pair is on one side
    findings = found(split(*CLEAN), manifest, same)
    assert kinds(findings)[0] == ("error", f"{kind} audio")
    assert findings[0].clips == ("x/a1 = x/c1",)
    with pytest.raises(SplitError, match=f"train and test share 1 pair of {kind} recordings: x/a1 = x/c1"):
        enforce(findings, 0)
    admitted = split(*CLEAN, SPEAKER_DEPENDENT)
    assert f"{kind} audio in train and test (1 pair)" in stamps(admitted, found(admitted, manifest, same))


def test_identical_recordings_on_one_side_are_a_note_with_the_pairs(manifest: pd.DataFrame) -> None:
    same = pairs_of(("x/c1", "x/c2", "identical"), ("x/f1", "x/f2", "near-identical"))
    (finding,) = (f for f in found(split(*CLEAN), manifest, same) if f.kind.endswith("audio"))
    assert (finding.level, finding.kind, finding.stamp, finding.clips) == (
        "note",
        "identical audio",
        "",
        ("x/c1 = x/c2",),
    )
    assert "has 1 pair of identical recordings, each heard twice: x/c1 = x/c2" in finding.text
    assert not any("identical" in stamp for stamp in stamps(split(*CLEAN), [finding]))


def test_recordings_on_no_side_are_not_a_leak(manifest: pd.DataFrame) -> None:
    partial = split([0, 1, 6, 7], [2, 3, 8, 9], [10, 11])
    assert "identical audio" not in {f.kind for f in found(partial, manifest, pairs_of(("x/a1", "x/c1", "identical")))}


@pytest.mark.parametrize(
    ("sides", "level"),
    [
        (([0, 6], [2, 3, 8, 9], [4, 5, 10, 11]), "error"),
        (([0, 1, 6, 7], [2, 8], [4, 5, 10, 11]), "note"),
        (([0, 1, 6, 7], [2, 3, 8, 9], [4, 10]), "stamp"),
    ],
)
def test_missing_class_of_a_side_is_reported(
    manifest: pd.DataFrame, sides: tuple[list[int], list[int], list[int]], level: str
) -> None:
    (finding,) = (f for f in found(split(*sides), manifest) if f.kind == "classes")
    assert (finding.level, "sad" in finding.text) == (level, True)


def test_side_with_one_sex_is_reported(manifest: pd.DataFrame) -> None:
    findings = found(split([0, 1, 6, 7], [2, 3, 8, 9], [4, 5]), manifest)
    assert [f.text for f in findings if f.kind == "sex"] == ["all test speakers are female."]


def test_statistics_must_be_fitted_on_training() -> None:
    check_fitted(split(*CLEAN), np.array([7, 0, 0]))
    with pytest.raises(SplitError, match="fitted on the training side; got 2 clips outside it, for example row 2"):
        check_fitted(split(*CLEAN), np.array([0, 2, 4]))


def test_share_is_never_rounded_to_0_or_100_percent() -> None:
    rows = [Utterance(f"x/{i}", Path("x"), "x", f"x/{i}", "male", "sad", f"x/{i}") for i in range(1001)]
    rows.append(Utterance("x/again", Path("x"), "x", "x/500", "male", "sad", "x/1"))
    manifest = to_table(rows)
    leaking = split([1, 1001], [0], list(range(2, 1001)), SPEAKER_DEPENDENT)
    assert "0.10 % of test clips by training speakers, 0 %" in stamps(leaking, found(leaking, manifest))[0]


@pytest.mark.corpora
@pytest.mark.parametrize(("corpus", "clips"), [("tess", 700), ("crema", 1856)])
def test_emobox_stamp_states_that_no_test_speaker_is_new(
    corpus: str, clips: int, shipped: Any, folder: Any, whole_crema: pd.DataFrame
) -> None:
    manifest = to_table(Tess(folder("tess")).utterances()) if corpus == "tess" else whole_crema
    (published,) = shipped("emobox").splits(manifest)
    assert len(published.test) == clips
    words = "100 % of test clips by training speakers, 100 % with a sentence of training"
    assert stamps(published, found(published, manifest)) == (f"{SPEAKER_DEPENDENT} ({words})",)


@pytest.mark.slow
@pytest.mark.corpora
def test_random_split_separates_the_duplicate_of_ravdess(folder: Any, stores: Path) -> None:
    store = prepare(Ravdess(folder("ravdess")), stores, AudioSettings())
    torn = {}
    for protocol in (RandomUtterances(), SpeakerCV()):
        plan = plan_folds({"ravdess": store}, LabelScheme("native"), protocol)
        torn[protocol.name] = [f for fold in range(5) for f in plan.audit(fold) if f.kind == "identical audio"]
    pair = "ravdess/03-01-03-01-02-01-07 = ravdess/03-01-03-01-02-02-07"
    assert {clip for finding in torn["random"] for clip in finding.clips} == {pair}
    assert {(finding.level, *finding.clips) for finding in torn["speaker_cv"]} == {("note", pair)}, "always on one side"
