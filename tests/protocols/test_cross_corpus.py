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


def test_lists_decide_the_sides_of_corpora(shipped: Any, four: pd.DataFrame) -> None:
    (split,) = shipped("cross_corpus", train=["ravdess", "tess"], test=["savee"]).splits(four)
    check(split, four)
    assert (split.fold, split.stamps, split.text_independent) == (0, (), False)
    assert of(four, split.train, "corpus") == of(four, split.dev, "corpus") == {"ravdess", "tess"}
    assert split.test.tolist() == four.index[four["corpus"] == "savee"].tolist()
    # Nothing of the training corpora is left out, and nothing of CREMA-D is there.
    assert len(split.train) + len(split.dev) == four["corpus"].isin(["ravdess", "tess"]).sum()


def test_dev_is_a_fifth_of_each_training_corpus_and_sex(four: pd.DataFrame) -> None:
    for seed in range(5):
        (split,) = CrossCorpus(["ravdess", "crema", "tess"], ["savee"], seed=seed).splits(four)
        dev = four.iloc[split.dev].drop_duplicates("speaker").groupby(["corpus", "sex"]).size().to_dict()
        assert dev["tess", "female"] == 1
        # 5 of 24 actors, 12 of each sex: 2 and 3. 18 of 91, 48 men and 43 women: 8.5 women and 9.5 men would be exact.
        assert sorted((dev["ravdess", "female"], dev["ravdess", "male"])) == [2, 3]
        assert (dev["crema", "female"], dev["crema", "male"]) in ((8, 10), (9, 9))


@pytest.mark.parametrize(("share", "chosen"), [(0.01, 1), (0.5, 2), (0.99, 3)])
def test_dev_has_at_least_one_speaker_and_leaves_one_to_train(savee: pd.DataFrame, share: float, chosen: int) -> None:
    assert len(choose_speakers(savee, "savee", share, seed=0)) == chosen


def test_dev_speakers_depend_only_on_the_seed(ravdess: pd.DataFrame) -> None:
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


def test_leaving_one_of_two_corpora_out_equals_cross_corpus(four: pd.DataFrame) -> None:
    two = four[four["corpus"].isin(["ravdess", "savee"])].reset_index(drop=True)
    first, second = LeaveOneCorpusOut(seed=3).splits(two)
    (onto_ravdess,) = CrossCorpus(["savee"], ["ravdess"], seed=3).splits(two)
    (onto_savee,) = CrossCorpus(["ravdess"], ["savee"], seed=3).splits(two)
    assert first.hash(two) == onto_ravdess.hash(two)
    assert second.hash(two) == onto_savee.hash(two)


def test_missing_corpus_is_named(four: pd.DataFrame) -> None:
    two = four[four["corpus"].isin(["ravdess", "savee"])].reset_index(drop=True)
    with pytest.raises(
        SplitError, match=r"must name corpora of the data, ravdess, savee; got tess\. .*data=\[ravdess,savee,tess\]"
    ):
        CrossCorpus(["ravdess"], ["tess", "savee"]).splits(two)


def test_corpus_on_both_sides_or_empty_side_is_an_error() -> None:
    with pytest.raises(SplitError, match=r"must be the same or share no corpus; got savee in both"):
        CrossCorpus(["ravdess", "savee"], ["savee"])
    for train, test in ([], ["savee"]), (["savee"], []):
        with pytest.raises(SplitError, match="must name at least one corpus each"):
            CrossCorpus(train, test)


def test_others_are_all_corpora_that_are_not_tested(four: pd.DataFrame) -> None:
    (split,) = CrossCorpus("others", "savee").splits(four)
    (listed,) = CrossCorpus(["crema", "ravdess", "tess"], ["savee"]).splits(four)
    assert split.hash(four) == listed.hash(four)
    with pytest.raises(SplitError, match="requires a corpus besides the test corpora; got only savee"):
        CrossCorpus("others", "savee").splits(four[four["corpus"] == "savee"].reset_index(drop=True))


def test_same_train_and_test_corpus_gives_folds_of_speakers(four: pd.DataFrame) -> None:
    splits = CrossCorpus("ravdess", "ravdess").splits(four)
    alone = four[four["corpus"] == "ravdess"].reset_index(drop=True)
    assert [s.hash(four) for s in splits] == [s.hash(alone) for s in SpeakerCV().splits(alone)]
    for split in splits:
        check(split, four)


def test_training_corpus_with_one_speaker_is_an_error(four: pd.DataFrame) -> None:
    alone = four[(four["corpus"] == "savee") | (four["speaker"] == "tess/OAF")].reset_index(drop=True)
    with pytest.raises(SplitError, match=r"at least 2 speakers, .*; got 1 speaker of tess"):
        CrossCorpus(["tess"], ["savee"]).splits(alone)
    CrossCorpus(["savee"], ["tess"]).splits(alone)  # one who tests is enough


def test_leaving_out_the_only_corpus_is_an_error(savee: pd.DataFrame) -> None:
    with pytest.raises(SplitError, match="at least 2 corpora for protocol=leave_one_corpus_out; got savee"):
        LeaveOneCorpusOut().splits(savee)


@pytest.mark.parametrize("share", [0.0, 1.0, 20])
def test_dev_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(SplitError, match=r"protocol\.dev_share"):
        CrossCorpus(["a"], ["b"], dev_share=share)
    with pytest.raises(SplitError, match=r"protocol\.dev_share"):
        LeaveOneCorpusOut(dev_share=share)
