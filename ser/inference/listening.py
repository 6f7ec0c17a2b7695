"""What a model says of a pipe or a microphone while someone speaks: an object of JSON a line for each event."""

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, BinaryIO

import numpy as np

from ser.errors import ConfigError
from ser.inference.plain import event_of
from ser.inference.predictor import Predictor
from ser.inference.stream import Event
from ser.protocols.limits import NOT_FOR

log = logging.getLogger(__name__)
MICROPHONE = "microphone"
CHUNK_BYTES = 1 << 16
WAIT_S = 1.0
"""Seconds after which it is looked whether a microphone still records."""
SUFFIX = ".jsonl"
Write = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Listening:
    """How speech is listened to.

    Args:
        source: ``True`` reads samples from standard input, `MICROPHONE` records.
        rate: Sampling rate in Hz; ``None`` is that of the microphone.
        window: See `ser.inference.stream.Stream`, as of the others.
        hop: See there.
        detector: See there.

    Raises:
        ConfigError: If there is no such source, or no rate for standard input.
    """

    source: bool | str
    rate: float | None
    window: float = 3.0
    hop: float = 0.5
    detector: str = "energy"

    def __post_init__(self) -> None:
        if self.source is not True and self.source != MICROPHONE:
            raise ConfigError(f"stream must be false, true or {MICROPHONE}; got {self.source!r}.")
        if self.source is True and self.rate is None:
            raise ConfigError("rate must be the sampling rate of the samples in Hz; got none. Set it: rate=16000.")


def follow(model: Predictor, name: str, asked: Listening, write: Write) -> None:
    """Write what a model says, as it is heard, until the samples end or Ctrl-C ends them.

    The events are those of `ser.inference.predictor.Predictor.stream`, after one of the type ``ready``.

    Args:
        model: The model.
        name: What it is called in the first event.
        asked: How speech is listened to.
        write: Takes an event; see `ser.inference.plain.event_of`.

    Raises:
        ConfigError: If a setting is out of its range, or there is nothing to listen to.
    """
    rate = microphone_rate() if asked.rate is None else asked.rate
    stream = model.stream(rate, window=asked.window, hop=asked.hop, detector=asked.detector)
    chunks = microphone_samples(rate) if asked.source == MICROPHONE else pipe_samples(sys.stdin.buffer)

    def tell(events: Iterable[Event]) -> None:
        for event in events:
            write(event_of(event, model.scorer))

    write({"type": "ready", "model": name, "stamps": list(model.stamps), "not_for": NOT_FOR, "rate": rate})
    with _Interrupt() as interrupt:
        for samples in interrupt.until(chunks):
            tell(stream.feed(samples))
        tell(stream.close())


@contextmanager
def json_lines(out: Path | None) -> Iterator[Write]:
    """Yield what writes an object as a line at once, to standard output or to a file, which is replaced.

    Raises:
        ConfigError: If the file's name does not end in `SUFFIX`, or it is a folder.
    """

    def write(plain: dict[str, Any]) -> None:
        file.write(f"{json.dumps(plain)}\n")
        file.flush()

    if out is None:
        file = sys.stdout
        yield write
        return
    if out.suffix != SUFFIX or out.is_dir():
        raise ConfigError(f"out must be a file that ends in {SUFFIX} with stream; got {out}. Choose another name.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as file:
        yield write


def pipe_samples(file: BinaryIO) -> Iterator[np.ndarray]:
    """Yield samples of one channel, integers of 16 bits, little-endian, as they arrive: ``(sample,)`` int16.

    Raises:
        ConfigError: If it is a terminal.

    Example:
        >>> import io
        >>> [chunk.tolist() for chunk in pipe_samples(io.BufferedReader(io.BytesIO(bytes([1, 0, 255, 255]))))]
        [[1, -1]]
    """
    if file.isatty():
        raise ConfigError("stream=true reads samples from standard input; got a terminal. Pipe a program into it.")
    rest = b""
    while content := file.read1(CHUNK_BYTES):  # type: ignore[attr-defined]  # a buffered reader
        content = rest + content
        rest = content[len(content) // 2 * 2 :]
        yield np.frombuffer(content[: len(content) - len(rest)], "<i2")
    if rest:
        log.warning("The last sample has one of its two bytes, and is left out.")


def microphone_samples(rate: float) -> Iterator[np.ndarray]:
    """Yield samples of the microphone as they arrive: ``(sample,)`` int16; it ends where the microphone does.

    Raises:
        ConfigError: If the package is not installed, or there is no microphone of this rate.
    """
    from rich.console import Console

    sounddevice, chunks = _sounddevice(), SimpleQueue[np.ndarray]()

    def keep(samples: np.ndarray, frames: int, time: Any, status: Any) -> None:
        if status:
            log.warning("The microphone was faster than the model: some samples are lost (%s).", status)
        chunks.put(samples[:, 0].copy())

    try:
        with sounddevice.InputStream(samplerate=rate, channels=1, dtype="int16", callback=keep) as microphone:
            Console(stderr=True).print(f"Listening at {rate:g} Hz. Press Ctrl-C to end.", highlight=False)
            while True:
                try:
                    yield chunks.get(timeout=WAIT_S)
                except Empty:
                    if not microphone.active:
                        return
    except sounddevice.PortAudioError as error:
        raise _no_microphone(error) from error


def microphone_rate() -> float:
    """Return the rate of the microphone in Hz.

    Raises:
        ConfigError: If the package is not installed, or there is none.
    """
    sounddevice = _sounddevice()
    try:
        return float(sounddevice.query_devices(kind="input")["default_samplerate"])
    except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: there is no device
        raise _no_microphone(error) from error


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ImportError as error:
        raise ConfigError(
            "stream=microphone needs the package sounddevice. Run pip install 'ser[microphone]'."
        ) from error
    except OSError as error:  # the library below it
        raise ConfigError(
            "stream=microphone needs the library PortAudio, which is not installed. Install it (libportaudio2)."
        ) from error
    return sounddevice


def _no_microphone(error: Exception) -> ConfigError:
    return ConfigError(f"stream=microphone needs a microphone that can be opened; got: {error}. Connect one.")


class _Interrupt:
    """Ctrl-C ends the chunks between two of them, so that none is half taken; the second Ctrl-C interrupts."""

    def __init__(self) -> None:
        self._waiting = self._asked = False

    def __enter__(self) -> "_Interrupt":
        self._before = signal.signal(signal.SIGINT, self._heed)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _heed(self, number: int, frame: FrameType | None) -> None:
        again, self._asked = self._asked, True
        if self._waiting or again:
            raise KeyboardInterrupt

    def until(self, chunks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield chunks until Ctrl-C."""
        while not self._asked:
            try:
                self._waiting = True
                samples = next(chunks)
                self._waiting = False
            except (StopIteration, KeyboardInterrupt):
                self._waiting = False
                return
            yield samples
