"""Published folds against what was published: by hand here, and whole where the published lists are at hand."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from ser.corpora.labels import EMOTIONS, LabelScheme
from ser.errors import SplitError
from ser.protocols.speaker_lists import SpeakerLists
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate
from tests.protocols.conftest import check

Lists = list[dict[str, set[str]]]


def folds(protocol: Any, manifest: pd.DataFrame) -> Lists:
    """Speakers of every side without the corpus's name, each fold checked."""
    found = []
    for split in protocol.splits(manifest):
        check(split, manifest)
        assert split.stamps == ()
        sides = split.sides().items()
        found.append({side: {s.split("/")[1] for s in manifest["speaker"].iloc[rows]} for side, rows in sides})
    return found


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    path = Path(os.environ.get("SER_CORPORA") or "nowhere/corpora").parent / "protocols" / "speaker_folds.json"
    if not path.is_file():
        pytest.skip("no published folds: there is no protocols/speaker_folds.json beside the folder of SER_CORPORA")
    return dict(json.loads(path.read_text()))


def test_luna5_has_the_actors_of_the_paper(shipped: Any, ravdess: pd.DataFrame) -> None:
    found = folds(shipped("luna5"), ravdess)
    assert len(found) == 5
    assert found[0]["test"] == {"02", "05", "14", "15", "16"}
    assert found[0]["dev"] == {"03", "06"}
    assert found[4]["test"] == {"01", "04", "09", "22"}
    assert found[4]["dev"] == {"02", "05"}
    everybody = {f"{actor:02d}" for actor in range(1, 25)}
    assert Counter(actor for fold in found for actor in fold["test"]) == dict.fromkeys(everybody, 1)
    assert all(fold["train"] == everybody - fold["dev"] - fold["test"] for fold in found)


def test_emosuperb_partitions_91_actors_over_five_test_folds(shipped: Any, crema: pd.DataFrame) -> None:
    found = folds(shipped("emosuperb"), crema)
    everybody = {str(actor) for actor in range(1001, 1092)}
    assert Counter(actor for fold in found for actor in fold["test"]) == dict.fromkeys(everybody, 1)
    assert [len(fold["test"]) for fold in found] == [18, 18, 18, 18, 19]
    assert found[0]["test"] == {str(actor) for actor in range(1001, 1019)}
    assert found[4]["dev"] == found[0]["test"]
    assert all(found[i]["dev"] == found[i + 1]["test"] for i in range(4))
    assert all(fold["train"] == everybody - fold["dev"] - fold["test"] for fold in found)


@pytest.mark.corpora
def test_luna5_matches_the_publication(shipped: Any, ravdess: pd.DataFrame, published: dict[str, Any]) -> None:
    luna = published["ravdess_luna5"]
    found = folds(shipped("luna5"), ravdess)
    assert len(found) == len(luna["test"])
    for i, fold in enumerate(found):
        for side in ("test", "dev"):
            assert {int(actor) for actor in fold[side]} == set(luna[side][str(i)])


@pytest.mark.corpora
def test_emosuperb_matches_the_publication(shipped: Any, crema: pd.DataFrame, published: dict[str, Any]) -> None:
    theirs = published["crema_emosuperb"]["folds"]
    found = folds(shipped("emosuperb"), crema)
    assert len(found) == len(theirs)
    for i, fold in enumerate(found, 1):
        for side, name in (("train", "Train"), ("dev", "Development"), ("test", "Test")):
            assert fold[side] == set(theirs[f"fold{i}"][name])


def test_audeering_has_every_actor_on_one_side(shipped: Any, crema: pd.DataFrame) -> None:
    (fold,) = folds(shipped("audeering"), crema)
    assert [len(fold[side]) for side in ("train", "dev", "test")] == [56, 18, 17]
    assert set.union(*fold.values()) == {str(actor) for actor in range(1001, 1092)}


def test_pepino_trains_on_the_first_twenty_actors(shipped: Any, ravdess: pd.DataFrame) -> None:
    (fold,) = folds(shipped("pepino"), ravdess)
    assert fold == {"train": {f"{a:02d}" for a in range(1, 21)}, "dev": {"21", "22"}, "test": {"23", "24"}}


