"""`predict_files` and ``python -m ser.predict``: the numbers of `predict`, kept as they are made, whole or not at all."""

import io
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from rich.console import Console

from ser.errors import ConfigError, InterruptionError, RunError
from ser.inference import batch
from ser.inference.batch import Asked, predict_files
from ser.inference.predict import Reading
from ser.inference.predictor import Predictor
from ser.inference.recordings import sources
from ser.models.calibration import Calibration
from ser.plot import files_setting
from ser.predict import _named
from ser.protocols.limits import NOT_FOR
from ser.report.predictions import predictions_table
from ser.runtime.composition import understood
from tests import forked
from tests.inference.conftest import speech

MODEL = {"sha256": "0123"}
Predict = Callable[..., pd.DataFrame]


@pytest.fixture
def folder(clips: list[Path], tmp_path: Path) -> Path:
    """Clips, a recording that is scored in windows, and a file that is none."""
    made = tmp_path / "calls"
    made.mkdir()
    for at, clip in enumerate(clips):
        shutil.copy(clip, made / f"{9 - at}.wav")
    soundfile.write(made / "long.wav", speech(65.0), 16000)
    (made / "torn.wav").write_bytes(b"RIFF" * 40)
    return made


@pytest.fixture
def predict(model: Predictor) -> Predict:
    model.scorer.calibration = Calibration(1.5, 0.9, 0.9)

    def run(files: Any, out: Path | None = None, made_by: dict[str, str] = MODEL, size: int = 3, **asked: Any) -> Any:
        return predict_files(model.scorer, [str(file) for file in files], Asked(**asked), out, made_by, size)

    return run


def test_rows_are_those_of_predict(predict: Predict, model: Predictor, folder: Path, tmp_path: Path) -> None:
    files = [folder / "3.wav", folder, tmp_path / "absent.wav", folder / "3.wav"]
    expected = model.predict(files, on_error="row")
    table = predict(files)
    pd.testing.assert_frame_equal(table, expected, check_exact=False, atol=1e-6)
    assert table["error"].notna().sum() == 2
    assert table.attrs["not_for"] == NOT_FOR
    raw = predict(files, calibrated=False)
    pd.testing.assert_frame_equal(raw, model.predict(files, on_error="row", calibrated=False), atol=1e-6)


