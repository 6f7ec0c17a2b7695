"""Time measurement of a run by named phases. Each counts its own seconds without those of phases inside it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

Seconds = dict[str, float]
_seconds: ContextVar[Seconds | None] = ContextVar("seconds", default=None)
_inside: ContextVar[float] = ContextVar("inside", default=0.0)


@contextmanager
def recorded() -> Iterator[Seconds]:
    """Yield a table to which the phases of the block add their seconds.

    Example:
        >>> with recorded() as seconds:
        ...     with phase("outer"), phase("inner"):
        ...         time.sleep(0.02)
        >>> seconds["inner"] > 0.019 > seconds["outer"]
        True
    """
    seconds: Seconds = {}
    token = _seconds.set(seconds)
    try:
        yield seconds
    finally:
        _seconds.reset(token)


def count(seconds: Mapping[str, float]) -> None:
    """Add seconds that were measured elsewhere, such as in another process, to the recorded ones."""
    if (known := _seconds.get()) is not None:
        for name, spent in seconds.items():
            known[name] = known.get(name, 0.0) + spent
        _inside.set(_inside.get() + sum(seconds.values()))


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Record the seconds of the block, without those of phases in it, under a name."""
    began, token = time.perf_counter(), _inside.set(0.0)
    try:
        yield
    finally:
        taken, inside = time.perf_counter() - began, _inside.get()
        _inside.reset(token)
        _inside.set(_inside.get() + taken)
        if (seconds := _seconds.get()) is not None:
            seconds[name] = seconds.get(name, 0.0) + taken - inside
