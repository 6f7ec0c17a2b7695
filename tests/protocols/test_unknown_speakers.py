from pathlib import Path

import pandas as pd
import pytest

from ser.corpora.manifest import Utterance, to_table
from ser.errors import SplitError
from ser.protocols.audit import audit, enforce, stamps
from ser.protocols.few_shot import FewShot
from ser.protocols.leave_one_corpus_out import LeaveOneCorpusOut
from ser.protocols.random_split import RandomUtterances
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.text_independent import TextIndependent
from ser.protocols.unknown_speakers import is_unknown, stamp_of, with_stand_ins
from tests.protocols.conftest import of


def recordings(*paths: str, corpus: str = "x", speaker: str | None = None, sex: str | None = None) -> pd.DataFrame:
    """Clips whose file is named by its emotion and a number."""
    return to_table(
        Utterance(f"{corpus}/{p}", Path("/data") / p, corpus, speaker, sex, Path(p).stem.rstrip("0123456789"), None)
        for p in paths
    )


@pytest.fixture
def flat() -> pd.DataFrame:
    """Thirty recordings in one folder, three emotions."""
    return with_stand_ins(recordings(*(f"{e}{i}.wav" for e in ("angry", "bored", "sad") for i in range(10))))


def test_known_speakers_are_left_as_they_are() -> None:
    manifest = recordings("angry1.wav", speaker="x/a")
    assert with_stand_ins(manifest) is manifest
    assert stamp_of(manifest) is None


def test_folders_of_several_emotions_stand_in_for_speakers() -> None:
    manifest = with_stand_ins(recordings(*(f"session{s}/{e}.wav" for s in "123" for e in ("angry", "sad"))))
    assert manifest["speaker"].unique().tolist() == ["x/folder session1", "x/folder session2", "x/folder session3"]
    assert stamp_of(manifest) == "speakers unknown (split by folder)"


def test_folders_of_a_class_do_not_stand_in_for_speakers() -> None:
    manifest = with_stand_ins(recordings(*(f"{e}/{e}{i}.wav" for e in ("angry", "sad", "calm") for i in (1, 2))))
    assert manifest["speaker"].iloc[0] == "x/recording angry/angry1.wav"
    assert manifest["speaker"].nunique() == 6


def test_folders_of_clips_with_numbers_stand_in_for_speakers() -> None:
    manifest = recordings(*(f"{s}/sad{i}.wav" for s in "abc" for i in range(2)))
    manifest = manifest.assign(emotion=None, further_arousal="1")
    assert with_stand_ins(manifest)["speaker"].unique().tolist() == ["x/folder a", "x/folder b", "x/folder c"]


def test_pieces_of_a_recording_stay_together() -> None:
    manifest = recordings("angry1.wav", "angry2.wav").assign(path=["/data/long.wav", "/data/long.wav"])
    assert with_stand_ins(manifest)["speaker"].tolist() == ["x/recording long.wav"] * 2


def test_some_unknown_speakers_are_counted() -> None:
    both = pd.concat([recordings("angry1.wav", speaker="x/a"), recordings("sad1.wav")], ignore_index=True)
    manifest = with_stand_ins(both)
    assert is_unknown(manifest).tolist() == [False, True]
    assert manifest["speaker"].tolist() == ["x/a", "x/recording sad1.wav"]
    assert stamp_of(manifest) == "speakers unknown (1 of 2 clips; split by recording)"


def test_folds_of_recordings_have_every_class_on_every_side(flat: pd.DataFrame) -> None:
    for split in SpeakerCV(folds=5).splits(flat):
        for rows in split.sides().values():
            assert of(flat, rows, "emotion") == {"angry", "bored", "sad"}


def test_audit_says_what_it_could_not_check(flat: pd.DataFrame) -> None:
    split = SpeakerCV().splits(flat)[0]
    findings = audit(split, flat, flat["emotion"])
    enforce(findings, 0)
    assert [(f.level, f.kind) for f in findings] == [
        ("stamp", "unknown speakers"),
        ("note", "unknown sentences"),
        ("note", "unknown sex"),
    ]
    assert "the speaker of 30 of 30 clips is unknown" in findings[0].text
    assert stamps(split, findings) == ("speakers unknown (split by recording)",)


def test_audit_of_a_manifest_without_stand_ins_does_not_take_unknown_for_shared() -> None:
    manifest = recordings(*(f"angry{i}.wav" for i in range(9)))
    split = RandomUtterances(3).splits(manifest)[0]
    assert "speakers" not in {f.kind for f in audit(split, manifest, manifest["emotion"])}


def test_random_split_of_known_speakers_says_that_sentences_are_unknown() -> None:
    manifest = recordings(*(f"angry{i}.wav" for i in range(9)), speaker="x/a", sex="male")
    found = audit(RandomUtterances(3).splits(manifest)[0], manifest, manifest["emotion"])
    assert any("100 % of test clips by training speakers, sentences unknown" in f.stamp for f in found)


def test_two_speakers_without_sentences_hold_out_a_fifth_of_the_clips() -> None:
    parts = [recordings(*(f"{s}/sad{i}.wav" for i in range(10)), speaker=f"x/{s}") for s in "ab"]
    manifest = pd.concat(parts, ignore_index=True)
    split = SpeakerCV().splits(manifest)[0]
    assert [len(rows) for rows in split.sides().values()] == [8, 2, 10]


def test_text_independent_folds_need_sentences(flat: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="requires the sentence of every clip; got 30 clips of x without one"):
        TextIndependent().splits(flat)


def test_other_protocols_take_unknown_sexes(flat: pd.DataFrame) -> None:
    other = with_stand_ins(recordings(*(f"{e}{i}.wav" for e in ("angry", "sad") for i in range(4)), corpus="y"))
    both = pd.concat([flat, other], ignore_index=True)
    for split in LeaveOneCorpusOut().splits(both):
        assert all(len(rows) for rows in split.sides().values())
    speakers = [recordings(*(f"{s}/sad{i}.wav" for i in range(9)), speaker=f"x/{s}") for s in "abc"]
    assert len(FewShot(clips=2).splits(pd.concat(speakers, ignore_index=True))) == 3
