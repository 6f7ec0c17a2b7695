"""A few clips of each test speaker train: how many, of which emotions, and that results say so."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.errors import SplitError
from ser.protocols.few_shot import FewShot
from ser.protocols.speaker_cv import SpeakerCV, deal_speakers
from ser.protocols.stamps import SPEAKER_DEPENDENT
from tests.protocols.conftest import check, of


@pytest.mark.parametrize("clips", [1, 7, 8, 12])
def test_each_test_speaker_has_the_set_number_of_training_clips(whole_ravdess: pd.DataFrame, clips: int) -> None:
    manifest = whole_ravdess
    splits = FewShot(clips).splits(manifest)
    plain = SpeakerCV(5).splits(manifest)
    for split, without in zip(splits, plain, strict=True):
        check(split, manifest)
        assert split.stamps == (
            SPEAKER_DEPENDENT,
            f"few-shot: {clips} clips of each test speaker in training",
        )
        assert split.dev.tolist() == without.dev.tolist()
        moved = np.setdiff1d(split.train, without.train)
        assert sorted([*moved, *split.test]) == without.test.tolist()
        given = pd.crosstab(manifest["speaker"].iloc[moved], manifest["emotion"].iloc[moved])
        assert set(given.index) == of(manifest, split.test, "speaker")
        assert (given.sum(axis=1) == clips).all()
        given = given.reindex(columns=sorted(set(manifest["emotion"])), fill_value=0)
        assert ((given.max(axis=1) - given.min(axis=1)) <= 1).all()  # 8 emotions, of which neutral has 4 clips


def test_exhausted_emotion_is_replaced_by_the_others(savee: pd.DataFrame) -> None:
    (split, *_) = FewShot(clips=20, folds=4).splits(savee)  # 7 emotions, 3 clips of each: all but one
    (speaker,) = of(savee, split.test, "speaker")
    assert len(split.test) == 1
    assert (savee["speaker"].iloc[split.train] == speaker).sum() == 20


def test_there_are_no_more_folds_than_speakers(shipped: Any, savee: pd.DataFrame) -> None:
    splits = shipped("few_shot").splits(savee)
    assert len(splits) == 4
    groups = deal_speakers(savee, 4, seed=0)
    for split, group in zip(splits, groups, strict=True):
        check(split, savee)
        assert of(savee, split.test, "speaker") == group
    three = savee[savee["speaker"] != "savee/DC"].reset_index(drop=True)
    assert len(FewShot().splits(three)) == 3


def test_folds_depend_only_on_the_seed(whole_savee: pd.DataFrame) -> None:
    first, again, other = ([s.hash(whole_savee) for s in FewShot(seed=n).splits(whole_savee)] for n in (0, 0, 1))
    assert first == again != other
    shuffled = whole_savee.sample(frac=1, random_state=3).reset_index(drop=True)
    assert [s.hash(shuffled) for s in FewShot(seed=0).splits(shuffled)] == first


def test_speakers_with_too_few_clips_are_named(savee: pd.DataFrame, tess: pd.DataFrame) -> None:
    with pytest.raises(
        SplitError, match=r"clips must be .* at most 20 here; got 21, which leaves savee/DC, .* without test clips"
    ):
        FewShot(clips=21).splits(savee)
    with pytest.raises(SplitError, match=r"requires at least 3 speakers .*; got 2: tess/OAF, tess/YAF"):
        FewShot().splits(tess)


@pytest.mark.parametrize(
    ("clips", "folds", "told"),
    [(0, 5, r"protocol\.clips must be 1 or more; got 0"), (7, 2, r"protocol\.folds must be 3 or more")],
)
def test_settings_out_of_range_are_errors(clips: int, folds: int, told: str) -> None:
    with pytest.raises(SplitError, match=told):
        FewShot(clips, folds)
