"""The length that a WAV's header promises, which the library that decodes it does not compare with the file's."""

from pathlib import Path

UNKNOWN = (0, 0x7FFFF000, 0xFFFFFFFF)
"""Sizes that programs write which do not know the size, since they write to a pipe."""
_CHUNKS = 1000
"""Chunks that are looked through."""


def promised_seconds(path: Path) -> tuple[float, float] | None:
    """Return the seconds that a WAV's header promises and those that are there; ``None`` if it is no WAV or does not say.

    Example:
        >>> from ser.corpora.demo import Demo
        >>> promised_seconds(next(Demo().utterances()).path) is None  # an OGG
        True
    """
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] not in (b"RIFF", b"RIFX") or head[8:] != b"WAVE":
            return None
        order = "little" if head[:4] == b"RIFF" else "big"
        rate = 0
        for _ in range(_CHUNKS):
            name, size = file.read(4), int.from_bytes(file.read(4), order)  # type: ignore[arg-type]
            if name == b"data":
                return _seconds(size, path.stat().st_size - file.tell(), rate)
            if len(name) < 4:
                return None
            start = file.tell()
            if name == b"fmt ":
                rate = int.from_bytes(file.read(16)[8:12], order)  # type: ignore[arg-type]  # bytes a second
            file.seek(start + size + size % 2)
    return None


def _seconds(promised: int, there: int, rate: int) -> tuple[float, float] | None:
    if promised in UNKNOWN or not rate:
        return None
    return promised / rate, min(promised, there) / rate
