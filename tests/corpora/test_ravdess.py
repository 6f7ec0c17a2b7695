import hashlib
from collections import Counter
from pathlib import Path

import pytest

from ser.corpora.ravdess import Ravdess


def parse(name: str):
    return Ravdess("ravdess").parse(Path("Actor_12") / name)


def test_file_name_fields_are_parsed() -> None:
    # The example that the release explains: fearful, normal, "Dogs", first repetition, actor 12, female.
    clip = parse("03-01-06-01-02-01-12.wav")
    assert (clip.id, clip.speaker, clip.sex) == ("ravdess/03-01-06-01-02-01-12", "ravdess/12", "female")
    assert (clip.emotion, clip.intensity, clip.sentence, clip.repetition) == ("fear", "normal", "ravdess/02", 1)
    other = parse("03-01-08-02-01-02-11.wav")
    assert (other.emotion, other.intensity, other.sentence, other.repetition) == ("surprise", "strong", "ravdess/01", 2)
    assert (other.speaker, other.sex) == ("ravdess/11", "male")


@pytest.mark.parametrize(
    ("code", "emotion"),
    list(enumerate(("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise"), start=1)),
)
def test_emotion_numbers_match_the_release(code: int, emotion: str) -> None:
    assert parse(f"03-01-{code:02d}-01-01-01-01.wav").emotion == emotion


@pytest.mark.parametrize(
    "name",
    [
        "03-02-06-01-02-01-12.wav",  # song
        "01-01-06-01-02-01-12.wav",  # video with sound
        "02-01-06-01-02-01-12.wav",  # video without
        "03-01-09-01-02-01-12.wav",  # emotion 09
        "03-01-00-01-02-01-12.wav",
        "03-01-01-02-02-01-12.wav",  # neutral is never strong
        "03-01-06-03-02-01-12.wav",
        "03-01-06-01-03-01-12.wav",
        "03-01-06-01-02-03-12.wav",
        "03-01-06-01-02-01-25.wav",
        "03-01-06-01-02-01-00.wav",
        "03-01-06-01-02-01-99.wav",
        "03-01-06-01-02-01.wav",
        "03-01-06-01-02-01-12 (1).wav",
    ],
)
def test_songs_videos_and_impossible_numbers_are_ignored(name: str) -> None:
    assert parse(name) is None


@pytest.mark.corpora
def test_release_is_a_balanced_design(corpora_root: Path) -> None:
    corpus = Ravdess(corpora_root / "ravdess")
    clips = list(corpus.utterances())
    assert corpus.differences(clips) == []
    assert corpus.complete()
    assert corpus.strays() == []
    assert len({u.id for u in clips}) == 1440
    assert set(Counter(u.speaker for u in clips).values()) == {60}
    assert Counter(u.emotion for u in clips) == {
        "angry": 192,
        "calm": 192,
        "disgust": 192,
        "fear": 192,
        "happy": 192,
        "neutral": 96,
        "sad": 192,
        "surprise": 192,
    }
    assert Counter(u.sex for u in clips) == {"female": 720, "male": 720}
    assert Counter(u.sentence for u in clips) == {"ravdess/01": 720, "ravdess/02": 720}
    assert Counter(u.intensity for u in clips) == {"normal": 768, "strong": 672}
    assert Counter(u.repetition for u in clips) == {1: 720, 2: 720}
    assert all(u.path.parent.name == f"Actor_{u.speaker[-2:]}" for u in clips)


@pytest.mark.corpora
def test_clips_declared_identical_have_equal_bytes(corpora_root: Path) -> None:
    paths = {u.id: u.path for u in Ravdess(corpora_root / "originals" / "ravdess").utterances()}
    for ids in Ravdess.identical:
        assert len({hashlib.sha256(paths[id_].read_bytes()).hexdigest() for id_ in ids}) == 1
