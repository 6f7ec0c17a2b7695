import csv
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from ser.corpora.crema import Crema
from ser.corpora.labels import EMOTIONS, LabelScheme
from ser.corpora.manifest import Utterance, to_table
from ser.errors import LabelError
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate

Votes = Mapping[str, float]


def shipped(name: str, **overrides: Any) -> LabelScheme:
    """A scheme of ``conf/labels``, as ``labels=<name> labels.<key>=<value>`` gives it."""
    config = yaml.safe_load((Path(conf_dir()) / "labels" / f"{name}.yaml").read_text())
    merge = {**config["merge"], **overrides.pop("merge", {})}
    return instantiate({**config, "merge": merge, **overrides}, LabelScheme)


def table(emotions: Sequence[str], votes: Sequence[Votes | None] | None = None, corpus: str = "crema") -> pd.DataFrame:
    heard = votes or [None] * len(emotions)
    return to_table(
        Utterance(f"{corpus}/{i}", Path(f"{i}.wav"), corpus, f"{corpus}/a", "male", emotion, f"{corpus}/s", votes=vote)
        for i, (emotion, vote) in enumerate(zip(emotions, heard, strict=True))
    )


def heard(**votes: float) -> Votes:
    """A row of CREMA-D's votes: six counts."""
    return {e: votes.get(e, 0.0) for e in ("angry", "disgust", "fear", "happy", "neutral", "sad")}


def test_native_labels_are_the_present_emotions_sorted() -> None:
    labelled = shipped("native").apply(table(["sad", "calm", "angry", "sad"]))
    assert labelled.classes == ("angry", "calm", "sad")
    assert labelled.target.tolist() == [2, 1, 0, 2]
    assert labelled.dropped == {}
    assert labelled.soft is None


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("six", ("angry", "disgust", "fear", "happy", "neutral", "sad")),
        ("four", ("angry", "happy", "neutral", "sad")),
    ],
)
def test_six_and_four_keep_their_classes_and_count_dropped_clips(name: str, classes: tuple[str, ...]) -> None:
    manifest = table([e for i, e in enumerate(EMOTIONS) for _ in range(i + 1)])
    labelled = shipped(name).apply(manifest)
    assert labelled.classes == classes
    assert labelled.dropped == {e: i + 1 for i, e in enumerate(EMOTIONS) if e not in classes}
    assert len(labelled.manifest) + sum(labelled.dropped.values()) == len(manifest)
    assert [classes[t] for t in labelled.target] == labelled.manifest["emotion"].tolist()
    assert labelled.manifest.index.tolist() == list(range(len(labelled.target)))


@pytest.mark.parametrize("name", ["six", "four"])
def test_calm_is_dropped_or_merged_into_neutral_by_override(name: str) -> None:
    manifest = table(["calm", "neutral", "calm", "sad"])
    dropped = shipped(name).apply(manifest)
    assert dropped.dropped == {"calm": 2}
    assert dropped.manifest["id"].tolist() == ["crema/1", "crema/3"]
    scheme = shipped(name, merge={"calm": "neutral"})
    merged = scheme.apply(manifest)
    assert merged.dropped == {}
    assert [merged.classes[t] for t in merged.target] == ["neutral", "neutral", "neutral", "sad"]
    assert merged.manifest["emotion"].tolist() == ["calm", "neutral", "calm", "sad"]  # the manifest still says calm


def test_describe_reports_merged_and_dropped_emotions() -> None:
    scheme = shipped("four", merge={"calm": "neutral"})
    assert scheme.describe() == "four; target: intended; merged: calm into neutral; dropped: disgust, fear, surprise"
    assert scheme.describe(["angry", "calm", "sad"]) == "four; target: intended; merged: calm into neutral"
    assert "ties kept" in shipped("six", target="plurality", ties="keep").describe()
    assert "ties dropped" in shipped("six", target="plurality").describe()


def test_classes_keep_their_given_order() -> None:
    labelled = LabelScheme("mine", ("sad", "angry")).apply(table(["angry", "sad", "happy"]))
    assert labelled.classes == ("sad", "angry")
    assert labelled.target.tolist() == [1, 0]
    assert labelled.dropped == {"happy": 1}


def test_declared_classes_are_kept_without_clips() -> None:
    for target in ("intended", "plurality"):
        scheme = LabelScheme("mine", ("angry", "sad", "surprise"), target=target)
        assert scheme.apply(table(["sad"], [heard(sad=3)])).classes == ("angry", "sad", "surprise")


def test_plurality_is_the_most_voted_emotion_not_the_intended_one() -> None:
    votes = [heard(sad=6, neutral=4), heard(neutral=9, sad=1)]
    labelled = shipped("native", target="plurality").apply(table(["sad", "sad"], votes))
    assert [labelled.classes[t] for t in labelled.target] == ["sad", "neutral"]


