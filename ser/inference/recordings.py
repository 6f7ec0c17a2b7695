"""Recordings as a person has them: paths, folders, patterns, bytes, file objects, arrays and tables of paths.

`sources` makes a list of them and reads none; each is decoded when it is needed, by `opened_source`.
"""

import glob
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from ser.audio.checks import RATES, mixed
from ser.audio.decode import Recording, open_recording
from ser.corpora.corpus import AUDIO_SUFFIXES, files_under
from ser.errors import AudioError, ConfigError

FORMS = "a path, a folder, a pattern, bytes, a binary file object, an array, (array, rate), numbers, or a list of these"
PATH = "path"
"""Column of a table that names the recordings."""
MAGIC = {
    b"ftyp": (4, ".m4a"),
    b"\x1a\x45\xdf\xa3": (0, ".webm"),
    b"#!AMR": (0, ".amr"),
    b"\x30\x26\xb2\x75": (0, ".wma"),
}
"""How the formats begin that need ffmpeg: bytes, where they are, and the suffix that they stand for."""


@dataclass(frozen=True)
class Source:
    """A recording that has not been read.

    Attributes:
        name: Its path, or its position among those that were given.
        audio: A path, bytes, a file object or an array.
        rate: Of an array, in Hz.
        columns: What a table states of it, its path aside.
        missing: Whether it stands for a folder or a pattern without recordings.
    """

    name: str
    audio: Any
    rate: float | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)
    missing: bool = False


class Readable(Protocol):
    """A recording that is open: an `ser.audio.decode.OpenFile`, or an array with the same methods."""

    @property
    def name(self) -> str:
        """What it is called in an error."""

    @property
    def rate(self) -> float:
        """In Hz."""

    @property
    def frames(self) -> int:
        """Number of samples of a channel."""

    def whole(self) -> Recording:
        """Decode all of it."""

    def check_length(self) -> None:
        """Refuse a file that has less than its header promises."""

    def read(self, first: int, last: int) -> Recording:
        """Decode the samples from ``first`` up to ``last``."""


def sources(audio: Any, rate: float | None = None) -> list[Source]:
    """Return the recordings among what was given, in the given order; those of a folder or a pattern are sorted.

    Args:
        audio: One of `FORMS`, or a `pandas.DataFrame` with the column `PATH`.
        rate: Sampling rate in Hz of arrays.

    Raises:
        ConfigError: If ``audio`` is nothing of the kind, or ``rate`` is impossible.

    Example:
        >>> [source.name for source in sources(["a.wav", ([0.1, 0.2], 16000)])]
        ['a.wav', '1']
    """
    if rate is not None and not _possible(rate):
        raise ConfigError(f"rate must be {RATES[0]} to {RATES[1]} Hz; got {rate!r}. Pass the rate of the arrays in Hz.")
    if isinstance(audio, pd.DataFrame):
        return list(_of_table(audio))
    if isinstance(audio, np.ndarray) and audio.dtype.kind in "OSU":
        audio = audio.ravel().tolist()
    if _is_one(audio):
        items = [audio]
    elif isinstance(audio, Mapping) or not hasattr(audio, "__iter__"):
        raise ConfigError(f"audio must be {FORMS}, or a DataFrame with the column {PATH}; got {_short(audio)}.")
    else:
        items = list(audio)
        items = [items] if _is_numbers(items) else items
    return [source for position, item in enumerate(items) for source in _of_item(item, str(position), rate)]


