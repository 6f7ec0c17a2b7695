"""A search that looked at test speakers is stamped with how many."""

from typing import Any

import pandas as pd
import pytest

from ser.errors import SplitError
from ser.protocols.loso import LeaveOneSpeakerOut
from ser.protocols.searched import search_stamp
from ser.protocols.split import from_speakers


@pytest.mark.parametrize(
    ("data", "protocol", "said"),
    [
        ("savee", "loso", "4 of 4"),
        ("ravdess", "speaker_cv", "24 of 24"),
        ("ravdess", "luna5", "10 of 24"),  # as counted by hand in its YAML: each fold lists two dev speakers
        ("crema", "emosuperb", "91 of 91"),
        ("tess", "oaf_yaf", "2 of 2"),
    ],
)
def test_a_search_over_all_folds_looks_at_test_speakers(
    shipped: Any, data: str, protocol: str, said: str, request: pytest.FixtureRequest
) -> None:
    manifest = request.getfixturevalue(data)
    splits = shipped(protocol).splits(manifest)
    every = range(len(splits))
    assert search_stamp(splits, manifest, every, every) == f"settings chosen on test speakers: {said}"
    assert all(search_stamp(splits, manifest, [fold], [fold]) == "" for fold in every), "nested"


def test_numbers_are_those_of_reported_test_speakers(savee: pd.DataFrame) -> None:
    manifest = savee
    splits = LeaveOneSpeakerOut().splits(manifest)  # fold i tests speaker i, and i + 1 is dev
    assert search_stamp(splits, manifest, [0], range(4)) == "settings chosen on test speakers: 1 of 4"
    assert search_stamp(splits, manifest, [0], [1]) == "settings chosen on test speakers: 1 of 1"
    assert search_stamp(splits, manifest, [0], [0, 2, 3]) == "", "whose dev speaker is not among those who test"
    assert search_stamp(splits, manifest, [], range(4)) == ""


def test_dev_speakers_who_never_test_leave_no_stamp(savee: pd.DataFrame) -> None:
    tests = enumerate(["savee/JE", "savee/JK", "savee/KL"])
    splits = [from_speakers(savee, fold, dev={"savee/DC"}, test={speaker}) for fold, speaker in tests]
    assert search_stamp(splits, savee, range(3), range(3)) == ""


def test_searched_folds_must_exist(savee: pd.DataFrame) -> None:
    splits = LeaveOneSpeakerOut().splits(savee)
    with pytest.raises(SplitError, match="searched must be folds from 0 to 3; got 4"):
        search_stamp(splits, savee, [0, 4], range(4))
