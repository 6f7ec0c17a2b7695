import json
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.manifest import to_table
from ser.corpora.table import Table
from ser.errors import BadCorpusError, ConfigError, CorpusNotFoundError

Touch = Callable[[Iterable[str]], Path]
CLIPS = ("a.wav", "b.wav", "c.wav")


@pytest.fixture
def table(touch: Touch) -> Callable[..., Table]:
    """Write a table beside three empty clips; corpora never read the audio."""
    root = touch(CLIPS)

    def make(text: str, name: str = "my.csv", encoding: str = "utf-8") -> Table:
        (root / name).write_bytes(text.encode(encoding))
        return Table(root / name)

    return make


def problems(table: Table) -> list[str]:
    """What is listed under the first line of the error."""
    with pytest.raises(BadCorpusError) as error:
        table.utterances()
    return [line.strip() for line in str(error.value).splitlines()[1:-1]]


def test_columns_are_read(table: Callable[..., Table]) -> None:
    made = table(
        "path,label,speaker,sentence,sex,age,votes_angry,votes_sad\na.wav,Wut,anna,s1,w,34,3,1\nb.wav,relief,,,,,,\n"
    )
    first, second = made.utterances()
    assert (first.id, first.speaker, first.sentence) == ("table/a.wav", "table/anna", "table/s1")
    assert (first.emotion, first.sex, first.age, first.votes) == ("angry", "female", 34, {"angry": 3.0, "sad": 1.0})
    assert (second.emotion, second.speaker, second.sex, second.votes) == ("relief", None, None, None)
    assert made.remarks() == [
        "Labels read by the table of synonyms: Wut as angry. data.synonyms=false keeps them as written."
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_dialect_gives_the_same_clips(
    table: Callable[..., Table], separator: str, encoding: str, end: str
) -> None:
    lines = [["path", "label", "start"], ["a.wav", "Überraschung", ""], ["b.wav", "sad", "1"]]
    text = end.join(separator.join(line) for line in lines) + end
    assert [u.emotion for u in table(text, encoding=encoding).utterances()] == ["surprise", "sad"]


def test_other_formats_give_the_same_clips(table: Callable[..., Table], tmp_path: Path) -> None:
    rows = [{"path": "a.wav", "label": "sad", "speaker": 3, "start": 0.5}, {"path": "b.wav", "label": "angry"}]
    expected = list(table("path,label,speaker,start\na.wav,sad,3,0.5\nb.wav,angry,,\n").utterances())
    pd.DataFrame(rows).to_parquet(tmp_path / "my.parquet")
    lines = "\n".join(map(json.dumps, rows))
    assert list(Table(tmp_path / "my.parquet").utterances()) == expected
    assert list(table(lines, "my.jsonl").utterances()) == expected
    assert expected[0].id == "table/a.wav@0.5-"


def test_paths_are_taken_from_the_folder_of_the_table(touch: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(["lists/my.csv", "clips/a.wav", "clips/deep/b.wav"])
    (root / "lists" / "my.csv").write_text("path,label\n../clips/a.wav,sad\n../clips/deep/b.wav,angry\n")
    monkeypatch.chdir(root / "clips")
    assert [u.id for u in Table("../lists/my.csv").utterances()] == ["table/a.wav", "table/deep/b.wav"]


def test_quoted_fields_may_hold_separators_and_lines(touch: Touch) -> None:
    root = touch(["a, b.wav", "c.wav"])
    (root / "my.csv").write_text('path,label,sentence\n"a, b.wav",sad,"one\ntwo"\nc.wav,,x\n')
    assert problems(Table(root / "my.csv")) == ["line 4: no label"]


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("x.wav,sad,,\n", "line 2: x.wav does not exist"),
        ("a.wav,,,\n", "line 2: no label"),
        (",sad,,\n", "line 2: no path"),
        ("a.wav,sad\n", "line 2: 2 fields; the first line names 4 columns"),
        ("a.wav,sad,one,\n", "line 2: start must be a number of 0 or more; got one"),
        ("a.wav,sad,-1,\n", "line 2: start must be a number of 0 or more; got -1"),
        ("a.wav,sad,2,1\n", "line 2: end must be after start; got 2 to 1"),
        ("a.wav,sad,,\n\na.wav,angry,,\n", "line 4: a.wav is labelled angry, but sad in line 2"),
        ("a.wav,sad,,\n./a.wav,sad,,\n", "line 3: ./a.wav is again in line 2"),
    ],
)
def test_a_wrong_row_is_listed_with_its_line(table: Callable[..., Table], rows: str, told: str) -> None:
    assert problems(table(f"path,label,start,end\n{rows}")) == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("clip,label\n", "columns must include path; got clip, label. Rename clip to path?"),
        ("path,class\n", "columns must include label; got path, class. Rename class to label?"),
        ("path,label,actor\n", "the column actor is not read; rename it to speaker, or to a name that is less like it"),
        (
            "path,label,gender,spk,spk_id\n",
            "the columns spk and spk_id may both be the speaker; rename one to speaker",
        ),
        (
            "path,label,speker\n",
            "the column speker is not read; rename it to speaker, or to a name that is less like it",
        ),
        ("path,label,label\n", "line 1: the column label is there twice"),
        (
            "path,label,sex,speaker\na.wav,sad,f,x\nb.wav,sad,m,x\n",
            "line 3: the speaker x is female in line 2 and male in line 3",
        ),
    ],
)
def test_a_wrong_column_is_named(table: Callable[..., Table], text: str, told: str) -> None:
    assert problems(table(text)) == [told]


