from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.errors import SplitError
from ser.protocols.loso import LeaveOneSpeakerOut
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.split import Split
from ser.protocols.stamps import DEV_SHARES_SPEAKERS
from ser.runtime.conf_dir import conf_dir
from tests.protocols.conftest import check


def speakers(manifest: pd.DataFrame, rows: np.ndarray) -> set[str]:
    return set(manifest["speaker"].iloc[rows])


def assigned(manifest: pd.DataFrame, splits: list[Split]) -> list[tuple[set[str], ...]]:
    return [tuple(speakers(manifest, rows) for rows in split.sides().values()) for split in splits]


@pytest.mark.parametrize("corpus", ["ravdess", "crema"])
@pytest.mark.parametrize("folds", [3, 5, 10])
def test_every_speaker_tests_once_and_is_on_one_side_of_each_fold(
    corpus: str, folds: int, request: pytest.FixtureRequest
) -> None:
    manifest = request.getfixturevalue(corpus)
    splits = SpeakerCV(folds).splits(manifest)
    assert [split.fold for split in splits] == list(range(folds))
    tested: Counter[str] = Counter()
    devs: Counter[str] = Counter()
    for split in splits:
        check(split, manifest)
        train, dev, test = (speakers(manifest, rows) for rows in split.sides().values())
        assert not train & dev
        assert not (train | dev) & test
        assert train | dev | test == set(manifest["speaker"])
        assert sorted(np.concatenate(list(split.sides().values()))) == list(range(len(manifest)))
        assert split.stamps == ()
        tested.update(test)
        devs.update(dev)
    assert tested == devs == dict.fromkeys(manifest["speaker"].unique(), 1)


def test_sexes_and_corpora_are_balanced_over_folds(ravdess: pd.DataFrame, crema: pd.DataFrame) -> None:
    both = pd.concat([ravdess, crema], ignore_index=True)
    for seed in range(5):
        counts = []
        for split in SpeakerCV(5, seed).splits(both):
            tested = both.iloc[split.test].drop_duplicates("speaker")
            counts.append([((tested["corpus"] == c) & (tested["sex"] == s)).sum() for c, s in GROUPS] + [len(tested)])
        assert np.ptp(counts, axis=0).max() <= 1


GROUPS = [(c, s) for c in ("ravdess", "crema") for s in ("female", "male")]


def test_folds_depend_only_on_the_seed(ravdess: pd.DataFrame) -> None:
    first = assigned(ravdess, SpeakerCV(5, 1).splits(ravdess))
    shuffled = ravdess.sample(frac=1.0, random_state=3).reset_index(drop=True)
    assert assigned(shuffled, SpeakerCV(5, 1).splits(shuffled)) == first
    assert assigned(ravdess, SpeakerCV(5, 2).splits(ravdess)) != first


def test_dropped_labels_do_not_move_speakers(ravdess: pd.DataFrame) -> None:
    fewer = ravdess[ravdess["emotion"] != "calm"].reset_index(drop=True)
    assert assigned(fewer, SpeakerCV(5).splits(fewer)) == assigned(ravdess, SpeakerCV(5).splits(ravdess))


def test_there_are_no_more_folds_than_speakers(savee: pd.DataFrame) -> None:
    splits = SpeakerCV(5).splits(savee)
    assert [speakers(savee, split.test) for split in splits] == [
        speakers(savee, split.test) for split in SpeakerCV(4).splits(savee)
    ]
    assert [len(speakers(savee, split.train)) for split in splits] == [2, 2, 2, 2]


def test_two_speakers_test_each_other_with_held_out_words_as_dev(tess: pd.DataFrame) -> None:
    splits = SpeakerCV(5).splits(tess)
    assert sorted(tuple(speakers(tess, split.test)) for split in splits) == [("tess/OAF",), ("tess/YAF",)]
    for split in splits:
        check(split, tess)
        assert split.stamps == (DEV_SHARES_SPEAKERS,)
        words = [set(tess["sentence"].iloc[rows]) for rows in (split.train, split.dev)]
        assert not words[0] & words[1]
        assert len(split.dev) * 4 == len(split.train)


def test_one_speaker_is_an_error(tess: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="requires at least 2 speakers"):
        SpeakerCV().splits(tess[tess["speaker"] == "tess/OAF"])


@pytest.mark.parametrize("folds", [2, 1, 0, -1])
def test_fewer_than_three_folds_are_an_error(folds: int) -> None:
    with pytest.raises(SplitError, match=rf"protocol\.folds must be 3 or more \(test, dev, train\); got {folds}\."):
        SpeakerCV(folds)


@pytest.mark.parametrize("dev_speakers", [1, 2])
def test_loso_tests_each_speaker_once_and_the_next_are_dev(savee: pd.DataFrame, dev_speakers: int) -> None:
    splits = LeaveOneSpeakerOut(dev_speakers).splits(savee)
    ring = ["savee/DC", "savee/JE", "savee/JK", "savee/KL"] * 2
    assert len(splits) == 4
    for i, split in enumerate(splits):
        check(split, savee)
        train, dev, test = (speakers(savee, rows) for rows in split.sides().values())
        assert test == {ring[i]}
        assert dev == set(ring[i + 1 : i + 1 + dev_speakers])
        assert train == set(ring) - dev - test


@pytest.mark.parametrize(
    ("dev_speakers", "told"),
    [(3, "requires at least 5 speakers .*; got 4"), (0, "dev_speakers must be 1 or more, .*; got 0")],
)
def test_loso_requires_a_speaker_on_every_side(savee: pd.DataFrame, dev_speakers: int, told: str) -> None:
    with pytest.raises(SplitError, match=told):
        LeaveOneSpeakerOut(dev_speakers).splits(savee)


def test_loso_with_two_speakers_suggests_oaf_yaf(tess: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match=r"got 2: tess/OAF, tess/YAF.*protocol=oaf_yaf"):
        LeaveOneSpeakerOut().splits(tess)


@pytest.mark.parametrize("name", sorted(file.stem for file in (Path(conf_dir()) / "protocol").glob("*.yaml")))
def test_protocols_are_named_like_their_files(name: str, shipped: Any) -> None:
    assert shipped(name).name == name