def test_threads_change_no_number(predict: Predict, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = predict([folder])
    monkeypatch.setattr(batch, "read_ahead", lambda reading: map(reading.pieces_of, range(len(reading.sources))))
    pd.testing.assert_frame_equal(predict([folder]), expected, check_exact=True)


def test_little_is_decoded_ahead(model: Predictor, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "AHEAD", 2)
    reading = Reading(model.scorer, sources(str(folder)), skip=True)
    begun: list[int] = []
    once = reading.pieces_of
    monkeypatch.setattr(reading, "pieces_of", lambda row: begun.append(row) or once(row))
    found = [list(pieces) for pieces, _ in zip(batch.read_ahead(reading), range(3), strict=False)]
    assert [piece.row for pieces in found for piece in pieces] == [0, 1, 2]
    assert len(begun) <= 5 < len(reading.sources)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_table_is_written_with_what_made_it(predict: Predict, folder: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / "new" / f"emotions{suffix}"
    table = predict([folder], out)
    assert sorted(file.name for file in out.parent.iterdir()) == sorted([out.name, f"{out.name}.json"])
    about = json.loads(Path(f"{out}.json").read_text())
    assert about["model"]["sha256"] == "0123"
    assert about["stamps"] == ["synthetic speech"]
    assert (about["not_for"], about["recordings"], about["unusable"]) == (NOT_FOR, len(table), 1)
    if suffix == ".parquet":
        read = pd.read_parquet(out)
        assert read.attrs["stamps"] == ["synthetic speech"]
        read["flags"] = read["flags"].map(list)
        read["set"] = read["set"].map(lambda found: None if found is None else list(found))
        read.attrs = table.attrs
        words = read[["label", "error"]].astype(object)
        read[["label", "error"]] = words.where(words.notna(), None)
        pd.testing.assert_frame_equal(read, table)
    elif suffix == ".jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert [row["audio"] for row in rows] == table["audio"].tolist()
        assert rows[0]["flags"] == table["flags"][0]
        assert rows[-1]["angry"] is None
        assert "torn.wav" in rows[-1]["error"]
        assert [row["angry"] for row in rows[:-1]] == table["angry"][:-1].tolist()
    else:
        read = pd.read_csv(out)
        assert list(read) == list(table)
        np.testing.assert_allclose(read["angry"], table["angry"])
        assert read["flags"][len(read) - 2] == ";".join(table["flags"][len(read) - 2]) != ""


def test_segments_have_their_times(predict: Predict, model: Predictor, folder: Path, tmp_path: Path) -> None:
    table = predict([folder / "torn.wav", folder / "3.wav"], tmp_path / "s.csv", segments=True, window=1, hop=0.25)
    expected = model.segments(folder / "3.wav", window=1, hop=0.25).table
    assert list(table) == ["audio", *expected, "error"]
    pd.testing.assert_frame_equal(table[list(expected)][1:].reset_index(drop=True), expected, atol=1e-6)
    assert table["error"].notna().tolist() == [True] + [False] * len(expected)


def test_segments_have_their_share_of_speech(predict: Predict, model: Predictor, folder: Path) -> None:
    pytest.importorskip("silero_vad")
    table = predict([folder / "torn.wav", folder / "3.wav"], segments=True, window=1, speech=True)
    expected = model.segments(folder / "3.wav", window=1, speech=True).table
    assert list(table) == ["audio", *expected, "error"]
    pd.testing.assert_frame_equal(table[list(expected)][1:].reset_index(drop=True), expected, atol=1e-6)
    assert np.isnan(table["speech"][0])


def test_a_stopped_command_resumes(
    predict: Predict, model: Predictor, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, part = tmp_path / "all.csv", tmp_path / "all.csv.part"
    expected, score, seen = predict([folder]), model.scorer.score, []

    def stopped(clips: Any, **settings: Any) -> Any:
        seen.append(len(clips.lengths))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return score(clips, **settings)

    monkeypatch.setattr(model.scorer, "score", stopped)
    with pytest.raises(
        InterruptionError, match=rf"^Interrupted. .*all\.csv\.part holds \d of {len(expected)} recordings"
    ):
        predict([folder], out, size=2)
    assert not out.exists()
    kept = part.read_text().splitlines()
    assert 1 < len(kept) <= 5
    part.write_bytes(part.read_bytes() + b'{"recording": "cut o')

    files: list[str] = []
    monkeypatch.setattr(model.scorer, "score", score)
    monkeypatch.setattr(
        batch,
        "Reading",
        lambda scorer, found, skip: files.extend(s.name for s in found) or Reading(scorer, found, skip=skip),
    )
    with pytest.raises(ConfigError, match=r"same model and settings to be resumed; it is of sha256=0123\. "):
        predict([folder], out, {"sha256": "4567"})
    with pytest.raises(ConfigError, match=r"it is of calibrated=True\. "):
        predict([folder], out, calibrated=False)
    assert not files
    table = predict([folder], out, size=2)
    assert len(files) == len(expected) - (len(kept) - 1)
    pd.testing.assert_frame_equal(table, expected, atol=1e-6)
    assert not part.exists()
    assert pd.read_csv(out)["audio"].tolist() == expected["audio"].tolist()


def test_a_changed_recording_is_predicted_again(predict: Predict, folder: Path, tmp_path: Path) -> None:
    out, part = tmp_path / "one.jsonl", tmp_path / "one.jsonl.part"
    file = folder / "3.wav"
    for changed in (False, True):
        row = {**batch.json_rows(predict([file]))[0], "audio": "kept"}
        kept = batch.Finished(part, {**MODEL, **batch.asdict(Asked())})
        kept.add({batch._key(sources(str(file))[0]): [row]})
        if changed:
            os.utime(file, (0, 0))
        assert predict([file], out)["audio"].tolist() == [str(file) if changed else "kept"]


def test_a_file_of_something_else_is_refused(predict: Predict, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    for text in ("[1]\n", "notes\n", '{"sha256": "0123"}\n3\n'):
        Path(f"{out}.part").write_text(text)
        with pytest.raises(RunError, match=r"a\.csv\.part must hold the rows of a stopped command; got something else"):
            predict([folder], out)
        assert Path(f"{out}.part").read_text() == text


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"out": Path("a.xlsx")}, r"^out must be a file that ends in \.csv, \.jsonl, \.parquet; got a\.xlsx\. "),
        ({"window": 99.0}, "^window must be 0.1 to 30 seconds; got 99.0"),
        ({"segments": True, "calibrated": False}, "^calibrated must be true with segments=true"),
        ({"speech": True}, "^segments must be true with speech=true; got false"),
        ({"size": 0}, "^batch_size must be at least 1"),
    ],
)
def test_settings_are_checked_first(predict: Predict, folder: Path, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        predict([folder], **asked)
    with pytest.raises(ConfigError, match=r"^files must be recordings; got none"):
        predict([])


def test_names_come_from_the_command_line_and_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a b.wav\n\n-\nc.wav"))
    assert list(_named(["one.wav", "-"])) == ["one.wav", "a b.wav", "-", "c.wav"]
    assert list(_named("calls/*.wav")) == ["calls/*.wav"]
    assert list(_named(None)) == []
    assert files_setting(["a b.wav"]) == ["files=['a b.wav']"]
    assert understood(["model=runs/a=b", "files=-", "files=calls/*.wav"], "predict") == [
        "model.path='runs/a=b'",
        "files=-",
        "files=calls/*.wav",
    ]


def test_the_table_of_the_terminal_is_80_columns_wide(predict: Predict, model: Predictor, folder: Path) -> None:
    long = folder / "inner" / ("name" * 20 + ".wav")
    long.parent.mkdir()
    shutil.copy(folder / "3.wav", long)
    console = Console(width=80)
    table = predict([folder])
    with console.capture() as printed:
        console.print(predictions_table(table, model.classes, model.stamps))
    lines = printed.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert "SYNTHETIC SPEECH" in lines[0]
    (row,) = (line for line in lines if " 3.wav" in line)
    best = table.loc[table["audio"] == str(folder / "3.wav")].iloc[0]
    assert row.split()[:3] == ["3.wav", best["label"], f"{100 * best[best['label']]:.1f}"]
    assert any("…" in line and "name.wav" in line for line in lines)
    (bad,) = (line for line in lines if " torn.wav" in line)
    assert bad.split()[1] == "unreadable:"
    assert math.isnan(table["angry"].iloc[-1])


@pytest.mark.parametrize("segments", [False, True])
@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_numbers_are_whole_at_any_width(
    predict: Predict, model: Predictor, folder: Path, width: int, segments: bool
) -> None:
    table = predict([folder], segments=segments, window=30, hop=30)
    console = Console(width=width)
    with console.capture() as printed:
        console.print(predictions_table(table, model.classes, model.stamps, width))
    lines = printed.get().splitlines()
    assert max(map(len, lines)) <= width
    known = table[table["label"].notna()]
    shown = re.findall(r"\b(\w+) +(\d+\.\d) %", " ".join(lines))
    expected = [(row["label"], f"{100 * row[row['label']]:.1f}") for row in known.to_dict("records")]
    assert shown == expected
    assert all(any(Path(name).name in line for line in lines) for name in table["audio"])


def test_numbers_of_a_model_are_whole_at_any_width() -> None:
    names = ["arousal", "valence", "dominance", "confidence"]
    row = {
        "audio": "call.wav",
        **dict(zip(names, (-0.1234, 12.5, 0.25, 1.0), strict=True)),
        "flags": ["noisy"],
        "error": None,
    }
    for width in (30, 60, 80):
        console = Console(width=width)
        with console.capture() as printed:
            console.print(predictions_table(pd.DataFrame([row]), names, (), width))
        words = printed.get().split()
        assert {"\N{MINUS SIGN}0.123", "12.500", "0.250", "1.000", "call.wav", "noisy"} <= set(words)
        assert set(names) <= set(words)


@pytest.mark.slow
def test_the_command_exits_with_1_where_a_recording_is_bad(run: Path, folder: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "COLUMNS": "80"}
    good = forked.run(["ser.predict", f"model={run}", "calls/3.wav", "out=good.csv"], tmp_path, environment)
    assert good.returncode == 0, good.stderr
    assert f"good.csv: 1 row  [SYNTHETIC SPEECH]\n{NOT_FOR}\n" in good.stdout
    bad = forked.run(["ser.predict", f"model={run}", "files=calls"], tmp_path, environment)
    assert bad.returncode == 1
    assert "1 recording could not be used: calls/torn.wav: unreadable" in bad.stderr
    assert "3.wav" in bad.stdout
    none = forked.run(["ser.predict", "calls/3.wav"], tmp_path, environment)
    assert (none.returncode, none.stderr) == (2, "Missing required setting: model. Set it with model=<value>.\n")
