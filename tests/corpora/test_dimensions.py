"""Numbers in columns of a table become targets, in the order that was asked for; what is no number is listed."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.corpora.dimensions import UNLABELLED, Dimensions
from ser.corpora.labels import LabelScheme
from ser.corpora.manifest import to_table
from ser.corpora.table import Table
from ser.errors import BadCorpusError, LabelError

Make = Callable[..., Table]


@pytest.fixture
def table(touch: Callable[[Iterable[str]], Path]) -> Make:
    """Write a table beside two empty clips; corpora never read the audio."""
    root = touch(("a.wav", "b.wav"))

    def make(text: str, targets: tuple[str, ...] = ("arousal", "valence")) -> Table:
        (root / "my.csv").write_text(text)
        return Table(root / "my.csv", targets=targets)

    return make


def manifest(table: Table) -> pd.DataFrame:
    return to_table(table.utterances())


def test_columns_become_targets_in_the_order_of_the_setting(table: Make) -> None:
    found = manifest(table("path,arousal,valence\na.wav,0.25,-1\nb.wav,1e-1,3\n"))
    labelled = Dimensions(["valence", "arousal"]).apply(found)
    assert labelled.classes == ("valence", "arousal")
    np.testing.assert_array_equal(labelled.target, [[-1, 0.25], [3, 0.1]])
    assert list(labelled.columns()) == ["target_valence", "target_arousal"]
    assert labelled.manifest["emotion"].tolist() == [UNLABELLED] * 2  # so that splits by emotion keep the clips


def test_decimal_commas_beside_semicolons_are_numbers(table: Make) -> None:
    found = manifest(table("path;arousal;valence\na.wav;0,25;-1,5\nb.wav;1;2\n"))
    np.testing.assert_array_equal(Dimensions(["arousal", "valence"]).apply(found).target, [[0.25, -1.5], [1, 2]])


def test_labels_may_be_there_too_in_some_rows(table: Make) -> None:
    found = manifest(table("path,label,arousal,valence\na.wav,Wut,1,2\nb.wav,,3,4\n"))
    assert Dimensions(["arousal"]).apply(found).manifest["emotion"].tolist() == ["angry", UNLABELLED]
    with pytest.raises(LabelError, match="needs a label for every clip; got 1 of 2 without"):
        LabelScheme("native").apply(found)


def test_missing_and_wrong_numbers_are_listed_with_their_lines(table: Make) -> None:
    made = table("path,arousal,valence\na.wav,,high\nb.wav,nan,1\n")
    with pytest.raises(BadCorpusError) as error:
        made.clips()
    lines = [line.strip() for line in str(error.value).splitlines()[1:-1]]
    assert lines == [
        "line 2: no arousal",
        "line 2: valence must be a number; got high",
        "line 3: arousal must be a number; got nan",
    ]


def test_missing_column_is_named_with_one_that_is_alike(table: Make) -> None:
    with pytest.raises(
        BadCorpusError, match=r"must include arousal; got path, arousel, valence. Rename arousel to arousal"
    ):
        table("path,arousel,valence\na.wav,1,2\n").clips()


def test_case_of_names_does_not_matter(table: Make) -> None:
    found = manifest(table("path,Arousal,VALENCE\na.wav,1,2\nb.wav,3,4\n", targets=("Arousal", "Valence")))
    labelled = Dimensions(["Valence", "arousal"]).apply(found)
    assert labelled.classes == ("Valence", "arousal")
    np.testing.assert_array_equal(labelled.target, [[2, 1], [4, 3]])


@pytest.mark.parametrize("name", ["age", "start", "label", "votes_sad"])
def test_column_with_another_meaning_is_no_number(table: Make, name: str) -> None:
    with pytest.raises(BadCorpusError, match=rf"labels\.targets must not be {name}, .*; rename the column"):
        table(f"path,{name}\na.wav,0.5\nb.wav,1\n", targets=(name,)).clips()


def test_table_without_labels_is_told_how_numbers_are_predicted(table: Make) -> None:
    with pytest.raises(
        BadCorpusError, match=r"must include label; got path, arousal\. To predict numbers, set labels="
    ):
        table("path,arousal\na.wav,1\n", targets=()).clips()


@pytest.mark.parametrize("targets", [None, [], ["arousal", "arousal"], ["arousal", "Arousal"], "arousal"])
def test_setting_without_distinct_names_is_refused(targets: list[str] | None) -> None:
    with pytest.raises(LabelError, match=r"labels\.targets must name numbers, each once"):
        Dimensions(targets)


def test_corpus_without_the_numbers_is_told_what_it_has(table: Make) -> None:
    found = manifest(table("path,label,arousal\na.wav,sad,1\nb.wav,sad,2\n", targets=()))
    with pytest.raises(LabelError, match="among what the corpora state of a clip: arousal; got valence"):
        Dimensions(["arousal", "valence"]).apply(found)
    two = pd.concat([found, found.assign(id="x/1", further_arousal=None)], ignore_index=True)
    with pytest.raises(LabelError, match="numbers of every clip; got 2 clips without, such as x/1"):
        Dimensions(["arousal"]).apply(two)
