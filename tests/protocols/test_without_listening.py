"""Guesses without listening: values that follow by hand, and their stamp in the audit of a plan."""

import numpy as np
import pandas as pd
import pytest

from ser.protocols.audit import audit
from ser.protocols.split import Split, from_masks
from ser.protocols.stamps import meaning
from ser.protocols.without_listening import (
    LEVEL,
    MAJORITY,
    SENTENCE,
    SPEAKER,
    WORDS,
    Baseline,
    baselines,
    class_of_key,
    durations_and_levels,
)

CLASSES = ("angry", "happy", "sad")


def manifest(sentences: dict[str, tuple[str, ...]], speakers: int = 4) -> pd.DataFrame:
    """Each speaker says each sentence once with each of its emotions."""
    rows = [
        {"id": f"x/{s}_{sentence}_{emotion}", "corpus": "x", "speaker": f"x/{s}", "sentence": f"x/{sentence}"}
        | {"emotion": emotion, "sex": "female"}
        for s in range(speakers)
        for sentence, emotions in sentences.items()
        for emotion in emotions
    ]
    return pd.DataFrame(rows)


def by_speaker(table: pd.DataFrame) -> list[Split]:
    speakers = sorted(table["speaker"].unique())
    splits = []
    for fold, test in enumerate(speakers):
        dev = speakers[(fold + 1) % len(speakers)]
        sides = [(table["speaker"] == one).to_numpy() for one in (dev, test)]
        splits.append(from_masks(fold, ~(sides[0] | sides[1]), *sides))
    return splits


def found(table: pd.DataFrame, levels: np.ndarray | None = None) -> dict[str, Baseline]:
    return {one.name: one for one in baselines(by_speaker(table), table, table["emotion"], levels)}


def test_a_sentence_of_one_emotion_gives_it_away() -> None:
    table = manifest({"common": CLASSES, "a1": ("angry",), "a2": ("angry",), "h1": ("happy",), "s1": ("sad",)})
    guesses = found(table)
    assert set(guesses) == {MAJORITY, SENTENCE}
    # Said with all: on the common sentence the rarer two classes tie, by their weight; angry has two more sentences.
    expected = np.mean([2 / 3, 1 / 2 + 1 / 4, 1 / 2 + 1 / 4])
    assert guesses[SENTENCE].uar == pytest.approx(expected)
    assert guesses[SENTENCE].chance == pytest.approx(1 / 3)
    assert guesses[MAJORITY].uar == pytest.approx(1 / 3)
    assert guesses[MAJORITY].accuracy == pytest.approx(3 / 7)
    assert guesses[SENTENCE].gives_away
    stamp = guesses[SENTENCE].stamp
    assert stamp == "the sentence gives the class away (72 % UAR without audio)"
    assert meaning(stamp)
    (finding,) = [
        one
        for one in audit(by_speaker(table)[0], table, table["emotion"], None, tuple(guesses.values()))
        if one.kind == "given away"
    ]
    assert (finding.level, finding.stamp) == ("stamp", stamp)


def test_sentences_said_with_every_emotion_are_chance() -> None:
    guesses = found(manifest({"one": CLASSES, "two": CLASSES}))
    assert guesses[SENTENCE].uar == pytest.approx(1 / 3)
    assert not guesses[SENTENCE].gives_away


def test_unseen_and_unknown_keys_are_ties_of_all_classes() -> None:
    keys, classes = pd.Series(["a", "b", None, "c", None, "a"]), pd.Series([*CLASSES, "angry", "angry", "happy"])
    hits = class_of_key(keys, classes, Split(0, np.arange(3), np.empty(0, int), np.arange(3, 6)))
    np.testing.assert_allclose(hits, [1 / 3, 1 / 3, 0.0])


def test_a_class_that_is_not_in_training_is_never_guessed() -> None:
    keys, classes = pd.Series(["a", "b", "a", "z"]), pd.Series(["angry", "happy", "sad", "sad"])
    hits = class_of_key(keys, classes, Split(0, np.arange(2), np.empty(0, int), np.arange(2, 4)))
    np.testing.assert_allclose(hits, [0.0, 0.0])


def test_a_speaker_of_one_emotion_gives_it_away_where_speakers_are_shared() -> None:
    rows = [(speaker, emotion) for speaker, emotion in zip("abc", CLASSES, strict=True) for _ in range(8)]
    table = pd.DataFrame(rows, columns=["speaker", "emotion"]).assign(sentence=None)
    table["speaker"] = "x/" + table["speaker"]
    test = np.arange(len(table)) % 4 == 0
    split = from_masks(0, ~test, np.zeros(len(table), bool), test)
    (majority, speaker) = baselines([split], table, table["emotion"])
    assert (majority.name, speaker.name, speaker.uar) == (MAJORITY, SPEAKER, 1.0)
    assert speaker.gives_away
    assert "speaker" in speaker.stamp


def test_duration_and_level_are_shown_and_are_no_stamp() -> None:
    table = manifest({"one": CLASSES, "two": CLASSES})
    loud = table["emotion"].map({"angry": 0.0, "happy": -20.0, "sad": -40.0}).to_numpy()
    level = found(table, np.column_stack([np.ones(len(table)), loud]))[LEVEL]
    assert level.uar == 1.0
    assert not level.gives_away


def test_words_are_guessed_from_where_sentences_are_their_text() -> None:
    table = manifest({f"so {word} today {i}": (name,) for name in CLASSES for i, word in enumerate([name] * 4)})
    table["sentence"] += " by " + table["speaker"].str.removeprefix("x/")  # no two speakers say the same
    guesses = found(table)
    assert guesses[WORDS].uar == 1.0
    assert SENTENCE not in guesses
    assert WORDS not in found(manifest({"one": CLASSES}))


def test_folds_without_a_test_side_have_no_guess() -> None:
    table = manifest({"one": CLASSES})
    nothing = np.empty(0, int)
    assert baselines([Split(0, np.arange(len(table)), nothing, nothing)], table, table["emotion"]) == ()


def test_folds_without_a_training_side_have_no_guess() -> None:
    table = manifest({"one": CLASSES})
    nothing = np.empty(0, int)
    split = Split(0, nothing, nothing, np.arange(len(table)))
    assert baselines([split], table, table["emotion"], np.zeros((len(table), 2))) == ()
    (finding, *_) = audit(split, table, table["emotion"])
    assert finding.kind == "empty side"


def test_one_class_in_training_is_guessed_for_all() -> None:
    table = manifest({"one": CLASSES, "so it is": ("sad",)})
    speaks = (table["speaker"] == "x/0").to_numpy()
    split = from_masks(0, ~speaks & (table["emotion"] == "sad").to_numpy(), np.zeros(len(table), bool), speaks)
    levels = np.random.default_rng(0).normal(size=(len(table), 2))
    guesses = {one.name: one for one in baselines([split], table, table["emotion"], levels)}
    assert guesses[LEVEL].uar == guesses[MAJORITY].uar == pytest.approx(1 / 3)


def test_words_of_one_letter_are_words() -> None:
    table = manifest({"a b": ("angry",), "c d": ("sad",), "e f": ("happy",)})
    assert found(table)[WORDS].uar == 1.0


def test_levels_of_silence_are_finite() -> None:
    clips = pd.DataFrame({"start": [0, 8], "length": [8, 8]})
    values = durations_and_levels(np.zeros(16, np.int16), clips, 4)
    np.testing.assert_array_equal(values, [[2.0, -120.0], [2.0, -120.0]])
