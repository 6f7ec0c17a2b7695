"""Protocols that share speakers: what they keep apart all the same, and that they say so."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.errors import SplitError
from ser.protocols.cross_speaker import CrossSpeaker
from ser.protocols.random_split import RandomMatched, RandomUtterances
from ser.protocols.speaker_cv import SpeakerCV
from ser.protocols.stamps import DEV_SHARES_SPEAKERS, SPEAKER_DEPENDENT
from tests.protocols.conftest import check


def test_oaf_yaf_tests_each_speaker_on_the_other(shipped: Any, tess: pd.DataFrame) -> None:
    splits = shipped("oaf_yaf").splits(tess)
    assert len(splits) == 2
    for split, (train, test) in zip(splits, [("OAF", "YAF"), ("YAF", "OAF")], strict=True):
        check(split, tess)
        assert split.stamps == (DEV_SHARES_SPEAKERS,)
        assert set(tess["speaker"].iloc[split.train]) == set(tess["speaker"].iloc[split.dev]) == {f"tess/{train}"}
        assert tess["speaker"].iloc[split.test].tolist() == [f"tess/{test}"] * 70


def test_oaf_yaf_excludes_dev_words_from_training(shipped: Any, tess: pd.DataFrame) -> None:
    for split in shipped("oaf_yaf").splits(tess):
        train, dev = (tess.iloc[rows] for rows in (split.train, split.dev))
        assert not set(train["sentence"]) & set(dev["sentence"])
        assert (train["sentence"].nunique(), dev["sentence"].nunique()) == (8, 2)  # a fifth of ten words
        assert set(dev["emotion"]) == set(train["emotion"]) == set(tess["emotion"])


def test_oaf_yaf_depends_only_on_the_seed(shipped: Any, tess: pd.DataFrame) -> None:
    hashes = [[s.hash(tess) for s in shipped("oaf_yaf", seed=seed).splits(tess)] for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_oaf_yaf_requires_its_two_speakers(shipped: Any, tess: pd.DataFrame, savee: pd.DataFrame) -> None:
    protocol = shipped("oaf_yaf")
    with pytest.raises(SplitError, match="exactly the speakers tess/OAF, tess/YAF; got 4 speakers: savee/DC"):
        protocol.splits(savee)
    with pytest.raises(SplitError, match="got 6 speakers"):
        protocol.splits(pd.concat([tess, savee], ignore_index=True))
    with pytest.raises(SplitError, match="got 1 speaker:"):
        protocol.splits(tess[tess["speaker"] == "tess/OAF"].reset_index(drop=True))


def test_speaker_in_train_and_test_is_an_error(tess: pd.DataFrame) -> None:
    oaf = tess[tess["speaker"] == "tess/OAF"].reset_index(drop=True)
    (split,) = CrossSpeaker("wrong", [["tess/OAF", "tess/OAF"]]).splits(oaf)
    with pytest.raises(SplitError, match="train and test share"):
        check(split, oaf)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.2, 20])
def test_dev_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(SplitError, match=f"dev_share must be a share between 0 and 1; got {share}"):
        CrossSpeaker("x", [["tess/OAF", "tess/YAF"]], dev_share=share)


def test_random_tests_every_utterance_once_and_is_stamped(ravdess: pd.DataFrame) -> None:
    splits = RandomUtterances(5).splits(ravdess)
    tested = np.concatenate([split.test for split in splits])
    assert sorted(tested) == list(range(len(ravdess)))
    for split in splits:
        check(split, ravdess)
        assert split.stamps == (SPEAKER_DEPENDENT,)
        assert sorted(np.concatenate(list(split.sides().values()))) == list(range(len(ravdess)))
        assert set(ravdess["speaker"].iloc[split.test]) & set(ravdess["speaker"].iloc[split.train])


def test_random_is_stratified_by_emotion(savee: pd.DataFrame, ravdess: pd.DataFrame) -> None:
    both = pd.concat([ravdess, savee], ignore_index=True)  # emotions of 24 to 60 clips
    counts = [both["emotion"].iloc[split.test].value_counts() for split in RandomUtterances(7).splits(both)]
    per_fold = pd.DataFrame(counts).fillna(0)
    assert (per_fold.max() - per_fold.min()).max() <= 1
    assert np.ptp([c.sum() for c in counts]) <= 1


def test_random_depends_only_on_the_seed(ravdess: pd.DataFrame) -> None:
    hashes = [[s.hash(ravdess) for s in RandomUtterances(5, seed).splits(ravdess)] for seed in (0, 0, 1)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert len(set(hashes[0])) == 5


def test_random_does_not_depend_on_the_order_of_rows(ravdess: pd.DataFrame, savee: pd.DataFrame) -> None:
    manifest = pd.concat([ravdess, savee], ignore_index=True)
    shuffled = manifest.sample(frac=1, random_state=0, ignore_index=True)
    one, other = ([split.hash(table) for split in RandomUtterances(5).splits(table)] for table in (manifest, shuffled))
    assert one == other


@pytest.mark.parametrize("data", ["ravdess", "savee", "tess"])
def test_random_matched_has_the_sizes_of_speaker_cv(data: str, request: pytest.FixtureRequest) -> None:
    manifest = request.getfixturevalue(data)
    random, honest = RandomMatched().splits(manifest), SpeakerCV().splits(manifest)
    sizes = [
        [{side: len(rows) for side, rows in split.sides().items()} for split in splits] for splits in (random, honest)
    ]
    assert sizes[0] == sizes[1]
    assert sorted(np.concatenate([split.test for split in random])) == list(range(len(manifest))), "each tests once"
    for split in random:
        check(split, manifest)
        assert set(manifest["speaker"].iloc[split.test]) <= set(manifest["speaker"].iloc[split.train])
        shares = [manifest["emotion"].iloc[rows].value_counts(normalize=True) for rows in split.sides().values()]
        assert max(abs(one - other).max() for one in shares for other in shares) < 0.1, "stratified"
    shuffled = manifest.sample(frac=1, random_state=0, ignore_index=True)
    assert [s.hash(manifest) for s in random] == [s.hash(shuffled) for s in RandomMatched().splits(shuffled)]


def test_random_with_two_folds_is_an_error() -> None:
    with pytest.raises(SplitError, match=r"protocol\.folds must be 3 or more"):
        RandomUtterances(2)
