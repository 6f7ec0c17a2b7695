import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from ser.corpora.folders import Folders
from ser.corpora.manifest import to_table
from ser.errors import BadCorpusError, ConfigError, CorpusNotFoundError

Touch = Callable[[Iterable[str]], Path]


def test_a_folder_is_a_class(touch: Touch) -> None:
    corpus = Folders(touch(["Wut/1.wav", "bored/1.wav", "notes.txt"]))
    assert [(u.id, u.emotion, u.speaker) for u in corpus.utterances()] == [
        ("folders/Wut/1", "angry", None),
        ("folders/bored/1", "bored", None),
    ]
    assert corpus.remarks()[0].startswith("Labels read by the table of synonyms: Wut as angry.")


@pytest.mark.parametrize("path", ["{speaker}/{emotion}/1.wav", "{emotion}/{speaker}/1.wav"])
def test_two_levels_are_speaker_and_class_in_either_order(
    touch: Touch, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    root = touch(path.format(speaker=s, emotion=e) for s in ("anna", "ben") for e in ("sad", "angry", "relief"))
    clips = list(Folders(root).utterances())
    assert {(u.speaker, u.emotion) for u in clips} == {
        (f"folders/{s}", e) for s in ("anna", "ben") for e in ("sad", "angry", "relief")
    }
    understood = path.replace("{emotion}", "{label}").replace("1.wav", "*")
    assert f"is read as data.pattern='{understood}'" in caplog.text


@pytest.mark.parametrize(
    ("pattern", "path", "speaker", "emotion"),
    [
        ("{speaker}/{label}_*", "anna/angry_01.wav", "anna", "angry"),
        ("{label}_{speaker}", "sad_ben.flac", "ben", "sad"),
        ("{label}_{speaker}.wav", "sad_ben.wav", "ben", "sad"),
        ("**/{speaker}-{label}", "x/y/ben-sad.wav", "ben", "sad"),
        (r"(?P<speaker>\d\d)\w(?P<label>[A-Z])", "03aW.wav", "03", "w"),
    ],
)
def test_a_pattern_says_what_names_mean(touch: Touch, pattern: str, path: str, speaker: str, emotion: str) -> None:
    root = touch([path])
    (clip,) = Folders(root, pattern).utterances()
    assert (clip.speaker, clip.emotion) == (f"folders/{speaker}", emotion)


def test_recordings_outside_the_pattern_are_strays(touch: Touch) -> None:
    corpus = Folders(touch(["anna/sad_1.wav", "anna/hum.wav"]), "{speaker}/{label}_*")
    assert len(list(corpus.utterances())) == 1
    assert [path.name for path in corpus.strays()] == ["hum.wav"]


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{speaker}/*", r"must have the field \{label\}"),
        ("{speakr}/{label}", r"got speakr\. Did you mean \{speaker\}\?"),
        ("{label}/{label}", "each field in braces once"),
    ],
)
def test_pattern_that_cannot_be_used_is_an_error(pattern: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Folders(".", pattern)


@pytest.mark.parametrize("names", [["a.wav"], ["sad/a.wav", "x/y/sad/b.wav"], ["sad/a.wav", "b.wav"]])
def test_layout_that_is_not_understood_asks_for_a_pattern(touch: Touch, names: list[str]) -> None:
    with pytest.raises(BadCorpusError, match=r"must hold a folder a class.*data\.pattern='\{speaker\}/\{label\}_\*'"):
        Folders(touch(names)).utterances()


def test_missing_and_empty_folders_are_named(touch: Touch, tmp_path: Path) -> None:
    (tmp_path / "folders").mkdir()
    with pytest.raises(CorpusNotFoundError, match="clips, which is no folder"):
        Folders(tmp_path / "clips").utterances()
    with pytest.raises(CorpusNotFoundError, match=r"got none\. Set data\.root"):
        Folders().utterances()
    with pytest.raises(CorpusNotFoundError, match=r"matches none of 1 audio files, such as a/1\.wav"):
        Folders(touch(["a/1.wav"]), "{label}-{speaker}").utterances()


def test_a_number_that_is_no_age_leaves_it_unknown(touch: Touch) -> None:
    corpus = Folders(touch(["sad_31.wav", "sad_20210101120000000000.wav", "sad_old.wav"]), pattern="{label}_{age}")
    assert to_table(corpus.utterances())["age"].isna().tolist() == [True, False, True]
