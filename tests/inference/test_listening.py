"""A pipe and a microphone give the events of `Predictor.stream`, a line each, until they end or Ctrl-C ends them."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

import ser.predict
from ser.errors import ConfigError
from ser.inference import listening
from ser.inference.listening import Listening, follow, json_lines, pipe_samples
from ser.inference.plain import event_of
from ser.inference.predictor import Predictor
from ser.inference.stream import END, MEASUREMENT, START
from ser.protocols.limits import NOT_FOR
from tests.inference.test_stream import RATE, heard, talk
from tests.untrained import untrained

PCM = np.rint(32767 * talk()).astype("<i2")
ASKED = {"window": 0.7, "hop": 0.3}


@pytest.fixture(scope="module")
def model() -> Predictor:
    """A small model, not trained."""
    return Predictor(untrained(stamps=("synthetic speech",)))


@pytest.fixture(scope="module")
def expected(model: Predictor) -> list[dict[str, Any]]:
    """What a stream says of the same samples."""
    return [event_of(event, model.scorer) for event in heard(model, PCM, **ASKED)]


class Pipe(io.RawIOBase):
    """Bytes in pieces of odd lengths."""

    def __init__(self, content: bytes, size: int = 3001) -> None:
        self._content, self._size = content, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece, self._content = self._content[: self._size], self._content[self._size :]
        buffer[: len(piece)] = piece
        return len(piece)


def fed(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BufferedReader(Pipe(content), 4096)))


def test_a_pipe_gives_the_events_of_a_stream(
    model: Predictor, expected: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fed(monkeypatch, PCM.tobytes())
    found: list[dict[str, Any]] = []
    follow(model, "runs/x", Listening(True, RATE, **ASKED), found.append)
    ready = {"type": "ready", "model": "runs/x", "stamps": ["synthetic speech"], "not_for": NOT_FOR, "rate": RATE}
    assert found[0] == ready
    assert {event["type"] for event in expected} == {START, MEASUREMENT, END}
    assert found[1:] == expected
    assert [json.loads(json.dumps(event)) for event in found] == found


def test_half_a_sample_at_the_end_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    chunks = list(pipe_samples(io.BufferedReader(Pipe(PCM[:5000].tobytes() + b"\1"))))
    assert len(chunks) > 2
    np.testing.assert_array_equal(np.concatenate(chunks), PCM[:5000])
    assert "The last sample has one of its two bytes, and is left out." in caplog.text


def test_each_line_is_there_at_once(tmp_path: Path) -> None:
    out = tmp_path / "new" / "call.jsonl"
    with json_lines(out) as write:
        for number in range(3):
            write({"number": number})
            assert [json.loads(line)["number"] for line in out.read_text().splitlines()] == [*range(number + 1)]
    with pytest.raises(ConfigError, match=r"^out must be a file that ends in \.jsonl with stream; got .*call\.csv"):
        json_lines(tmp_path / "call.csv").__enter__()


@pytest.mark.parametrize("waiting", [True, False])
def test_ctrl_c_ends_the_utterance(model: Predictor, monkeypatch: pytest.MonkeyPatch, waiting: bool) -> None:
    before = signal.getsignal(signal.SIGINT)
    speaking = PCM[: round(1.8 * RATE)]
    found: list[dict[str, Any]] = []

    def chunks() -> Iterator[np.ndarray]:
        yield speaking
        if waiting:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
        pytest.fail("nothing more is read")

    def write(event: dict[str, Any]) -> None:
        found.append(event)
        if event["type"] == START and not waiting:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=None))
    monkeypatch.setattr(listening, "pipe_samples", lambda file: chunks())
    follow(model, "x", Listening(True, RATE, **ASKED), write)
    assert found[1:] == [event_of(event, model.scorer) for event in heard(model, speaking, **ASKED)]
    assert found[-1]["type"] == END
    assert signal.getsignal(signal.SIGINT) is before


class PortAudioError(Exception):
    """As the package has it."""


class Microphone:
    """A stream that calls back from another thread, as the package's does."""

    def __init__(self, samplerate: float, channels: int, dtype: str, callback: Any) -> None:
        assert (samplerate, channels, dtype) == (RATE, 1, "int16")
        self._callback, self.active = callback, True

    def _record(self) -> None:
        for at in range(0, len(PCM), 1600):
            block = PCM[at : at + 1600, None].copy()
            self._callback(block, len(block), None, "input overflow" if at == 3200 else "")
            block[:] = 0  # the package uses the buffer again
        self.active = False

    def __enter__(self) -> "Microphone":
        threading.Thread(target=self._record).start()
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_microphone_gives_the_events_of_a_stream(
    model: Predictor,
    expected: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    devices = {"default_samplerate": float(RATE)}
    fake = SimpleNamespace(
        InputStream=Microphone,
        PortAudioError=PortAudioError,
        query_devices=lambda kind: devices if kind == "input" else None,
    )
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    found: list[dict[str, Any]] = []
    follow(model, "x", Listening("microphone", None, **ASKED), found.append)
    assert found[0]["rate"] == RATE
    assert found[1:] == expected
    assert "Listening at 16000 Hz" in capsys.readouterr().err
    assert "some samples are lost (input overflow)" in caplog.text


def test_what_a_microphone_needs_is_named(model: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fails(*_: object, **__: object) -> None:
        raise PortAudioError("Invalid sample rate")

    asked = Listening("microphone", RATE)
    monkeypatch.setitem(sys.modules, "sounddevice", None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"needs the package sounddevice\. Run pip install 'ser\[microphone\]'\.$"):
        follow(model, "x", asked, lambda event: None)
    fake = SimpleNamespace(InputStream=fails, PortAudioError=PortAudioError, query_devices=fails)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)  # type: ignore[arg-type]
    for rate in (RATE, None):
        with pytest.raises(ConfigError, match="needs a microphone that can be opened; got: Invalid sample rate"):
            follow(model, "x", Listening("microphone", rate), lambda event: None)
    monkeypatch.delitem(sys.modules, "sounddevice")
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="needs the library PortAudio, which is not installed"):
        follow(model, "x", asked, lambda event: None)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stream": True}, "^rate must be the sampling rate of the samples in Hz; got none"),
        ({"stream": "ear"}, "^stream must be false, true or microphone; got 'ear'"),
        ({"stream": True, "rate": 16000, "files": ["a.wav"]}, "^files must be left out with stream; got .*a.wav"),
        ({"stream": True, "rate": 16000, "segments": True}, "^segments must be left out with stream; got True"),
        ({"stream": True, "rate": 16000, "risk": 0.1}, "^risk must be left out with stream; got 0.1"),
        ({"rate": 16000}, "^rate must be left out with stream=false; got 16000"),
        ({"detector": "speech"}, "^detector must be left out with stream=false; got speech"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    defaults = {"stream": False, "window": 3.0, "hop": 0.5, "model": {"path": "none"}, "out": None}
    config = OmegaConf.create({**defaults, **ser.predict.OF_FILES, **ser.predict.OF_STREAMS, **settings})
    with pytest.raises(ConfigError, match=message):
        ser.predict.main.__wrapped__(config)  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C to a whole console")
def test_the_command_ends_well(run: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "80"}
    command = [sys.executable, "-m", "ser.predict", f"model={run}", "stream=true", f"rate={RATE}", "window=0.7"]

    def started() -> "subprocess.Popen[bytes]":
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path, env=environment)

    with started() as interrupted:
        assert interrupted.stdin is not None
        assert interrupted.stdout is not None
        assert interrupted.stderr is not None
        interrupted.stdin.write(PCM[: round(1.8 * RATE)].tobytes())
        interrupted.stdin.flush()
        assert [json.loads(interrupted.stdout.readline())["type"] for _ in range(2)] == ["ready", START]
        interrupted.send_signal(signal.SIGINT)
        events = [json.loads(line) for line in interrupted.stdout]
        assert events[-1]["type"] == END, interrupted.stderr.read()
        assert interrupted.wait() == 0
    with started() as unread:
        assert unread.stdin is not None
        assert unread.stdout is not None
        assert json.loads(unread.stdout.readline())["type"] == "ready"
        unread.stdout.close()
        with suppress(BrokenPipeError):  # it may have ended before all is written
            unread.stdin.write(PCM.tobytes())
            unread.stdin.close()
        assert unread.stderr is not None
        assert b"Traceback" not in unread.stderr.read()
        assert unread.wait() == 0
