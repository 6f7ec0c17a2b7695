"""EmoBox's splits: whole corpora by their names, parts of them, and the published files where they are at hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ser.corpora.manifest import to_table
from ser.corpora.tess import Tess
from ser.errors import SplitError
from ser.protocols.emobox import EmoBox
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.runtime.conf_dir import conf_dir
from tests.protocols.conftest import Folder, check, named, of, together


@pytest.fixture(scope="module")
def emobox(shipped: Any) -> EmoBox:
    protocol = shipped("emobox")
    assert isinstance(protocol, EmoBox)
    return protocol


@pytest.fixture(scope="module")
def listed() -> dict[str, set[str]]:
    """Corpus to the ids that test, as the YAML has them."""
    config = yaml.safe_load((Path(conf_dir()) / "protocol" / "emobox.yaml").read_text())
    return {
        corpus: {f"{corpus}/{speaker}_{name}" for speaker, names in of_speaker.items() for name in names.split()}
        for corpus, of_speaker in config["utterances"].items()
    }


@pytest.fixture(scope="module")
def real_tess(listed: dict[str, set[str]]) -> pd.DataFrame:
    """Both women saying every word of the list in every emotion."""
    words = sorted({id_.split("_")[1] for id_ in listed["tess"]})
    return named(Tess("."), (f"{s}_{w}_{e}" for s in ("OAF", "YAF") for w in words for e in Tess.emotions))


@pytest.mark.parametrize(("corpus", "folds"), [("ravdess", 6), ("savee", 4)])
def test_every_speaker_tests_once_and_the_next_fold_is_dev(
    emobox: EmoBox, corpus: str, folds: int, request: pytest.FixtureRequest
) -> None:
    manifest = request.getfixturevalue(corpus)
    splits = emobox.splits(manifest)
    assert len(splits) == folds
    for split, following in zip(splits, splits[1:] + splits[:1], strict=True):
        check(split, manifest)
        assert split.stamps == ()
        assert split.dev.tolist() == following.test.tolist()
        assert sum(map(len, split.sides().values())) == len(manifest)
    tested = Counter(s for split in splits for s in of(manifest, split.test, "speaker"))
    assert tested == dict.fromkeys(manifest["speaker"].unique(), 1)


@pytest.mark.parametrize(("corpus", "tests"), [("crema", 1856), ("tess", 700)])
def test_listed_utterances_test_and_all_others_train_or_are_dev(
    emobox: EmoBox, listed: dict[str, set[str]], corpus: str, tests: int, request: pytest.FixtureRequest
) -> None:
    manifest = request.getfixturevalue({"crema": "whole_crema", "tess": "real_tess"}[corpus])
    (split,) = emobox.splits(manifest)
    check(split, manifest)
    assert split.stamps == (SPEAKER_DEPENDENT,)
    assert not split.text_independent
    assert len(split.test) == tests
    assert of(manifest, split.test, "id") == listed[corpus]
    assert sum(map(len, split.sides().values())) == len(manifest)
    rest = manifest.drop(index=split.test)["emotion"].value_counts()
    dev = manifest["emotion"].iloc[split.dev].value_counts()
    assert dev.to_dict() == {emotion: round(0.1 * n) for emotion, n in rest.items()}


def test_seed_decides_only_the_dev_side(shipped: Any, whole_crema: pd.DataFrame) -> None:
    (first,), (again,), (other,) = (shipped("emobox", seed=seed).splits(whole_crema) for seed in (0, 0, 1))
    assert first.hash(whole_crema) == again.hash(whole_crema) != other.hash(whole_crema)
    assert first.test.tolist() == other.test.tolist()


def test_emotions_dropped_by_the_labels_are_not_required(
    emobox: EmoBox, real_tess: pd.DataFrame, listed: dict[str, set[str]]
) -> None:
    six = real_tess[real_tess["emotion"] != "surprise"].reset_index(drop=True)
    (split,) = emobox.splits(six)
    assert of(six, split.test, "id") == {id_ for id_ in listed["tess"] if not id_.endswith("_ps")}


def test_single_missing_clip_is_not_an_error(emobox: EmoBox, whole_crema: pd.DataFrame) -> None:
    without = whole_crema[whole_crema["id"] != "crema/1001_DFA_HAP_XX"].reset_index(drop=True)
    (split,) = emobox.splits(without)
    assert len(split.test) == 1855


def test_speaker_without_listed_clips_is_named(emobox: EmoBox, whole_crema: pd.DataFrame) -> None:
    without = whole_crema[whole_crema["speaker"] != "crema/1042"].reset_index(drop=True)
    with pytest.raises(SplitError, match="requires the listed test clips of crema/1042; got none"):
        emobox.splits(without)


def test_part_of_a_corpus_is_an_error_with_counts(emobox: EmoBox, real_tess: pd.DataFrame) -> None:
    words = sorted(set(real_tess["sentence"]))
    part = real_tess[real_tess["sentence"].isin(words[: len(words) // 2])].reset_index(drop=True)
    with pytest.raises(
        SplitError, match=r"requires 700 listed test clips of tess .*; got \d\d\d of them.* protocol=speaker_cv"
    ):
        emobox.splits(part)


def test_missing_actors_are_named(emobox: EmoBox, ravdess: pd.DataFrame) -> None:
    part = ravdess[ravdess["speaker"] != "ravdess/17"].reset_index(drop=True)
    with pytest.raises(SplitError, match=r"protocol=emobox requires all speakers .*; got none of ravdess/17"):
        emobox.splits(part)


def test_emobox_requires_one_of_its_corpora(emobox: EmoBox, ravdess: pd.DataFrame, savee: pd.DataFrame) -> None:
    with pytest.raises(
        SplitError, match=r"one of crema, iemocap, ravdess, savee, tess for protocol=emobox; got ravdess, savee"
    ):
        emobox.splits(together(ravdess, savee))
    other = savee.assign(corpus="demo")
    with pytest.raises(SplitError, match="got demo"):
        emobox.splits(other)


def test_dev_share_is_between_0_and_1(shipped: Any) -> None:
    with pytest.raises(SplitError, match=r"protocol\.dev_share must be a share between 0 and 1; got 1"):
        shipped("emobox", dev_share=1)


@pytest.mark.corpora
@pytest.mark.parametrize("corpus", ["ravdess", "savee"])
def test_folds_match_the_publication(
    emobox: EmoBox, corpus: str, folder: Folder, request: pytest.FixtureRequest
) -> None:
    manifest = request.getfixturevalue(corpus)
    published = json.loads((folder("protocols") / "speaker_folds.json").read_text())[f"{corpus}_emobox"]["test"]
    found = [{s.split("/")[1] for s in of(manifest, split.test, "speaker")} for split in emobox.splits(manifest)]
    assert found == [set(published[f"fold_{i}"]) for i in range(1, len(published) + 1)]


@pytest.mark.corpora
@pytest.mark.parametrize("corpus", ["crema", "tess"])
def test_utterances_match_the_publication(listed: dict[str, set[str]], corpus: str, folder: Folder) -> None:
    names = (folder("protocols") / f"emobox_{corpus}_test.txt").read_text().split()
    assert len(names) == len(listed[corpus])
    assert listed[corpus] == {f"{corpus}/{name}" for name in names}


@pytest.mark.corpora
def test_released_tess_has_every_listed_clip(emobox: EmoBox, folder: Folder) -> None:
    tess = to_table(Tess(folder("tess")).utterances())
    (split,) = emobox.splits(tess)
    check(split, tess)
    assert [len(rows) for rows in split.sides().values()] == [1890, 210, 700]


@pytest.mark.corpora
def test_released_crema_has_every_listed_clip(listed: dict[str, set[str]], folder: Folder) -> None:
    (table,) = folder("crema").rglob("summaryTable.csv")
    names = pd.read_csv(table)["FileName"]
    assert listed["crema"] <= {f"crema/{name}" for name in names}
