"""Sentences that test are in no other side, on the names of whole corpora; and neither are their speakers, where promised."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from ser.corpora.manifest import to_table
from ser.corpora.ravdess import Ravdess
from ser.corpora.savee import Savee
from ser.corpora.tess import Tess
from ser.errors import SplitError
from ser.protocols.speaker_cv import deal_speakers
from ser.protocols.speaker_text_independent import SpeakerTextIndependent
from ser.protocols.split import Split, stratified_share
from ser.protocols.stamps import DEV_SHARES_SPEAKERS, SPEAKER_DEPENDENT
from ser.protocols.text_independent import TextIndependent, deal_sentences
from tests.protocols.conftest import Folder, check, of, together
from tests.work import calls

Whole = Callable[[str], pd.DataFrame]


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> Whole:
    """Corpora by name: ``ravdess+savee``."""
    return lambda names: together(*(request.getfixturevalue(f"whole_{name}") for name in names.split("+")))


CORPORA = ["ravdess", "tess", "savee", "crema", "ravdess+savee", "savee+tess", "crema+savee"]
BOTH = [TextIndependent, SpeakerTextIndependent]


def keeps_its_promise(splits: list[Split], manifest: pd.DataFrame) -> None:
    """Every utterance tests once; no test sentence is heard before; every emotion is wherever its corpus is."""
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(len(manifest)))
    assert [split.fold for split in splits] == list(range(len(splits)))
    emotions = manifest.groupby("corpus")["emotion"].agg(set)
    for split in splits:
        check(split, manifest)
        assert split.text_independent
        tested = of(manifest, split.test, "sentence")
        for rows in (split.train, split.dev):
            assert not tested & of(manifest, rows, "sentence")
        for rows in split.sides().values():
            here = manifest.iloc[rows].groupby("corpus")["emotion"].agg(set)
            assert here.to_dict() == emotions[here.index].to_dict()
            assert (np.diff(rows) > 0).all()


@pytest.mark.parametrize("names", CORPORA)
@pytest.mark.parametrize("protocol", BOTH)
def test_no_test_sentence_is_in_training_or_dev(whole: Whole, names: str, protocol: Any) -> None:
    manifest = whole(names)
    keeps_its_promise(protocol().splits(manifest), manifest)


@pytest.mark.corpora
@pytest.mark.parametrize("corpus", [Ravdess, Savee, Tess])
@pytest.mark.parametrize("protocol", BOTH)
def test_no_test_sentence_is_in_training_or_dev_of_the_releases(corpus: Any, protocol: Any, folder: Folder) -> None:
    manifest = to_table(corpus(folder(corpus.name)).utterances())
    assert len(manifest) == corpus.expected_utterances
    keeps_its_promise(protocol().splits(manifest), manifest)


@pytest.mark.parametrize(
    ("names", "folds"), [("ravdess", 2), ("tess", 5), ("savee", 5), ("crema", 5), ("ravdess+savee", 2)]
)
def test_corpus_with_fewer_sentences_has_one_fold_per_sentence(whole: Whole, names: str, folds: int) -> None:
    splits = TextIndependent(folds=5).splits(whole(names))
    assert len(splits) == folds
    assert all(split.stamps == (SPEAKER_DEPENDENT,) for split in splits)


def test_as_many_folds_as_sentences_test_one_sentence_each(whole: Whole) -> None:
    crema = whole("crema")
    splits = TextIndependent(folds=20).splits(crema)
    assert sorted(s for split in splits for s in of(crema, split.test, "sentence")) == sorted(set(crema["sentence"]))
    assert len(splits) == 12


@pytest.mark.parametrize("names", ["tess", "savee", "crema"])
def test_next_fold_is_dev_and_the_rest_trains(whole: Whole, names: str) -> None:
    manifest = whole(names)
    splits = TextIndependent().splits(manifest)
    for split, following in zip(splits, splits[1:] + splits[:1], strict=True):
        assert split.dev.tolist() == following.test.tolist()
        assert len(split.train) + len(split.dev) + len(split.test) == len(manifest)


def test_ravdess_dev_is_a_fifth_of_the_training_sentence_in_every_emotion(whole: Whole) -> None:
    ravdess = whole("ravdess")
    for split in TextIndependent().splits(ravdess):
        assert len(of(ravdess, split.test, "sentence")) == 1
        assert of(ravdess, split.dev, "sentence") == of(ravdess, split.train, "sentence")
        # Of 96 clips of each emotion, 48 of neutral, in one sentence: a fifth is 19.2 and 9.6.
        found = ravdess["emotion"].iloc[split.dev].value_counts().to_dict()
        assert found == {**dict.fromkeys(set(ravdess["emotion"]), 19), "neutral": 10}
        assert len(split.train) == 720 - 143


def test_emotions_are_spread_over_the_folds_of_savee(whole: Whole) -> None:
    # 60 clips of an emotion come in 3 common sentences of 4 clips and in 2 + 10 of its own: no fold may lack it, and the
    # greedy deal stays within one sentence (4 clips) of the 12 that a fifth is; 120 neutral clips come with all of them.
    savee = whole("savee")
    for seed in range(5):
        for split in TextIndependent(seed=seed).splits(savee):
            counts = savee["emotion"].iloc[split.test].value_counts()
            assert counts.drop("neutral").between(8, 16).all()
            assert 12 <= counts["neutral"] <= 36


def test_every_fold_has_clips_of_every_corpus(whole: Whole) -> None:
    several = whole("savee+tess+crema")
    for split in TextIndependent().splits(several):
        assert all(of(several, rows, "corpus") == {"savee", "tess", "crema"} for rows in split.sides().values())


@pytest.mark.parametrize("protocol", BOTH)
def test_folds_depend_only_on_the_seed(whole: Whole, protocol: Any) -> None:
    savee = whole("savee")
    first, again, other = ([s.hash(savee) for s in protocol(seed=seed).splits(savee)] for seed in (0, 0, 1))
    assert first == again != other
    shuffled = savee.sample(frac=1, random_state=3).reset_index(drop=True)
    assert [s.hash(shuffled) for s in protocol(seed=0).splits(shuffled)] == first


@pytest.mark.parametrize("protocol", BOTH)
def test_corpus_with_one_sentence_is_an_error(whole: Whole, protocol: Any) -> None:
    ravdess = whole("ravdess")
    one = together(ravdess[ravdess["sentence"] == "ravdess/01"], whole("savee"))
    with pytest.raises(
        SplitError, match=r"at least 2 sentences in every corpus; got 1 in ravdess\. Use protocol=speaker_cv"
    ):
        protocol().splits(one)


def test_too_few_clips_are_an_error(whole: Whole) -> None:
    few = whole("savee").drop_duplicates("emotion", keep="last").reset_index(drop=True)  # one clip of each emotion
    with pytest.raises(
        SplitError,
        match="folds of sentences must be fewer than 5 for savee; it has 1 utterance of its most frequent emotion",
    ):
        deal_sentences(few, 5, seed=0)


@given(st.integers(2, 6), st.integers(0, 1000), st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_folds_are_those_of_scikit_learn(folds: int, seed: int, data: st.DataObject) -> None:
    n = data.draw(st.integers(12, 200))
    drawn = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    emotions = drawn.integers(0, data.draw(st.integers(2, 8)), n).astype(str)
    sentences = drawn.integers(0, data.draw(st.integers(folds, 40)), n).astype(str)
    assume(len(set(sentences)) >= folds and np.unique(emotions, return_counts=True)[1].max() >= folds)
    ids = [f"x/{row:03d}" for row in range(n)]
    rows = pd.DataFrame({"id": ids, "corpus": "x", "emotion": emotions, "sentence": sentences})
    dealer = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    theirs = np.empty(n, dtype=np.int64)
    for fold, (_, tested) in enumerate(dealer.split(emotions, emotions, sentences)):
        theirs[tested] = fold
    np.testing.assert_array_equal(deal_sentences(rows, folds, seed), theirs)


@pytest.mark.parametrize(
    ("protocol", "told"),
    [
        (lambda: TextIndependent(folds=1), r"protocol\.folds must be 2 or more .*; got 1"),
        (lambda: SpeakerTextIndependent(speaker_folds=1), r"protocol\.speaker_folds must be 2 or more .*; got 1"),
        (lambda: SpeakerTextIndependent(sentence_folds=0), r"protocol\.sentence_folds must be 2 or more .*; got 0"),
    ],
)
def test_fewer_than_two_folds_are_an_error(protocol: Callable[[], Any], told: str) -> None:
    with pytest.raises(SplitError, match=told):
        protocol()


@pytest.mark.parametrize(("names", "speaker_folds"), [("ravdess", 5), ("savee", 4), ("crema", 5)])
def test_test_speakers_and_sentences_are_not_in_training(whole: Whole, names: str, speaker_folds: int) -> None:
    manifest = whole(names)
    splits = SpeakerTextIndependent().splits(manifest)
    assert len(splits) == speaker_folds * 2
    for split in splits:
        assert split.stamps == ()
        speakers = [of(manifest, rows, "speaker") for rows in split.sides().values()]
        assert sum(map(len, speakers)) == len(set.union(*speakers)) == manifest["speaker"].nunique()
        unheard = of(manifest, split.test, "sentence")
        assert of(manifest, split.train, "sentence") | unheard == set(manifest["sentence"])


def test_speaker_groups_match_speaker_cv_and_the_next_is_dev(whole: Whole) -> None:
    ravdess = whole("ravdess")
    groups = deal_speakers(ravdess, 5, seed=0)
    for split in SpeakerTextIndependent().splits(ravdess):
        assert of(ravdess, split.test, "speaker") == groups[split.fold // 2]
        assert of(ravdess, split.dev, "speaker") == groups[(split.fold // 2 + 1) % 5]


def test_tess_has_a_fifth_of_the_training_words_as_dev(whole: Whole) -> None:
    tess = whole("tess")
    splits = SpeakerTextIndependent().splits(tess)
    assert len(splits) == 4
    for split in splits:
        assert split.stamps == (DEV_SHARES_SPEAKERS,)
        (train,), (dev,), (test,) = (of(tess, rows, "speaker") for rows in split.sides().values())
        assert train == dev != test
        words = [of(tess, rows, "sentence") for rows in split.sides().values()]
        assert [len(w) for w in words] == [80, 20, 100]
        assert len(set.union(*words)) == 200


def test_corpus_with_one_speaker_is_an_error(whole: Whole) -> None:
    tess = whole("tess")
    with pytest.raises(SplitError, match=r"requires at least 2 speakers.*got 1\."):
        SpeakerTextIndependent().splits(tess[tess["speaker"] == "tess/OAF"].reset_index(drop=True))


@pytest.mark.parametrize("protocol", BOTH)
def test_number_of_calls_does_not_grow_with_pairs_of_clips(protocol: type[Any], whole: Whole) -> None:
    everything = whole("ravdess+savee+tess+crema")
    assert calls(lambda: protocol().splits(everything)) < 100 * len(everything)  # 8 measured


@pytest.mark.parametrize("share", [0.001, 0.2, 0.999])
def test_share_has_every_emotion_and_never_all_clips(whole: Whole, share: float) -> None:
    savee = whole("savee")
    rows = np.arange(100, 400)
    chosen = stratified_share(savee, rows, share, seed=0)
    assert set(chosen) < set(rows)
    before, after = (savee["emotion"].iloc[r].value_counts() for r in (rows, chosen))
    expected = {e: min(max(1, round(share * n)), n - 1) for e, n in before.items()}
    assert after.to_dict() == expected