@contextmanager
def opened_source(source: Source) -> Iterator[Readable]:
    """Open a recording, to decode pieces of it.

    Raises:
        AudioError: If it cannot be read; the message names it.
        ConfigError: If it is an array without a rate.
    """
    audio, title = source.audio, f"recording {source.name}"
    if source.missing:
        raise AudioError(source.name, "no recordings", f"names of recordings end in {', '.join(AUDIO_SUFFIXES)}")
    if isinstance(audio, Path):
        with open_recording(audio, source.name) as file:
            yield file
    elif isinstance(audio, bytes | bytearray | memoryview) or hasattr(audio, "read"):
        title = source.name if not source.name.isdecimal() else title
        content = _content(audio, title)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"recording{suffix_of(content) or Path(source.name).suffix}")
            path.write_bytes(content)
            del content
            with open_recording(path, title) as file:
                yield file
    elif isinstance(audio, np.ndarray) or _is_tensor(audio) or _is_numbers(audio):
        yield _OpenArray(f"array {source.name}", audio, source.rate)
    else:
        raise AudioError(title, "not a recording", f"it must be {FORMS}; got {_short(audio)}")


class _OpenArray:
    """An array, read as a file would be decoded."""

    def __init__(self, name: str, audio: Any, rate: float | None) -> None:
        if rate is None:
            raise ConfigError(
                "rate must be set for an array; got none. Pass its sampling rate in Hz: model.predict(array, rate=16000)."
            )
        if not _possible(rate):
            raise AudioError(name, "impossible rate", f"it must be {RATES[0]} to {RATES[1]} Hz; got {rate!r}")
        self.name, self.rate = name, rate
        self._array = _array(audio, name)
        self.frames = len(self._array)

    def whole(self) -> Recording:
        return self.read(0, self.frames)

    def check_length(self) -> None:
        """Do nothing: an array promises no more than it has."""

    def read(self, first: int, last: int) -> Recording:
        mono, findings = mixed(_floats(self._array[first:last]), self.rate, self.name)
        return Recording(mono, self.rate, findings)  # type: ignore[arg-type]  # soxr takes rates that are no integers


def _of_table(table: pd.DataFrame) -> Iterator[Source]:
    if list(table.columns).count(PATH) != 1:
        raise ConfigError(
            f"A DataFrame must have one column {PATH}; got the columns {', '.join(map(str, table.columns)) or 'none'}. "
            f"Rename the one with the paths: table.rename(columns={{...: {PATH!r}}})."
        )
    others = [column for column in table.columns if column != PATH]
    rows = table[others].to_dict("records") if others else [{}] * len(table)
    for position, (path, row) in enumerate(zip(table[PATH], rows, strict=True)):
        for source in _of_item(path, str(position), None):
            yield replace(source, columns={str(name): value for name, value in row.items()})


def _of_item(item: Any, position: str, rate: float | None) -> Iterator[Source]:
    """Yield the recordings of one item of a list, which are several for a folder or a pattern."""
    if isinstance(item, tuple) and len(item) == 2 and not _is_numbers(item):
        one, other = item
        if isinstance(other, Real) and not isinstance(one, str | os.PathLike):
            yield Source(position, one, other)  # type: ignore[arg-type]  # checked when it is opened
            return
    if not isinstance(item, str | os.PathLike):
        name = getattr(item, "name", None) if hasattr(item, "read") else None
        yield Source(name if isinstance(name, str) else position, item, rate)
        return
    path = Path(item).expanduser()
    if path.is_dir():
        found = files_under(path)
    elif glob.has_magic(str(path)) and not path.exists():
        found = map(Path, glob.iglob(str(path), recursive=True))  # noqa: PTH207  # Path.glob takes no absolute patterns
    else:
        yield Source(str(item), path)
        return
    files = sorted(file for file in found if file.suffix.lower() in AUDIO_SUFFIXES and file.is_file())
    yield from (Source(str(file), file) for file in files)
    if not files:
        yield Source(str(item), path, missing=True)


def _is_one(audio: Any) -> bool:
    """Whether something is one recording, and not several."""
    single = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)
    pair = isinstance(audio, tuple) and len(audio) == 2 and any(isinstance(part, Real) for part in audio)
    return isinstance(audio, single) or _is_tensor(audio) or hasattr(audio, "read") or pair