@pytest.mark.corpora
def test_audeering_matches_the_publication(shipped: Any, crema: pd.DataFrame, published: dict[str, Any]) -> None:
    (fold,) = folds(shipped("audeering"), crema)
    assert fold == {side: set(map(str, actors)) for side, actors in published["crema_audeering"]["splits"].items()}


@pytest.mark.corpora
def test_pepino_matches_the_publication(shipped: Any, ravdess: pd.DataFrame, published: dict[str, Any]) -> None:
    (fold,) = folds(shipped("pepino"), ravdess)
    pepino = published["ravdess_pepino"]
    assert {side: {int(a) for a in actors} for side, actors in fold.items()} == {s: set(pepino[s]) for s in fold}


def test_nkululeko_has_one_fold_of_each_corpus(shipped: Any, ravdess: pd.DataFrame, savee: pd.DataFrame) -> None:
    (fold,) = folds(shipped("nkululeko"), ravdess)
    assert (fold["dev"], fold["test"]) == ({"16", "17", "19", "20"}, {"21", "22", "23", "24"})
    assert fold["train"] == {f"{a:02d}" for a in (*range(1, 16), 18)}
    assert folds(shipped("nkululeko"), savee) == [{"train": {"DC", "JE"}, "dev": {"JK"}, "test": {"KL"}}]


@pytest.mark.corpora
def test_nkululeko_matches_the_publication(
    shipped: Any, ravdess: pd.DataFrame, savee: pd.DataFrame, published: dict[str, Any]
) -> None:
    theirs = published["nkululeko"]
    (actors,), (speakers,) = (folds(shipped("nkululeko"), manifest) for manifest in (ravdess, savee))
    assert {side: {int(a) for a in actors[side]} for side in actors} == {s: set(theirs["ravdess"][s]) for s in actors}
    assert speakers["test"] == set(theirs["savee"]["test"])
    assert speakers["train"] | speakers["dev"] == set(theirs["savee"]["train"])


def test_listed_training_speakers_are_used(ravdess: pd.DataFrame) -> None:
    lists = {"train": ["01", "02"], "dev": ["21", "22"], "test": ["23", "24"]}
    (fold,) = folds(SpeakerLists("part", "ravdess", "nobody", [lists]), ravdess)
    assert fold == {side: set(speakers) for side, speakers in lists.items()}


def test_seven_labels_only_merge_calm_into_neutral() -> None:
    config = yaml.safe_load((Path(conf_dir()) / "labels" / "seven.yaml").read_text())
    scheme = instantiate(config, LabelScheme)
    assert scheme.name == "seven"
    assert scheme.classes == tuple(sorted(set(EMOTIONS) - {"calm"}))
    assert {e: scheme.class_of(e) for e in EMOTIONS} == {e: e for e in EMOTIONS} | {"calm": "neutral"}


def test_missing_speakers_are_named(shipped: Any, ravdess: pd.DataFrame) -> None:
    part = ravdess[~ravdess["speaker"].isin(["ravdess/05", "ravdess/17"])].reset_index(drop=True)
    with pytest.raises(SplitError, match=r"got none of ravdess/05, ravdess/17\. .*protocol=speaker_cv"):
        shipped("luna5").splits(part)


def test_wrong_corpus_is_named(shipped: Any, ravdess: pd.DataFrame, savee: pd.DataFrame) -> None:
    both = pd.concat([ravdess, savee], ignore_index=True)
    with pytest.raises(SplitError, match="data must be ravdess for protocol=luna5; got savee"):
        shipped("luna5").splits(both)
    with pytest.raises(SplitError, match="data must be crema for protocol=emosuperb"):
        shipped("emosuperb").splits(ravdess)
    with pytest.raises(
        SplitError, match=r"data must be one of ravdess, savee for protocol=nkululeko; got ravdess, savee\."
    ):
        shipped("nkululeko").splits(both)
