"""Splits in a file come back as they were, or not at all."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.errors import SplitError
from ser.protocols.few_shot import FewShot
from ser.protocols.split_file import SplitFile, read_splits, write_splits
from ser.protocols.text_independent import TextIndependent
from tests.protocols.conftest import check


@pytest.fixture
def file(tmp_path: Path, savee: pd.DataFrame) -> Path:
    """Text-independent folds of SAVEE."""
    path = tmp_path / "folder" / "splits.json"
    write_splits(TextIndependent(3).splits(savee), savee, path, "text_independent")
    return path


def edited(path: Path, edit: Callable[[Any], object]) -> Path:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("protocol", [TextIndependent(3), FewShot(5)])
def test_splits_are_unchanged_after_writing_and_reading(
    protocol: Any, shipped: Any, savee: pd.DataFrame, tmp_path: Path
) -> None:
    splits = protocol.splits(savee)
    path = tmp_path / "splits.json"
    write_splits(splits, savee, path, protocol.name)
    back = shipped("file", path=str(path)).splits(savee)
    for split, read in zip(splits, back, strict=True):
        check(read, savee)
        assert read.hash(savee) == split.hash(savee)
        assert (read.fold, read.stamps, read.text_independent) == (split.fold, split.stamps, split.text_independent)
        for side, rows in split.sides().items():
            assert getattr(read, side).tolist() == rows.tolist()


def test_order_of_the_data_and_extra_clips_do_not_matter(file: Path, savee: pd.DataFrame, tess: pd.DataFrame) -> None:
    more = pd.concat([tess, savee]).sample(frac=1, random_state=0).reset_index(drop=True)
    hashes = [split.hash(savee) for split in TextIndependent(3).splits(savee)]
    assert [split.hash(more) for split in read_splits(file, more)] == hashes


def test_file_names_its_protocol_and_is_deterministic(file: Path, savee: pd.DataFrame) -> None:
    content = json.loads(file.read_text())
    assert content["protocol"] == "text_independent"
    fold = content["folds"][1]
    assert fold["fold"] == 1
    assert fold["test"] == sorted(fold["test"])
    before = file.read_bytes()
    shuffled = savee.sample(frac=1, random_state=0).reset_index(drop=True)
    write_splits(TextIndependent(3).splits(shuffled), shuffled, file, "text_independent")
    assert file.read_bytes() == before
    assert [f.name for f in file.parent.iterdir()] == ["splits.json"]


def test_utterances_missing_in_the_data_are_named(file: Path, savee: pd.DataFrame) -> None:
    fewer = savee[~savee["id"].isin(["savee/DC_a01", "savee/JE_n02"])].reset_index(drop=True)
    with pytest.raises(
        SplitError, match=r"must name utterances of the data; got \d others in \w+ of fold 0: savee/(DC_a01|JE_n02)"
    ):
        read_splits(file, fewer)


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c["folds"][2]["train"].append(c["folds"][2]["test"].pop()),
        lambda c: c["folds"][2]["dev"].pop(),
        lambda c: c["folds"][2]["test"].append(c["folds"][2]["test"][0]),
        lambda c: c["folds"][2].update(hash="0" * 16),
    ],
)
def test_edited_file_is_an_error(file: Path, savee: pd.DataFrame, edit: Callable[[Any], object]) -> None:
    with pytest.raises(SplitError, match=r"ids of fold 2 must match its hash .* the file was edited"):
        read_splits(edited(file, edit), savee)


@pytest.mark.parametrize(
    "edit", [lambda c: c.pop("folds"), lambda c: c["folds"][0].pop("dev"), lambda c: c.update(folds=3)]
)
def test_other_json_is_an_error(file: Path, savee: pd.DataFrame, edit: Callable[[Any], object]) -> None:
    with pytest.raises(SplitError, match="must be a whole file of splits"):
        read_splits(edited(file, edit), savee)


def test_truncated_and_missing_files_are_errors(file: Path, shipped: Any, savee: pd.DataFrame) -> None:
    file.write_text(file.read_text()[:500])
    with pytest.raises(SplitError, match="must be a whole file of splits"):
        read_splits(file, savee)
    with pytest.raises(SplitError, match=r"protocol\.path must be an existing file of splits; got nowhere\.json"):
        SplitFile("nowhere.json").splits(savee)
    with pytest.raises(SplitError, match=r"protocol\.path must be a file of splits for protocol=file; got none"):
        shipped("file").splits(savee)
