from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.corpora.manifest import COLUMNS, Utterance, check_manifest, to_table
from ser.errors import BadCorpusError

CLIP = Utterance("savee/DC_a01", Path("DC_a01.wav"), "savee", "savee/DC", "male", "angry", "savee/common1")


def test_rows_keep_the_order_and_values_of_the_clips() -> None:
    clips = [replace(CLIP, id=f"savee/{name}") for name in ("b", "c", "a")]
    table = to_table(clips)
    assert table["id"].tolist() == ["savee/b", "savee/c", "savee/a"]
    assert set(COLUMNS) == set(table.columns)
    assert table["path"].tolist() == ["DC_a01.wav"] * 3


def test_repeated_id_is_named() -> None:
    with pytest.raises(BadCorpusError, match=r"unique over all corpora; got savee/DC_a01 twice"):
        to_table([CLIP, replace(CLIP, id="savee/x"), CLIP])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"emotion": " "}, r"emotion must be a word; got ' '\."),
        ({"emotion": None}, r"emotion must be a word in every row; got 1 without\."),
        ({"sex": ""}, r"sex must be a word; got ''\."),
        ({"id": "DC_a01"}, "id must start with its corpus's name and '/'; got 'DC_a01'"),
        ({"id": "savee2/DC_a01"}, "id must start .*; got 'savee2/DC_a01'"),
        ({"speaker": "ravdess/01"}, "speaker must start .*; got 'ravdess/01'"),
        ({"sentence": "common1"}, "sentence must start .*; got 'common1'"),
    ],
)
def test_value_outside_its_vocabulary_or_without_its_corpus_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadCorpusError, match=told):
        to_table([CLIP, replace(replace(CLIP, id="savee/other"), **change)])


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_column_is_named(column: str) -> None:
    with pytest.raises(BadCorpusError, match=f"must have the columns .*; got no {column}"):
        check_manifest(to_table([CLIP]).drop(columns=column))


def test_parquet_keeps_integers_missing_values_and_votes(tmp_path: Path) -> None:
    clips = [
        replace(CLIP, id="savee/1", repetition=2, age=41, votes={"angry": 7.0, "sad": 2.5}, intensity="strong"),
        replace(CLIP, id="savee/2", repetition=None, age=None, votes=None),
        replace(CLIP, id="savee/3", repetition=1, age=None, votes={"angry": 0.0, "sad": 1.0}),
    ]
    to_table(clips).to_parquet(tmp_path / "manifest.parquet", index=False)
    back = pd.read_parquet(tmp_path / "manifest.parquet")
    check_manifest(back)
    assert str(back["repetition"].dtype) == str(back["age"].dtype) == "Int64"
    assert back["repetition"].fillna(-1).tolist() == [2, -1, 1]
    assert back["age"].fillna(-1).tolist() == [41, -1, -1]
    assert back["votes_angry"].fillna(-1).tolist() == [7.0, -1, 0.0]
    assert back["votes_sad"].fillna(-1).tolist() == [2.5, -1, 1.0]
    assert back["intensity"].isna().tolist() == [False, True, True]
    assert back["race"].isna().all()


def test_own_emotions_and_unknown_speaker_sex_and_sentence_are_kept(tmp_path: Path) -> None:
    unknown = replace(CLIP, id="savee/x", speaker=None, sex=None, sentence=None, emotion="bored", piece=(1.0, None))
    table = to_table([replace(CLIP, sex="nonbinary"), unknown])
    assert list(table.columns) == list(COLUMNS)
    table.to_parquet(tmp_path / "manifest.parquet", index=False)
    back = pd.read_parquet(tmp_path / "manifest.parquet")
    check_manifest(back)
    assert back["emotion"].tolist() == ["angry", "bored"]
    assert back["sex"].iloc[0] == "nonbinary"
    assert back[["speaker", "sex", "sentence"]].isna().iloc[1].all()


def test_text_of_a_whole_clip_does_not_name_its_piece() -> None:
    assert "piece" not in str(CLIP)


def test_no_clips_give_an_empty_table_with_every_column() -> None:
    table = to_table([])
    assert len(table) == 0
    assert list(table.columns) == list(COLUMNS)
