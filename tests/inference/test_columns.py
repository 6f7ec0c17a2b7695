"""Classes may have the names of a result's own columns: theirs then begin with ``p_``."""

from pathlib import Path

import numpy as np
import pytest

from ser.errors import ConfigError
from ser.inference.batch import Asked, predict_files
from ser.inference.columns import TAKEN, class_columns
from ser.inference.plain import answers_of
from ser.inference.predictor import Predictor
from ser.models.calibration import Calibration
from tests.inference.conftest import speech
from tests.untrained import untrained

CLASSES = ("sad", *sorted(TAKEN))
RATE = 16000


@pytest.fixture(scope="module")
def clashing() -> Predictor:
    """A model, not trained, with every such class."""
    model = Predictor(untrained(CLASSES))
    model.scorer.calibration = Calibration(1.5, 0.9, 0.9)
    return model


def test_columns_have_different_names() -> None:
    assert class_columns(("sad", "set")) == ("sad", "p_set")
    found = class_columns(("set", "p_set", "p_p_set", "label"))
    assert len({*found, *TAKEN}) == len(found) + len(TAKEN)
    assert found[1:3] == ("p_set", "p_p_set")


def test_every_column_of_a_result_is_there_once(clashing: Predictor, clips: list[Path]) -> None:
    table = clashing.predict(clips, on_error="row")
    assert list(table) == ["audio", "label", *clashing.columns, "set", "flags", "error"]
    values = table[list(clashing.columns)].to_numpy()
    np.testing.assert_allclose(values.sum(axis=1), 1)
    assert table["label"].tolist() == [CLASSES[at] for at in values.argmax(axis=1)]
    assert table["audio"].tolist() == list(map(str, clips))
    plain = answers_of(table, clashing.scorer)
    assert list(plain[0]["probabilities"]) == list(CLASSES)
    assert plain[0]["probabilities"]["set"] == values[0][CLASSES.index("set")]
    assert plain[0]["set"] == table["set"][0]


def test_files_and_segments_have_them_too(clashing: Predictor, clips: list[Path], tmp_path: Path) -> None:
    table = predict_files(clashing.scorer, [str(clips[0])], Asked(), tmp_path / "all.csv", {}, 4)
    assert list(table) == ["audio", "label", *clashing.columns, "set", "flags", "error"]
    found = clashing.segments(clips[0], window=1, hop=1)
    assert list(found.table) == ["start", "end", "label", *clashing.columns]
    found.plot(tmp_path / "call.png")
    found.to_textgrid(tmp_path / "call.TextGrid")
    found.to_audformat(tmp_path / "database")
    header = (tmp_path / "database" / "db.segments.csv").read_text().splitlines()[0].split(",")
    assert sorted(header) == sorted(["file", "start", "end", "emotion", *clashing.columns])


def test_a_given_column_of_that_name_is_refused(clashing: Predictor) -> None:
    import pandas as pd

    with pytest.raises(ConfigError, match="must have different names"):
        clashing.predict(pd.DataFrame({"path": ["a.wav"], "set": [1], "given_set": [2]}), on_error="row")
    table = clashing.predict(speech(1.0), RATE)
    assert "p_label" in table
