"""What a server allows: settings of ``conf/serve.yaml``."""

from dataclasses import dataclass, fields

from ser.errors import ConfigError


def _check_least(settings: object, group: str, **least: float) -> None:
    """Refuse numbers that are too small; ``None`` is no limit where the setting has that type."""
    for field in fields(settings):  # type: ignore[arg-type]  # a dataclass
        value = getattr(settings, field.name)
        bound = least.get(field.name, 1)
        if value is None and "None" in str(field.type):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= bound:
            raise ConfigError(f"{group}.{field.name} must be a number of {bound:g} or more; got {value}.")
        if field.type is int and value != int(value):
            raise ConfigError(f"{group}.{field.name} must be a whole number; got {value}.")


@dataclass(frozen=True)
class Limits:
    """The most that a server takes.

    Args:
        bytes: Of a request's body.
        seconds: Of a recording.
        windows: Of a recording over time.
        concurrency: Requests at work at a time, those that are still sent included.
        per_minute: Requests of a client in a minute, on average; ``None`` is no limit.
        timeout_s: Seconds from the beginning of a request to its answer.
        streams: Live streams at a time.
        stream_s: Seconds of a stream.
        idle_s: Seconds without a message after which a stream ends.

    Raises:
        ConfigError: If a number is out of its range.
    """

    bytes: int = 25_000_000
    seconds: float = 300.0
    windows: int = 600
    concurrency: int = 64
    per_minute: int | None = 600
    timeout_s: float = 30.0
    streams: int = 8
    stream_s: float = 3600.0
    idle_s: float = 30.0

    def __post_init__(self) -> None:
        _check_least(self, "limits", seconds=0.1, timeout_s=0.1, stream_s=0.1, idle_s=0.1)


@dataclass(frozen=True)
class Batching:
    """How requests are scored together.

    Args:
        size: Recordings of a batch at most.
        delay_ms: Milliseconds that a recording waits for others.
        queue: Recordings that wait at most; more are refused.

    Raises:
        ConfigError: If a number is out of its range.
    """

    size: int = 16
    delay_ms: float = 5.0
    queue: int = 64

    def __post_init__(self) -> None:
        _check_least(self, "batching", delay_ms=0.0)