@pytest.mark.parametrize("target", ["plurality", "distribution"])
def test_tied_clips_follow_the_ties_setting(target: str) -> None:
    emotions = ["sad", "happy", "angry"]
    votes = [heard(neutral=4, sad=4, angry=1), heard(sad=3, disgust=3), heard(angry=5, sad=4)]
    dropped = shipped("native", target=target).apply(table(emotions, votes))
    assert dropped.manifest["id"].tolist() == ["crema/2"]
    assert dropped.dropped == {"tied votes": 2}
    kept = shipped("native", target=target, ties="keep").apply(table(emotions, votes))
    # Sad was intended and is among the tied; happy is not, so the first of the tied in the alphabet.
    assert [kept.classes[t] for t in kept.target] == ["sad", "disgust", "angry"]
    assert kept.dropped == {}


def test_class_order_does_not_decide_a_tie() -> None:
    manifest = table(["fear"], [heard(sad=3, disgust=3)])
    for classes in (("sad", "disgust"), ("disgust", "sad")):
        labelled = LabelScheme("mine", classes, target="plurality", ties="keep").apply(manifest)
        assert labelled.classes[labelled.target[0]] == "disgust"


@pytest.mark.parametrize("target", ["plurality", "distribution"])
def test_clip_with_a_dropped_plurality_is_dropped(target: str) -> None:
    votes = [heard(fear=8, neutral=2), heard(neutral=6, fear=4), heard(disgust=5, sad=5)]
    labelled = shipped("four", target=target).apply(table(["fear", "fear", "sad"], votes))
    assert labelled.manifest["id"].tolist() == ["crema/1"]
    assert [labelled.classes[t] for t in labelled.target] == ["neutral"]
    assert labelled.dropped == {"heard as fear": 1, "tied votes": 1}


def test_votes_of_merged_emotions_are_summed_before_the_plurality() -> None:
    votes = [heard(fear=3, sad=3, angry=4)]
    scheme = shipped("native", target="distribution", merge={"fear": "sad"})
    labelled = scheme.apply(table(["angry"], votes))
    assert labelled.classes == ("angry", "disgust", "happy", "neutral", "sad")
    assert labelled.target.tolist() == [4]
    np.testing.assert_allclose(labelled.soft, [[0.4, 0, 0, 0, 0.6]], rtol=1e-15)


def test_distribution_is_the_normalised_votes_of_the_classes() -> None:
    votes = [heard(neutral=6, fear=2, sad=2), heard(angry=1)]
    labelled = shipped("four", target="distribution").apply(table(["sad", "fear"], votes))
    np.testing.assert_allclose(labelled.soft, [[0, 0, 0.75, 0.25], [1, 0, 0, 0]], rtol=1e-15)
    assert labelled.target.tolist() == [2, 0]


def test_clip_without_votes_is_dropped_and_counted() -> None:
    votes = [heard(sad=2), None, heard()]
    labelled = shipped("native", target="distribution").apply(table(["sad", "sad", "sad"], votes))
    assert labelled.dropped == {"no votes": 2}
    np.testing.assert_array_equal(labelled.soft.sum(axis=1), [1.0])


def test_corpus_without_votes_is_named_in_the_error() -> None:
    both = pd.concat([table(["sad"], [heard(sad=2)]), table(["sad"], corpus="savee")], ignore_index=True)
    with pytest.raises(LabelError, match=r"target=plurality requires listeners' votes, but savee has none.*intended"):
        shipped("six", target="plurality").apply(both)


def test_labels_that_keep_no_clip_are_an_error() -> None:
    with pytest.raises(LabelError, match="labels=mine must keep at least one utterance"):
        LabelScheme("mine", ("surprise",)).apply(table(["sad", "angry"]))