def _is_tensor(audio: Any) -> bool:
    """Whether something is a tensor; nothing is where torch has not been imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(audio, torch.Tensor)


def _is_numbers(items: Any) -> bool:
    return isinstance(items, Sequence) and bool(len(items)) and all(isinstance(x, Real | np.number) for x in items)


def _possible(rate: Any) -> bool:
    return isinstance(rate, Real) and RATES[0] <= float(rate) <= RATES[1]  # which True is not


def _content(audio: Any, name: str) -> bytes:
    """Return all bytes of a file object, from its beginning if it can be moved there."""
    if not hasattr(audio, "read"):
        return bytes(audio)
    try:
        if hasattr(audio, "seekable") and audio.seekable():
            audio.seek(0)
        content = audio.read()
    except (OSError, ValueError) as error:  # ValueError: it is closed
        raise AudioError(name, "unreadable", str(error)) from error
    if not isinstance(content, bytes | bytearray):
        raise AudioError(name, "unreadable", "a file object must be binary; open it with mode 'rb'")
    return bytes(content)


def suffix_of(content: bytes) -> str:
    """Return the suffix of a format that needs ffmpeg, by how the content of a file begins; else an empty one."""
    found = [suffix for magic, (at, suffix) in MAGIC.items() if content[at : at + len(magic)] == magic]
    return found[0] if found else ""


def _array(audio: Any, name: str) -> np.ndarray:
    """Return an array as ``(sample, channel)``, in its own type."""
    if _is_tensor(audio):
        audio = (audio.float() if audio.is_floating_point() else audio).detach().cpu().numpy()
    array = np.asarray(audio)
    if array.ndim not in (1, 2) or not array.size:
        raise AudioError(name, "empty", f"or not of shape (sample,) or (sample, channel): got {array.shape}")
    if array.dtype.kind not in "iuf":
        raise AudioError(name, "not a recording", f"its values must be integers or floats; got {array.dtype}")
    if array.ndim == 2 and array.shape[1] > array.shape[0]:
        raise AudioError(
            name, "more channels than samples", f"its shape must be (sample, channel); got {array.shape}; transpose it"
        )
    if array.dtype.kind in "iu" and array.itemsize > 2:
        array = _wide_integers(array, name)
    return array.reshape(len(array), -1)


def floats_of(array: np.ndarray, name: str) -> np.ndarray:
    """Return an array as ``(sample, channel)`` float32, full scale = 1, whatever its type.

    Raises:
        AudioError: If it is none of a recording.
    """
    return _floats(_array(array, name))


def _wide_integers(array: np.ndarray, name: str) -> np.ndarray:
    """Return integers of 64 bits, which Python's are, as the 16 bits that they hold; those of 32 bits use their range."""
    low, high = int(array.min()), int(array.max())
    fits = np.iinfo(np.int16).min <= low and high <= np.iinfo(np.int16).max
    if array.itemsize == 8 and fits:
        return array.astype(np.int16)
    if array.itemsize == 8:
        raise AudioError(
            name,
            "integer scale",
            f"integers of 64 bits must be samples of 16 bits; got {low} to {high}; pass floats up to 1",
        )
    if fits and array.dtype.kind == "i" and max(-low, high) > 0:
        raise AudioError(
            name,
            "integer scale",
            f"integers of 32 bits must use their range; got {low} to {high}; pass int16 for 16 bits",
        )
    return array


def _floats(array: np.ndarray) -> np.ndarray:
    """Return samples as float32, full scale = 1."""
    if array.dtype.kind in "iu":
        bounds = np.iinfo(array.dtype)
        full_scale = (bounds.max - bounds.min + 1) / 2
        array = (array - (bounds.max + 1 - full_scale)) / full_scale  # the zero of unsigned integers is in the middle
    return array.astype(np.float32, copy=False)


def _short(value: Any) -> str:
    """Return a value and its type, in a few words."""
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:37] + '...'} ({type(value).__name__})"
