import shutil
from collections import Counter
from pathlib import Path

import pytest

from ser.corpora.tess import Tess


def parse(name: str):
    return Tess("tess").parse(Path("OAF_Pleasant_surprise") / name)


def test_file_name_fields_are_parsed() -> None:
    clip = parse("YAF_neat_fear.wav")
    assert (clip.id, clip.speaker, clip.sex, clip.age) == ("tess/YAF_neat_fear", "tess/YAF", "female", 26)
    assert (clip.emotion, clip.sentence, clip.intensity) == ("fear", "tess/neat", None)


def test_ps_is_surprise_and_the_word_is_not_read_as_emotion() -> None:
    assert parse("OAF_calm_ps.wav").emotion == "surprise"
    assert parse("OAF_calm_ps.wav").sentence == "tess/calm"


def test_misspelt_speaker_is_the_older_actress() -> None:
    clip = parse("OA_bite_neutral.wav")
    assert (clip.id, clip.speaker, clip.age) == ("tess/OAF_bite_neutral", "tess/OAF", 64)


def test_label_comes_from_the_file_name_not_the_folder() -> None:
    assert Tess("t").parse(Path("YAF_angry/OAF_dog_SAD.WAV")).emotion == "sad"
    assert Tess("t").parse(Path("YAF_angry/oaf_Dog_sad.wav")).id == "tess/OAF_dog_sad"


@pytest.mark.parametrize("name", ["OAF_dog_calm.wav", "XAF_dog_sad.wav", "OAF_sad.wav", "OAF_dog_sad_2.wav"])
def test_other_file_names_are_ignored(name: str) -> None:
    assert parse(name) is None


def test_nested_copy_is_counted_once(tmp_path: Path) -> None:
    for folder in ("OAF_Fear", "TESS Toronto emotional speech set data/OAF_Fear", "YAF_fear"):
        (tmp_path / folder).mkdir(parents=True)
        speaker = folder.split("/")[-1][:3]
        for word in ("back", "bar"):
            (tmp_path / folder / f"{speaker}_{word}_fear.wav").touch()
    clips = list(Tess(tmp_path).utterances())
    assert [u.id for u in clips] == [
        "tess/OAF_back_fear",
        "tess/OAF_bar_fear",
        "tess/YAF_back_fear",
        "tess/YAF_bar_fear",
    ]
    assert all(u.path.parent.parent == tmp_path for u in clips)


@pytest.mark.corpora
def test_release_has_every_combination(corpora_root: Path) -> None:
    corpus = Tess(corpora_root / "tess")
    clips = list(corpus.utterances())
    assert corpus.differences(clips) == []
    assert corpus.complete()
    assert corpus.strays() == []
    cells = Counter((u.speaker, u.sentence, u.emotion) for u in clips)
    assert len(cells) == len(clips) == 2 * 200 * 7
    assert Counter(u.emotion for u in clips) == dict.fromkeys(
        ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"), 400
    )
    for clip in clips:  # what the folder says, in its many wordings
        assert (
            clip.path.parent.name.lower()
            .replace("pleasant_", "")
            .startswith(f"{clip.speaker[-3:].lower()}_{clip.emotion}")
        )


@pytest.mark.corpora
def test_irregular_files_of_the_release_are_read(corpora_root: Path, tmp_path: Path) -> None:
    shutil.copytree(corpora_root / "originals" / "tess", tmp_path / "TESS Toronto emotional speech set data")
    clips = {u.id: u for u in Tess(tmp_path / "tess").utterances()}
    assert set(clips) == {
        "tess/OAF_back_ps",
        "tess/OAF_bite_neutral",
        "tess/OAF_food_fear",
        "tess/YAF_back_ps",
        "tess/YAF_back_sad",
        "tess/YAF_germ_angry",
        "tess/YAF_neat_fear",
    }
    assert clips["tess/YAF_germ_angry"].path.read_bytes()[:4] == b"FORM"
