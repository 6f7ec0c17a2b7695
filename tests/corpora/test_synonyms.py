from collections import Counter

import pytest

from ser.corpora.labels import EMOTIONS
from ser.corpora.synonyms import EMOTION_WORDS, SEX_WORDS, changes, emotion_of, sex_of


@pytest.mark.parametrize("words", [EMOTION_WORDS, SEX_WORDS])
def test_a_word_is_lower_case_and_has_one_meaning(words: dict[str, str]) -> None:
    every = [word for name, several in words.items() for word in (name, *several.split(", "))]
    assert every == [word.lower().strip() for word in every]
    assert [word for word, count in Counter(every).items() if count > 1] == []


def test_every_common_emotion_is_read_as_itself() -> None:
    assert [emotion_of(emotion) for emotion in EMOTIONS] == list(EMOTIONS)
    assert set(EMOTIONS) < set(EMOTION_WORDS)


@pytest.mark.parametrize(
    ("label", "emotion"),
    [("Wut", "angry"), ("ANGER", "angry"), ("Freude", "happy"), ("Überraschung", "surprise"), ("Relief ", "relief")],
)
def test_label_is_read_by_its_meaning_in_any_case(label: str, emotion: str) -> None:
    assert emotion_of(label) == emotion


def test_only_changed_labels_are_told() -> None:
    assert changes(["angry", "relief"]) == []
    assert "Freude as happy, joy as happy" in changes(["joy", "Freude", "sad"])[0]


def test_unknown_sex_stays_unknown_and_other_words_are_kept() -> None:
    assert [sex_of(word) for word in ("", " ", "W", "male", "Nonbinary")] == [None, None, "female", "male", "nonbinary"]
