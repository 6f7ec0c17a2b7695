"""Corpora on two sides: who trains, who is dev, and that nothing of a test corpus is heard before."""

from typing import Any

import pandas as pd
import pytest

from ser.errors import SplitError
from ser.protocols.cross_corpus import CrossCorpus, choose_speakers
from ser.protocols.leave_one_corpus_out import LeaveOneCorpusOut
from ser.protocols.speaker_cv import SpeakerCV
from tests.protocols.conftest import check, of, together


@pytest.fixture(scope="module")
def four(ravdess: pd.DataFrame, crema: pd.DataFrame, savee: pd.DataFrame, tess: pd.DataFrame) -> pd.DataFrame:
    """The four corpora, without the emotion that RAVDESS alone has."""
    every = together(ravdess, crema, savee, tess)
    return every[every["emotion"] != "calm"].reset_index(drop=True)


def test_the_lists_say_which_corpora_are_on_which_side(shipped: Any, four: pd.DataFrame) -> None:
    (split,) = shipped("cross_corpus", train=["ravdess", "tess"], test=["savee"]).splits(four)
    check(split, four)
    assert (split.fold, split.stamps, split.text_independent) == (0, (), False)
    assert of(four, split.train, "corpus") == of(four, split.dev, "corpus") == {"ravdess", "tess"}
    assert split.test.tolist() == four.index[four["corpus"] == "savee"].tolist()
    # Nothing of the training corpora is left out, and nothing of CREMA-D is there.
    assert len(split.train) + len(split.dev) == four["corpus"].isin(["ravdess", "tess"]).sum()


def test_dev_is_a_fifth_of_the_speakers_of_each_training_corpus_of_either_sex(four: pd.DataFrame) -> None:
    for seed in range(5):
        (split,) = CrossCorpus(["ravdess", "crema", "tess"], ["savee"], seed=seed).splits(four)
        dev = four.iloc[split.dev].drop_duplicates("speaker").groupby(["corpus", "sex"]).size().to_dict()
        assert dev["tess", "female"] == 1
        # 5 of 24 actors, 12 of each sex: 2 and 3. 18 of 91, 48 men and 43 women: 8.5 women and 9.5 men would be exact.
        assert sorted((dev["ravdess", "female"], dev["ravdess", "male"])) == [2, 3]
        assert (dev["crema", "female"], dev["crema", "male"]) in ((8, 10), (9, 9))


@pytest.mark.parametrize(("share", "chosen"), [(0.01, 1), (0.5, 2), (0.99, 3)])
def test_dev_is_one_speaker_at_least_and_one_is_left_to_train(savee: pd.DataFrame, share: float, chosen: int) -> None:
    assert len(choose_speakers(savee, "savee", share, seed=0)) == chosen


def test_the_seed_alone_decides_who_is_dev(ravdess: pd.DataFrame) -> None:
    first = choose_speakers(ravdess, "ravdess", 0.2, seed=0)
    shuffled = ravdess[ravdess["emotion"] != "sad"].sample(frac=1, random_state=0)
    assert (
        choose_speakers(shuffled, "ravdess", 0.2, seed=0) == first != choose_speakers(ravdess, "ravdess", 0.2, seed=1)
    )


def test_each_corpus_tests_once_and_all_others_train(shipped: Any, four: pd.DataFrame) -> None:
    splits = shipped("leave_one_corpus_out").splits(four)
    corpora = ["crema", "ravdess", "savee", "tess"]
    for fold, (split, corpus) in enumerate(zip(splits, corpora, strict=True)):
        check(split, four)
        assert (split.fold, split.stamps) == (fold, ())
        assert of(four, split.test, "corpus") == {corpus}
        assert len(split.test) == (four["corpus"] == corpus).sum()
        for rows in (split.train, split.dev):
            assert of(four, rows, "corpus") == set(corpora) - {corpus}
        assert sum(map(len, split.sides().values())) == len(four)


def test_leaving_one_of_two_out_is_the_cross_of_both(four: pd.DataFrame) -> None:
    two = four[four["corpus"].isin(["ravdess", "savee"])].reset_index(drop=True)
    first, second = LeaveOneCorpusOut(seed=3).splits(two)
    (onto_ravdess,) = CrossCorpus(["savee"], ["ravdess"], seed=3).splits(two)
    (onto_savee,) = CrossCorpus(["ravdess"], ["savee"], seed=3).splits(two)
    assert first.hash(two) == onto_ravdess.hash(two)
    assert second.hash(two) == onto_savee.hash(two)


def test_an_absent_corpus_is_named(four: pd.DataFrame) -> None:
    two = four[four["corpus"].isin(["ravdess", "savee"])].reset_index(drop=True)
    with pytest.raises(SplitError, match=r"names tess, but the data has ravdess, savee. .*data=\[ravdess,savee,tess\]"):
        CrossCorpus(["ravdess"], ["tess", "savee"]).splits(two)


def test_a_corpus_on_both_sides_or_on_none_is_refused() -> None:
    with pytest.raises(SplitError, match=r"savee is in protocol.train and in protocol.test"):
        CrossCorpus(["ravdess", "savee"], ["savee"])
    for train, test in ([], ["savee"]), (["savee"], []):
        with pytest.raises(SplitError, match="needs corpora on both sides"):
            CrossCorpus(train, test)


def test_others_are_all_that_do_not_test(four: pd.DataFrame) -> None:
    (split,) = CrossCorpus("others", "savee").splits(four)
    (listed,) = CrossCorpus(["crema", "ravdess", "tess"], ["savee"]).splits(four)
    assert split.hash(four) == listed.hash(four)
    with pytest.raises(SplitError, match="leaves none: the data has savee alone"):
        CrossCorpus("others", "savee").splits(four[four["corpus"] == "savee"].reset_index(drop=True))


def test_a_corpus_onto_itself_is_folds_of_its_speakers(four: pd.DataFrame) -> None:
    splits = CrossCorpus("ravdess", "ravdess").splits(four)
    alone = four[four["corpus"] == "ravdess"].reset_index(drop=True)
    assert [s.hash(four) for s in splits] == [s.hash(alone) for s in SpeakerCV().splits(alone)]
    for split in splits:
        check(split, four)


def test_a_training_corpus_with_one_speaker_is_refused(four: pd.DataFrame) -> None:
    alone = four[(four["corpus"] == "savee") | (four["speaker"] == "tess/OAF")].reset_index(drop=True)
    with pytest.raises(SplitError, match="tess has 1 speaker"):
        CrossCorpus(["tess"], ["savee"]).splits(alone)
    CrossCorpus(["savee"], ["tess"]).splits(alone)  # one who tests is enough


def test_one_corpus_cannot_be_left_out(savee: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="needs two corpora at least; the data has savee"):
        LeaveOneCorpusOut().splits(savee)


@pytest.mark.parametrize("share", [0.0, 1.0, 20])
def test_the_dev_share_is_a_share(share: float) -> None:
    with pytest.raises(SplitError, match=r"protocol\.dev_share"):
        CrossCorpus(["a"], ["b"], dev_share=share)
    with pytest.raises(SplitError, match=r"protocol\.dev_share"):
        LeaveOneCorpusOut(dev_share=share)
