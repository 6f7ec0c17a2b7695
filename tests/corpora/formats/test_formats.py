"""Every format gives the clips that its files state, and lists what is wrong with its place."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pytest

from ser.corpora.manifest import Utterance
from ser.corpora.table import Table
from ser.errors import BadCorpusError, CorpusNotFoundError

Touch = Callable[[Iterable[str]], Path]
Fact = tuple[str, str, str | None, str | None, str | None]


def write(root: Path, files: dict[str, str]) -> Path:
    """Write files of text below a folder."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def facts(clips: Iterable[Utterance]) -> list[Fact]:
    """What a manifest states of each clip, with the split."""
    return [
        (u.id.partition("/")[2], u.emotion, u.speaker and u.speaker[6:], u.sex, (u.further or {}).get("split"))
        for u in clips
    ]


def problems(path: Path) -> list[str]:
    with pytest.raises(BadCorpusError) as error:
        Table(path).utterances()
    return [line.strip() for line in str(error.value).splitlines()[1:-1]]


@pytest.fixture
def audiofolder(touch: Touch) -> Path:
    return write(
        touch(["train/a.wav", "train/b.wav", "test/c.wav"]),
        {
            "train/metadata.csv": "file_name,label,speaker_id\na.wav,joy,s1\nb.wav,sad,s1\n",
            "test/metadata.jsonl": '{"file_name": "c.wav", "label": "joy", "speaker_id": "s2"}\n',
        },
    )


def test_audiofolder_has_tables_in_its_splits(audiofolder: Path) -> None:
    table = Table(audiofolder)
    assert facts(table.utterances()) == [
        ("test/c.wav", "happy", "s2", None, "test"),
        ("train/a.wav", "happy", "s1", None, "train"),
        ("train/b.wav", "sad", "s1", None, "train"),
    ]
    assert table.layout() == "audiofolder with 2 tables metadata.*"


def test_audiofolder_has_one_table_for_folders_of_splits(audiofolder: Path) -> None:
    for file in audiofolder.glob("*/metadata.*"):
        file.unlink()
    write(audiofolder, {"metadata.csv": "file_name,label\ntrain/a.wav,joy\ntest/c.wav,sad\n"})
    expected = [("test/c.wav", "sad", None, None, "test"), ("train/a.wav", "happy", None, None, "train")]
    assert facts(Table(audiofolder).utterances()) == expected
    assert facts(Table(audiofolder / "metadata.csv").utterances()) == expected


def test_problems_of_audiofolder_name_the_table(audiofolder: Path) -> None:
    write(audiofolder, {"train/metadata.csv": "file_name,label,speaker_id\na.wav,,s1\nno.wav,sad,s1\n"})
    assert problems(audiofolder) == [
        "train/metadata.csv line 2: no label",
        "train/metadata.csv line 3: train/no.wav does not exist",
    ]


@pytest.fixture
def kaldi(touch: Touch) -> Path:
    return write(
        touch(["wav/a.wav", "wav/b.wav"]),
        {
            "wav.scp": "r1 wav/a.wav\nr2 wav/b.wav\n",
            "utt2emo": "anna-1 angry\nanna-2\tneutral\nben-1 sad\n",
            "utt2spk": "anna-1 anna\nanna-2 anna\nben-1 ben\n",
            "spk2gender": "anna f\nben m\n",
            "segments": "anna-1 r1 0.5 1.5\nanna-2 r1 1.5 -1\nben-1 r2 0 2\n",
            "text": "anna-1 it is eleven\nben-1 it is eleven\n",
        },
    )


def test_kaldi_folder_with_segments(kaldi: Path) -> None:
    clips = list(Table(kaldi).utterances())
    assert facts(clips) == [
        ("wav/a.wav@0.5-1.5", "angry", "anna", "female", None),
        ("wav/a.wav@1.5-", "neutral", "anna", "female", None),
        ("wav/b.wav@0-2", "sad", "ben", "male", None),
    ]
    assert [u.sentence for u in clips] == ["table/it is eleven", None, "table/it is eleven"]
    assert list(Table(kaldi / "wav.scp").utterances()) == clips
    assert Table(kaldi).remarks() == []


def test_kaldi_folders_of_splits_are_read_together(touch: Touch) -> None:
    root = touch(["a.wav", "b.wav"])
    for split, name in (("train", "a"), ("test", "b")):
        write(root / split, {"wav.scp": f"{name} {root}/{name}.wav\n", "utt2emo": f"{name} sad\n"})
    found = facts(Table(root).utterances())
    assert found == [("a.wav", "sad", None, None, "train"), ("b.wav", "sad", None, None, "test")]