def test_one_class_alone_is_an_error() -> None:
    with pytest.raises(LabelError, match="labels=native must keep at least 2 classes; got sad alone"):
        LabelScheme("native").apply(table(["sad", "sad"]))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"merge": {"calm": "neutrl"}}, r"labels\.merge must map to classes; got neutrl\. Did you mean neutral\?"),
        (
            {"classes": ("sad",), "merge": {"calm": "neutral"}},
            r"labels\.merge must map to classes among sad; got neutral\.",
        ),
        ({"target": "votes"}, "labels.target must be intended or plurality or distribution; got 'votes'"),
        ({"ties": "first"}, "labels.ties must be drop or keep; got 'first'"),
    ],
)
def test_invalid_label_setting_is_named(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(LabelError, match=told):
        LabelScheme("mine", **arguments)


def test_native_labels_keep_words_outside_the_common_ones() -> None:
    labelled = shipped("native").apply(table(["bored", "angry", "müde"]))
    assert labelled.classes == ("angry", "bored", "müde")
    assert labelled.dropped == {}


def test_own_label_without_a_class_is_named_with_the_setting_that_maps_it() -> None:
    with pytest.raises(LabelError) as error:
        shipped("four").apply(table(["angry", "bored", "bored", "müde"]))
    assert str(error.value) == (
        "labels=four must have a class for every label, of angry, happy, neutral, sad; got bored (2 clips), müde (1 clip). "
        "Set labels.merge.bored=<class or null> labels.merge.müde=<class or null>, or labels=native, which keeps every label."
    )


def test_own_label_is_merged_or_dropped_by_its_setting() -> None:
    scheme = shipped("four", merge={"bored": "neutral", "utf8-6dc3bc6465": None})
    labelled = scheme.apply(table(["angry", "bored", "müde", "fear"]))
    assert [labelled.classes[t] for t in labelled.target] == ["angry", "neutral"]
    assert labelled.dropped == {"fear": 1, "müde": 1}
    assert scheme.describe(["bored", "müde"]).endswith("merged: bored into neutral; dropped: müde")


def test_native_labels_are_merged_into_classes_of_ones_own() -> None:
    labelled = shipped("native", merge={"bored": "passive", "sad": "passive"}).apply(table(["bored", "sad", "angry"]))
    assert labelled.classes == ("angry", "passive")


def test_misspelt_own_label_is_named() -> None:
    with pytest.raises(LabelError, match=r"got boredom\. Did you mean labels\.merge\.bored\?"):
        shipped("native", merge={"boredom": "neutral"}).apply(table(["bored", "angry"]))


def test_listeners_votes_for_own_labels_are_counted() -> None:
    labelled = shipped("native", target="distribution").apply(table(["bored"], [{"bored": 3.0, "sad": 1.0}]))
    assert labelled.classes == ("bored", "sad")
    np.testing.assert_array_equal(labelled.soft, [[0.75, 0.25]])


@pytest.fixture(scope="module")
def released() -> Path:
    folder = Path(os.environ.get("SER_CORPORA") or "nowhere") / "crema"
    if not folder.is_dir():
        pytest.skip("no real recordings: SER_CORPORA names no folder with crema")
    return folder


@pytest.fixture(scope="module")
def crema(released: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The manifest of the whole release: its names as empty files, beside its own tables."""
    root = tmp_path_factory.mktemp("crema")
    with (released / "SentenceFilenames.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            (root / f"{row['Filename']}.wav").touch()
    for name in ("VideoDemographics.csv", "processedResults"):
        (root / name).symlink_to(released / name)
    return to_table(Crema(root).utterances())


@pytest.fixture(scope="module")
def voice_vote(released: Path) -> dict[str, list[str]]:
    """The release's own plurality of each clip: one emotion, or those that tie."""
    with (released / "processedResults" / "summaryTable.csv").open(newline="") as file:
        rows = {f"crema/{row['FileName']}": row["VoiceVote"].split(":") for row in csv.DictReader(file)}
    words = dict(zip("ADFHNS", ("angry", "disgust", "fear", "happy", "neutral", "sad"), strict=True))
    return {clip: [words[letter] for letter in vote] for clip, vote in rows.items()}


@pytest.mark.corpora
def test_crema_intended_counts_match_the_publication(crema: pd.DataFrame) -> None:
    labelled = shipped("six").apply(crema)
    assert np.bincount(labelled.target).tolist() == [1271, 1271, 1271, 1271, 1087, 1271]
    assert labelled.dropped == {}


@pytest.mark.corpora
def test_crema_plurality_matches_the_release_without_the_644_ties(
    crema: pd.DataFrame, voice_vote: dict[str, list[str]]
) -> None:
    labelled = shipped("six", target="plurality").apply(crema)
    assert labelled.dropped == {"tied votes": 644}
    assert len(labelled.target) == 7442 - 644
    for clip, target in zip(labelled.manifest["id"], labelled.target, strict=True):
        assert [labelled.classes[target]] == voice_vote[clip]


@pytest.mark.corpora
def test_crema_kept_ties_use_the_intended_emotion_or_the_first(
    crema: pd.DataFrame, voice_vote: dict[str, list[str]]
) -> None:
    labelled = shipped("six", target="plurality", ties="keep").apply(crema)
    assert len(labelled.target) == 7442
    for row, target in zip(labelled.manifest.itertuples(), labelled.target, strict=True):
        tied = voice_vote[row.id]
        assert labelled.classes[target] == (row.emotion if row.emotion in tied else min(tied))


@pytest.mark.corpora
def test_crema_four_drops_clips_with_plurality_fear_or_disgust(
    crema: pd.DataFrame, voice_vote: dict[str, list[str]]
) -> None:
    labelled = shipped("four", target="plurality").apply(crema)
    single = Counter(vote[0] for vote in voice_vote.values() if len(vote) == 1)
    assert Counter(labelled.classes[t] for t in labelled.target) == {
        c: single[c] for c in ("angry", "happy", "neutral", "sad")
    }
    assert labelled.dropped == {
        "heard as disgust": single["disgust"],
        "heard as fear": single["fear"],
        "tied votes": 644,
    }


@pytest.mark.corpora
def test_crema_soft_rows_sum_to_one_and_peak_at_the_scored_class(crema: pd.DataFrame) -> None:
    labelled = shipped("six", target="distribution").apply(crema)
    assert labelled.soft.shape == (7442 - 644, 6)
    assert labelled.soft.min() >= 0
    np.testing.assert_allclose(labelled.soft.sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(labelled.soft.argmax(axis=1), labelled.target)
    assert len(np.unique(labelled.soft.round(6), axis=0)) > 200
