"""Tables of any layout and any content: what is written is read, and what cannot be read is an error of this library."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ser.corpora.formats.recognise import read_rows
from ser.corpora.table import Table
from ser.errors import SerError
from tests.fuzz import cases

pytestmark = pytest.mark.slow

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)
NAMES = st.lists(
    st.sampled_from(["path", "label", "speaker", "sex", "note", "größe", "x y", "start"]), min_size=2, unique=True
)
KINDS = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet", ".xlsx", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


@given(data=st.data(), names=NAMES, delimiter=st.sampled_from(",;\t|"), end=st.sampled_from(["\n", "\r\n"]))
@cases(3000)
def test_any_csv_is_read_as_it_was_written(
    folder: Path, data: st.DataObject, names: list[str], delimiter: str, end: str
) -> None:
    rows = data.draw(st.lists(st.lists(CELL, min_size=len(names), max_size=len(names)), max_size=4))
    coding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows([names, *rows])
    file = folder / "my.csv"
    file.write_bytes(text.getvalue().encode(coding))
    found = read_rows(file)
    assert found is not None
    assert (found.columns, found.problems) == (tuple(names), [])
    wanted = [[cell.strip() for cell in row] for row in rows]
    assert [list(row.values()) for _, row in found.rows] == [row for row in wanted if any(row)]


@given(st.lists(st.dictionaries(st.sampled_from(["path", "label", "x"]), CELL | st.integers() | st.none(), min_size=1)))
@cases(500)
def test_any_json_lines_are_read_as_they_were_written(folder: Path, rows: list[dict[str, object]]) -> None:
    file = folder / "my.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = read_rows(file)
    assert found is not None
    assert found.problems == []
    for row, (_, read) in zip(rows, found.rows, strict=True):
        wanted = {name: "" if value is None else str(value).strip() for name, value in row.items()}
        assert {name: read[name] for name in row} == wanted


@given(content=st.binary(max_size=200) | CELL.map(str.encode), suffix=st.sampled_from(KINDS))
@cases(2500)
def test_any_content_is_a_table_or_a_sentence(folder: Path, content: bytes, suffix: str) -> None:
    file = folder / f"any{suffix}"
    file.write_bytes(content)
    with pytest.raises(SerError) as error:  # no clip of it exists
        list(Table(file).utterances())
    assert str(error.value).startswith("data.file must be ")