def test_problems_of_a_kaldi_folder_name_file_and_line(kaldi: Path) -> None:
    (kaldi / "segments").unlink()
    write(kaldi, {"wav.scp": "anna-1 wav/a.wav\nanna-2 sox x.flac -t wav - |\nclara-1 wav/b.wav\nanna-1 wav/b.wav\n"})
    assert problems(kaldi) == [
        "utt2emo line 2: wav.scp has a command for anna-2, which is not run; write the file, and give its path",
        "utt2emo line 3: ben-1 is not in wav.scp",
        "wav.scp line 3: clara-1 has no line in utt2emo",
        "wav.scp line 4: anna-1 is there twice",
    ]
    (kaldi / "utt2emo").unlink()
    assert "wav.scp is there, but no utt2emo" in problems(kaldi)[0]


HEADER = """\
name: emodb
schemes:
  emotion: {dtype: str, labels: [anger, boredom]}
  speaker:
    dtype: int
    labels:
      3: {gender: male, age: 31}
      8: {gender: female, age: 34}
  transcription: {labels: {a01: Der Lappen}}
splits:
  test: {type: test}
tables:
  emotion:
    type: filewise
    columns:
      emotion: {scheme_id: emotion, rater_id: gold}
      emotion.confidence: {scheme_id: confidence}
  files:
    type: filewise
    columns:
      speaker: {scheme_id: speaker}
      transcription: {scheme_id: transcription}
  segments:
    type: segmented
    split_id: test
    columns:
      value: {scheme_id: emotion}
"""


@pytest.fixture
def audformat(touch: Touch) -> Path:
    return write(
        touch(["wav/a.wav", "wav/b.wav"]),
        {
            "db.yaml": HEADER,
            "db.emotion.csv": "file,emotion,emotion.confidence\nwav/a.wav,anger,0.9\nwav/b.wav,boredom,1\n",
            "db.files.csv": "file,speaker,transcription\nwav/a.wav,3,a01\nwav/b.wav,8,a01\n",
            "db.segments.csv": "file,start,end,value\nwav/a.wav,0 days,0 days 00:00:01.500000,anger\n",
        },
    )


def test_audformat_database(audformat: Path) -> None:
    table = Table(audformat)
    clips = list(table.utterances())
    assert facts(clips) == [
        ("wav/a.wav", "angry", "3", "male", None),
        ("wav/b.wav", "bored", "8", "female", None),
    ]
    assert [(u.age, u.sentence, u.further) for u in clips] == [
        (31, "table/a01", {"emotion.confidence": "0.9"}),
        (34, "table/a01", {"emotion.confidence": "1"}),
    ]
    assert table.layout() == "audformat database, table emotion"
    assert list(Table(audformat / "db.yaml").utterances()) == clips


def test_audformat_table_of_pieces_is_chosen_by_its_file(audformat: Path) -> None:
    (clip,) = Table(audformat / "db.segments.csv").utterances()
    assert facts([clip]) == [("wav/a.wav@0-1.5", "angry", "3", "male", "test")]


def test_audformat_speakers_may_be_a_table(audformat: Path) -> None:
    speakers = pd.DataFrame({"speaker": [3, 8], "gender": ["male", "female"], "age": [31, 34]})
    speakers.to_parquet(audformat / "db.speaker.parquet")
    before = list(Table(audformat).utterances())
    of_header = "labels:\n      3: {gender: male, age: 31}\n      8: {gender: female, age: 34}"
    assert of_header in HEADER
    write(audformat, {"db.yaml": HEADER.replace(of_header, "labels: speaker")})
    assert list(Table(audformat).utterances()) == before


def test_problems_of_an_audformat_database_are_listed(audformat: Path) -> None:
    write(audformat, {"db.emotion.csv": "file,emotion,emotion.confidence\nwav/no.wav,anger,0.9\n"})
    assert problems(audformat) == ["db.emotion.csv line 2: wav/no.wav does not exist"]
    (audformat / "db.emotion.csv").unlink()
    assert "db.emotion: no such table as .csv or .parquet" in problems(audformat)
    write(audformat, {"db.yaml": "name: [\n"})
    assert any(told.startswith("db.yaml: not a header in YAML") for told in problems(audformat))
    write(audformat, {"db.yaml": "name: x\n"})
    assert problems(audformat) == ["db.yaml: one table must have the column emotion; got no such column"]


def test_a_folder_of_no_format_is_an_error(touch: Touch) -> None:
    with pytest.raises(CorpusNotFoundError, match="a folder without a table that is recognised"):
        Table(touch(["a.wav"])).utterances()
