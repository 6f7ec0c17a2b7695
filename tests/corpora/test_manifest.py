from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.corpora.manifest import COLUMNS, Utterance, check_manifest, to_table
from ser.errors import BadCorpusError

CLIP = Utterance("savee/DC_a01", Path("DC_a01.wav"), "savee", "savee/DC", "male", "angry", "savee/common1")


def test_rows_keep_their_order_and_say_what_the_clips_say() -> None:
    clips = [replace(CLIP, id=f"savee/{name}") for name in ("b", "c", "a")]
    table = to_table(clips)
    assert table["id"].tolist() == ["savee/b", "savee/c", "savee/a"]
    assert set(COLUMNS) == set(table.columns)
    assert table["path"].tolist() == ["DC_a01.wav"] * 3


def test_an_id_that_occurs_twice_is_named() -> None:
    with pytest.raises(BadCorpusError, match=r"savee/DC_a01 occurs twice .* unique over all corpora"):
        to_table([CLIP, replace(CLIP, id="savee/x"), CLIP])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"emotion": "joy"}, r"emotion is one of angry, calm.*it holds \['joy'\]"),
        ({"sex": "m"}, r"sex is one of female, male; it holds \['m'\]"),
        ({"id": "DC_a01"}, "id 'DC_a01' does not start with its corpus's name"),
        ({"id": "savee2/DC_a01"}, "id 'savee2/DC_a01' does not start"),
        ({"speaker": "ravdess/01"}, "speaker 'ravdess/01' does not start"),
        ({"sentence": "common1"}, "sentence 'common1' does not start"),
    ],
)
def test_a_value_outside_its_vocabulary_or_without_its_corpus_is_named(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadCorpusError, match=told):
        to_table([CLIP, replace(replace(CLIP, id="savee/other"), **change)])


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(BadCorpusError, match=f"lacks the columns.*{column}"):
        check_manifest(to_table([CLIP]).drop(columns=column))


def test_parquet_keeps_integers_gaps_and_votes(tmp_path: Path) -> None:
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


def test_no_clips_give_an_empty_table_with_every_column() -> None:
    table = to_table([])
    assert len(table) == 0
    assert list(table.columns) == list(COLUMNS)