@pytest.mark.parametrize(
    ("age", "told"),
    [
        ("1987", "age must be in years, 150 at most; got 1987"),
        ("1e20", "age must be in years, 150 at most; got 1e20"),
        ("-1", "age must be a number of 0 or more; got -1"),
        ("20-30", "age must be a number of 0 or more; got 20-30"),
    ],
)
def test_a_number_that_is_no_age_is_listed(table: Callable[..., Table], age: str, told: str) -> None:
    assert problems(table(f"path,label,age\na.wav,sad,{age}\n")) == [f"line 2: {told}"]


def test_columns_of_other_toolkits_are_read_and_told(table: Callable[..., Table]) -> None:
    made = table(
        "file,start,end,speaker,gender,emotion\na.wav,0 days,,s1,male,anger\n"
        "b.wav,0 days 00:00:01.500000,0 days 00:01:02,s1,male,fear\n"
    )
    whole, piece = made.utterances()
    assert (whole.id, whole.piece, whole.emotion, whole.sex) == ("table/a.wav", None, "angry", "male")
    assert (piece.id, piece.piece) == ("table/b.wav@1.5-62", (1.5, 62.0))
    assert made.remarks()[0] == "Columns read under another name: file as path, emotion as label, gender as sex."


def test_further_columns_are_kept(table: Callable[..., Table]) -> None:
    made = table("path,label,language,split,id,\na.wav,sad,de,train,7,\nb.wav,sad,,,8,\n")
    first, second = made.utterances()
    assert first.further == {"split": "train", "language": "de", "id": "7"}
    assert second.further == {"id": "8"}
    assert made.remarks() == ["Further columns that are kept, to compare groups by: language, id."]
    manifest = to_table(made.utterances())
    assert manifest["further_language"].tolist()[0] == "de"
    assert manifest["further_language"].isna().tolist() == [False, True]


def test_relative_paths_may_begin_at_the_current_folder(touch: Touch, monkeypatch: pytest.MonkeyPatch) -> None:
    root = touch(["data/a.wav", "tables/my.csv"])
    (root / "tables" / "my.csv").write_text("file,emotion\ndata/a.wav,sad\n")
    monkeypatch.chdir(root)
    made = Table("tables/my.csv")
    assert [u.path for u in made.utterances()] == [root / "data" / "a.wav"]
    assert made.remarks()[-1].startswith("Relative paths are taken from the current folder")


