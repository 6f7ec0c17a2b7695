from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.corpora.manifest import Utterance, to_table
from ser.errors import SplitError
from ser.protocols.split import Split, from_speakers
from ser.protocols.stamps import DEV_SHARES_SPEAKERS, SPEAKER_DEPENDENT
from tests.protocols.conftest import check

SIDES = ("train", "dev", "test")


@pytest.fixture
def manifest() -> pd.DataFrame:
    """Five speakers, a to e, two clips each: rows 0 and 1 are a's."""
    return to_table(
        Utterance(f"x/{s}{i}", Path(f"{s}{i}.wav"), "x", f"x/{s}", "male", "sad", f"x/{i}")
        for s in "abcde"
        for i in (1, 2)
    )


def split(train: list[int], dev: list[int], test: list[int], *stamps: str) -> Split:
    return Split(3, np.array(train, int), np.array(dev, int), np.array(test, int), stamps)


def sharing(one: str, other: str, *stamps: str) -> Split:
    """Speaker a is in both sides, once in each; the third side has a speaker of its own."""
    rows = {one: [0, 2, 3], other: [1, 4, 5], next(s for s in SIDES if s not in (one, other)): [6, 7]}
    return split(rows["train"], rows["dev"], rows["test"], *stamps)


def test_disjoint_speakers_pass(manifest: pd.DataFrame) -> None:
    check(split([0, 1, 2, 3], [4, 5], [6, 7]), manifest)


@pytest.mark.parametrize("empty", SIDES)
def test_empty_side_is_an_error_that_names_it(manifest: pd.DataFrame, empty: str) -> None:
    rows = {"train": [0, 1], "dev": [2, 3], "test": [4, 5], empty: []}
    with pytest.raises(SplitError, match=f"Fold 3 has no {empty} utterances"):
        check(split(**rows), manifest)


@pytest.mark.parametrize(("one", "other"), [("train", "dev"), ("train", "test"), ("dev", "test")])
@pytest.mark.parametrize("stamps", [(), (SPEAKER_DEPENDENT,), (DEV_SHARES_SPEAKERS,)])
def test_utterance_on_two_sides_is_an_error_whatever_the_stamp(
    manifest: pd.DataFrame, one: str, other: str, stamps: tuple[str, ...]
) -> None:
    rows = {"train": [0, 1], "dev": [2, 3], "test": [4, 5]}
    rows[other] = [*rows[other], rows[one][1]]
    with pytest.raises(
        SplitError, match=f"{one} and {other} share 1 utterance, for example {manifest['id'][rows[one][1]]}"
    ):
        check(split(*rows.values(), *stamps), manifest)


def test_repeated_id_on_two_sides_is_an_error(manifest: pd.DataFrame) -> None:
    twice = pd.concat([manifest, manifest], ignore_index=True)
    with pytest.raises(SplitError, match="train and test share 2 utterances, for example x/a1"):
        check(split([0, 1], [2, 3], [10, 11], SPEAKER_DEPENDENT), twice)


@pytest.mark.parametrize(("one", "other"), [("train", "dev"), ("train", "test"), ("dev", "test")])
def test_speaker_on_two_sides_is_an_error_that_names_them(manifest: pd.DataFrame, one: str, other: str) -> None:
    with pytest.raises(SplitError, match=f"Fold 3: {one} and {other} share speakers: x/a"):
        check(sharing(one, other), manifest)


@pytest.mark.parametrize(("one", "other"), list(permutations(SIDES, 2)))
@pytest.mark.parametrize(
    ("stamp", "admitted"),
    [
        (SPEAKER_DEPENDENT, [{"train", "dev"}, {"train", "test"}, {"dev", "test"}]),
        (DEV_SHARES_SPEAKERS, [{"train", "dev"}]),
        ("another stamp", []),
    ],
)
def test_stamp_allows_only_the_sharing_that_it_declares(
    manifest: pd.DataFrame, one: str, other: str, stamp: str, admitted: list[set[str]]
) -> None:
    shared = sharing(one, other, stamp)
    if {one, other} in admitted:
        check(shared, manifest)
    else:
        with pytest.raises(SplitError, match="share speakers"):
            check(shared, manifest)


def test_hash_depends_on_ids_not_on_rows(manifest: pd.DataFrame) -> None:
    first = split([0, 1, 2, 3], [4, 5], [6, 7])
    order = np.random.default_rng(0).permutation(len(manifest))
    row_of = np.argsort(order)
    shuffled = Split(9, *(np.sort(row_of[rows]) for rows in first.sides().values()))
    assert shuffled.hash(manifest.iloc[order].reset_index(drop=True)) == first.hash(manifest)


def test_hash_changes_when_an_id_moves_or_is_added_or_removed(manifest: pd.DataFrame) -> None:
    splits = [
        split([0, 1, 2, 3], [4, 5], [6, 7]),
        split([0, 1, 2], [3, 4, 5], [6, 7]),
        split([0, 1, 2], [4, 5], [6, 7]),
        split([0, 1, 2, 3], [4, 5], [6, 7, 8]),
        split([4, 5], [0, 1, 2, 3], [6, 7]),
        split([0, 1, 2, 3], [6, 7], [4, 5]),
    ]
    assert len({s.hash(manifest) for s in splits}) == len(splits)


def test_unlisted_speakers_train_unless_training_is_listed(manifest: pd.DataFrame) -> None:
    rest = from_speakers(manifest, 0, dev={"x/b"}, test={"x/d"})
    assert [rows.tolist() for rows in rest.sides().values()] == [[0, 1, 4, 5, 8, 9], [2, 3], [6, 7]]
    listed = from_speakers(manifest, 0, dev={"x/b"}, test={"x/d"}, train={"x/a"})
    assert [rows.tolist() for rows in listed.sides().values()] == [[0, 1], [2, 3], [6, 7]]
