import pandas as pd
import pytest

from ser.errors import SplitError
from ser.protocols.audit import audit, stamps
from ser.protocols.given_split import GivenSplit


def manifest(split: list[str | None], speakers: str) -> pd.DataFrame:
    """A clip a letter of ``speakers``, with its word."""
    ids = [f"x/{i}" for i in range(len(split))]
    about = {"id": ids, "corpus": "x", "speaker": [f"x/{s}" for s in speakers], "sex": "female", "sentence": ids}
    return pd.DataFrame({**about, "emotion": "sad", "further_split": pd.Series(split, dtype=object)})


def test_words_of_the_column_are_the_sides() -> None:
    table = manifest(["Train", "test", "validation", None, "train ", "dev"], "aabbcd")
    (split,) = GivenSplit().splits(table)
    assert {side: rows.tolist() for side, rows in split.sides().items()} == {
        "train": [0, 4],
        "dev": [2, 5],
        "test": [1],
    }


def test_speaker_on_two_sides_is_an_error_with_a_stamp() -> None:
    table = manifest(["train", "dev", "test", "train"], "abca")
    assert not [f for f in audit(GivenSplit().splits(table)[0], table, table["emotion"]) if f.level == "error"]
    table = manifest(["train", "dev", "test", "train"], "abac")
    (split,) = GivenSplit().splits(table)
    found = audit(split, table, table["emotion"])
    assert [(f.level, f.kind) for f in found if f.level == "error"] == [("error", "speakers")]
    assert stamps(split, found)[0].startswith("not speaker-independent (undeclared: train and test share speakers)")


def test_without_dev_some_training_speakers_are_taken() -> None:
    table = manifest(["train"] * 10 + ["test"] * 2, "aabbccddeexy")
    (split,) = GivenSplit(dev_share=0.4).splits(table)
    speakers = {side: set(table["speaker"].iloc[rows]) for side, rows in split.sides().items()}
    assert len(speakers["dev"]) == 2
    assert speakers["train"] | speakers["dev"] == {f"x/{s}" for s in "abcde"}
    assert not speakers["train"] & speakers["dev"]
    assert speakers["test"] == {"x/x", "x/y"}


def test_unknown_word_and_absent_column_are_errors() -> None:
    with pytest.raises(SplitError, match=r"split must be one of train, .*; got eval\. Correct the table"):
        GivenSplit().splits(manifest(["train", "eval"], "ab"))
    with pytest.raises(SplitError, match="must have data with a column split; got none"):
        GivenSplit().splits(manifest(["train"], "a").drop(columns="further_split"))