def test_excel_gives_the_same_clips(table: Callable[..., Table], tmp_path: Path) -> None:
    text = "path,label,speaker,age,start\na.wav,sad,3,30,0.5\nb.wav,angry,3,,\n"
    expected = list(table(text).utterances())
    pd.read_csv(tmp_path / "my.csv").to_excel(tmp_path / "my.xlsx", index=False)
    assert list(Table(tmp_path / "my.xlsx").utterances()) == expected
    pd.DataFrame({"path": ["no.wav"], "label": ["sad"]}).to_excel(tmp_path / "my.xlsx", index=False)
    assert problems(Table(tmp_path / "my.xlsx")) == ["line 2: no.wav does not exist"]


def test_name_is_that_of_ids_and_speakers(table: Callable[..., Table], tmp_path: Path) -> None:
    table("path,label,speaker\na.wav,sad,anna\n")
    (clip,) = Table(tmp_path / "my.csv", name="mine").utterances()
    assert (clip.id, clip.corpus, clip.speaker) == ("mine/a.wav", "mine", "mine/anna")
    with pytest.raises(ConfigError, match=r"data\.name must be letters.*got 'a/b'"):
        Table(tmp_path / "my.csv", name="a/b")


def test_lines_that_are_not_utf_8_are_listed(table: Callable[..., Table]) -> None:
    made = table("path,label\na.wav,sad\nb.wav,müde\n", encoding="latin-1")
    assert problems(made) == ["line 3: byte 0xfc is not UTF-8; save the table as UTF-8"]


def test_a_file_that_is_no_table_is_told(table: Callable[..., Table]) -> None:
    assert "zero byte" in problems(table("RIFF\0\0"))[0]
    assert "cannot be read" in problems(table("not parquet", "my.parquet"))[0]
    assert problems(table('{"path": "a.wav", "label": "sad"}\n[1]\n', "my.jsonl")) == [
        "line 2: a list; write one object a line"
    ]


def test_first_twenty_problems_are_listed_and_the_rest_counted(table: Callable[..., Table]) -> None:
    told = problems(table("path,label\n" + "".join(f"no{i}.wav,sad\n" for i in range(25))))
    assert len(told) == 21
    assert (told[0], told[-1]) == ("line 2: no0.wav does not exist", "and 5 more")


def test_missing_table_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    with pytest.raises(CorpusNotFoundError, match=r"data\.file must be .*; got .*my\.csv, which does not exist"):
        Table(tmp_path / "my.csv").utterances()
    with pytest.raises(CorpusNotFoundError, match=r"got none\. Set data\.file=my\.csv"):
        Table().utterances()


def test_synonyms_can_be_left_alone(tmp_path: Path, table: Callable[..., Table]) -> None:
    table("path,label\na.wav,Joy\nb.wav,happiness\n")
    kept = Table(tmp_path / "my.csv", synonyms=False)
    assert [u.emotion for u in kept.utterances()] == ["Joy", "happiness"]
    assert kept.remarks() == []


def test_pieces_of_a_recording_are_its_samples(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).integers(-9000, 9000, 32000).astype(np.int16)
    soundfile.write(tmp_path / "long.wav", sound, 16000)
    (tmp_path / "my.csv").write_text(
        "path,label,start,end\nlong.wav,sad,0.5,1\nlong.wav,angry,1,\nlong.wav,calm,1.5,9\n"
    )
    store = prepare(Table(tmp_path / "my.csv"), tmp_path / "stores", AudioSettings())
    clips = {id_: store.samples[s : s + n] for id_, s, n in store.manifest[["id", "start", "length"]].to_numpy()}
    np.testing.assert_array_equal(clips["table/long.wav@0.5-1"], sound[8000:16000])
    np.testing.assert_array_equal(clips["table/long.wav@1-"], sound[16000:])
    (problem,) = store.card["problems"]
    assert (problem["kind"], problem["detail"]) == ("wrong piece", "1.5 s to 9 s of a file of 2.000 s")
    assert store.card["expected"] == {"utterances": None, "speakers": None, "emotions": {}}
