"""What `predict` takes: each form of the same recording gives the same answer, and what is no recording is named."""

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.errors import AudioError, ConfigError
from ser.inference.predictor import Predictor
from ser.inference.recordings import sources
from tests.inference.conftest import probabilities, speech


@pytest.fixture
def samples() -> np.ndarray:
    """Noise of 1.3 s, ``(sample,)`` int16, at 16 kHz."""
    clip: np.ndarray = np.clip(speech(1.3) * 32768, -32768, 32767).astype(np.int16)
    return clip


@pytest.fixture
def folder(tmp_path: Path, samples: np.ndarray) -> Path:
    """Recordings in folders, with a text and hidden files beside them."""
    root = tmp_path / "recordings"
    for name in ("b.wav", "a/2.flac", "a/1.WAV"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, 16000)
    (root / "notes.txt").write_text("nothing")
    (root / "._b.wav").write_bytes(b"of a Mac")
    return root


def test_every_form_of_a_recording_gives_the_same_answer(
    model: Predictor, folder: Path, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "b.wav"
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    content = file.read_bytes()
    floats = samples / 32768
    moved = io.BytesIO(content)
    moved.read(100)
    forms: list[Any] = [
        "~/b.wav", content, bytearray(content), memoryview(content), io.BytesIO(content), moved, (samples, 16000),
        (samples.tolist(), 16000.0), (floats.tolist(), 16000), (samples.astype(np.int64), np.int64(16000)),
        (samples.astype(np.uint16) + np.uint16(32768), 16000),
    ]  # fmt: skip
    expected = probabilities(model.predict(file))
    for form in forms:
        np.testing.assert_array_equal(probabilities(model.predict(form)), expected)
    table = model.predict(forms)
    np.testing.assert_allclose(probabilities(table), expected.repeat(len(forms), axis=0), atol=1e-6)
    assert list(table["audio"]) == ["~/b.wav", *map(str, range(1, len(forms)))]
    with file.open("rb") as opened:
        assert model.predict([opened, opened])["audio"].tolist() == [str(file)] * 2
    for numbers in (floats.tolist(), samples.tolist(), tuple(floats), samples.astype(np.int64)):
        np.testing.assert_array_equal(probabilities(model.predict(numbers, rate=16000)), expected)


def test_folders_and_patterns_are_the_recordings_in_them(folder: Path) -> None:
    everything = [str(folder / name) for name in ("a/1.WAV", "a/2.flac", "b.wav")]
    assert [source.name for source in sources(folder)] == everything
    assert [source.name for source in sources(str(folder / "**"))] == everything
    assert [source.name for source in sources([folder / "b.wav", str(folder / "a" / "*")])] == [
        everything[2],
        *everything[:2],
    ]
    named = folder / "take[1].wav"
    shutil.copy(folder / "b.wav", named)
    assert [source.name for source in sources(named)] == [str(named)]


def test_columns_of_a_table_are_kept(model: Predictor, folder: Path) -> None:
    paths = [folder / "b.wav", str(folder / "a" / "2.flac"), folder / "missing.wav"]
    given = pd.DataFrame({"label": ["sad", "x", None], "path": paths, "take": [1, 2, 3]}, index=[7, 7, 9])
    table = model.predict(given, on_error="row")
    assert list(table.columns) == ["audio", "label", *model.classes, "flags", "error", "given_label", "take"]
    assert table["audio"].tolist() == list(map(str, paths))
    assert table["take"].tolist() == [1, 2, 3]
    assert table["given_label"].tolist()[:2] == ["sad", "x"]
    assert model.predict(given[:2], on_error="row")["error"].tolist() == [None, None]
    for wrong in (given.rename(columns={"path": "file"}), given.rename(columns={"take": "path"})):
        with pytest.raises(ConfigError, match="must have one column path; got the columns label, "):
            model.predict(wrong)
    with pytest.raises(ConfigError, match="different names; got given_label twice"):
        model.predict(given[:2].rename(columns={"take": "given_label"}))


def test_a_bad_recording_is_a_row_with_its_reason(model: Predictor, folder: Path) -> None:
    (folder / "empty.wav").touch()
    bad: list[Any] = [
        folder / "empty.wav",
        None,
        float("nan"),
        7,
        b"noise",
        io.StringIO("text"),
        {"path": "a"},
        (16000, np.ones(9)),
    ]
    closed = io.BytesIO(b"")
    closed.close()
    bad += [closed, np.array([True, False]), (np.ones(9), 4), (np.full(9, 2**40), 16000)]
    bad += [(np.full(9, 100, np.int32), 16000), np.array(["a"])]
    good = folder / "b.wav"
    with_good = [item for one in bad for item in (one, good)]
    table = model.predict(with_good, rate=16000, on_error="row")
    failed, scored = table[::2], table[1::2]
    assert failed["label"].tolist() == [None] * len(bad)
    assert np.isnan(probabilities(failed)).all()
    np.testing.assert_allclose(probabilities(scored), probabilities(model.predict([good] * len(bad))), atol=1e-6)
    assert scored["error"].tolist() == [None] * len(bad)
    reasons = [
        "empty.wav: empty", "got None", "got nan", "got 7", "recording 8: unreadable", "binary; open it with mode 'rb'",
        "got {'path': 'a'}", r"it must be a path, .*\(array, rate\)", "closed file", "integers or floats; got bool",
        "impossible rate", "samples of 16 bits; got 1099511627776 to", "pass int16", "not a recording",
    ]  # fmt: skip
    for item, error, reason in zip(bad, failed["error"], reasons, strict=True):
        assert error is not None
        assert pd.Series([error]).str.contains(reason, regex=True).all(), (error, reason)
        with pytest.raises(AudioError, match=reason.replace("recording 8", "recording 1")):
            model.predict([good, item], rate=16000)


@pytest.mark.parametrize("audio", [3, None, 0.5, {"a.wav": 1}, object()])
def test_what_is_no_recording_is_refused(model: Predictor, audio: object) -> None:
    with pytest.raises(ConfigError, match=r"audio must be a path, a folder, .*; got "):
        model.predict(audio, on_error="row")


def test_wrong_arguments_are_refused_whatever_the_recordings(model: Predictor) -> None:
    with pytest.raises(ConfigError, match="on_error must be raise or row; got 'skip'"):
        model.predict([], on_error="skip")
    for rate in ("16000", True, [16000]):
        with pytest.raises(ConfigError, match="rate must be 1000 to 1000000 Hz"):
            model.predict(speech(1.0), rate=rate, on_error="row")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="rate must be set"):
        model.predict(speech(1.0), on_error="row")


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="no ffmpeg")
def test_bytes_of_a_format_that_needs_ffmpeg_are_recognised(model: Predictor, folder: Path, tmp_path: Path) -> None:
    import subprocess

    for suffix in (".m4a", ".webm", ".wma"):
        path = tmp_path / f"clip{suffix}"
        done = subprocess.run(["ffmpeg", "-v", "error", "-i", str(folder / "b.wav"), str(path)], check=False)
        if done.returncode:
            continue
        expected = probabilities(model.predict(path))
        np.testing.assert_array_equal(probabilities(model.predict(path.read_bytes())), expected)
