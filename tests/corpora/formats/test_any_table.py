"""Tables of any layout and any content: what is written is read, and what cannot be read is an error of this library."""

import csv
import io
import json
from pathlib import Path

import pytest
import yaml
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


LEAF = st.none() | st.integers(0, 9) | st.sampled_from(["emotion", "speaker", "test", "filewise", "x", ""])
KEYS = st.sampled_from(
    ["tables", "schemes", "emotion", "speaker", "files", "columns", "labels", "split_id", "scheme_id", 3]
)
HEADERS = st.recursive(LEAF, lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=4))
LINES = st.lists(
    st.text("ab 1.\t|-ÿ", max_size=9) | st.sampled_from(["a a.wav", "a sad", "a a 0 1", "a c |"]), max_size=4
)


@given(
    header=st.dictionaries(KEYS, HEADERS, max_size=3) | HEADERS, table=st.sampled_from(["file,emotion\nno,sad\n", ""])
)
@cases(200)
def test_any_header_of_audformat_is_a_table_or_a_sentence(folder: Path, header: object, table: str) -> None:
    database = folder / "audformat"
    database.mkdir(exist_ok=True)
    (database / "db.yaml").write_text(yaml.safe_dump(header))
    for name in ("emotion", "files", "x"):
        (database / f"db.{name}.csv").write_text(table)
    with pytest.raises(SerError):
        list(Table(database).utterances())


@given(files=st.dictionaries(st.sampled_from(["utt2emo", "utt2spk", "segments", "spk2gender", "text"]), LINES))
@cases(200)
def test_any_kaldi_folder_is_a_table_or_a_sentence(folder: Path, files: dict[str, list[str]]) -> None:
    data = folder / "kaldi"
    data.mkdir(exist_ok=True)
    for file in data.iterdir():
        file.unlink()
    for name, lines in {"wav.scp": ["a no.wav"], **files}.items():
        (data / name).write_text("\n".join(lines), encoding="latin-1")
    with pytest.raises(SerError):
        list(Table(data).utterances())
