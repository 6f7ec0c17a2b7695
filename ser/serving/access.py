"""Who may ask, and how often: keys, and an allowance for each client."""

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping, Sequence

from ser.serving.errors import ServingError

VARIABLE = "SER_API_KEYS"
"""Environment variable with the keys, separated by commas; without it, everybody may ask."""
MOST_CLIENTS = 10_000
"""Clients that are remembered: a megabyte or two."""


def keys_of_environment() -> tuple[str, ...]:
    """Return the keys in the environment."""
    return tuple(key for part in os.environ.get(VARIABLE, "").split(",") if (key := part.strip()))


class Keys:
    """The keys that a server takes.

    Args:
        keys: None of them lets everybody in.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, key: str | None) -> str | None:
        """Return a name for the client with a key, or ``None`` where none is needed.

        Raises:
            ServingError: If the key is not one of them.
        """
        if not self._digests:
            return None
        given = _digest(key or "")
        # All are compared, and digests have one length: how long it takes says nothing of the keys.
        if not sum([hmac.compare_digest(given, digest) for digest in self._digests]):
            text = "A key must be sent as Authorization: Bearer <key> or X-API-Key: <key>; got none, or an unknown one."
            raise ServingError("unauthorized", text)
        return given.hex()


def sent_key(headers: Mapping[str, str]) -> str | None:
    """Return the key in the headers of a request.

    Example:
        >>> sent_key({"authorization": "Bearer abc"}), sent_key({"x-api-key": "abc"}), sent_key({})
        ('abc', 'abc', None)
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")


class Allowance:
    """How often each client may ask: a bucket that fills evenly, and holds a minute's requests at most.

    Args:
        per_minute: ``None`` is no limit.
        clock: Seconds.

    Example:
        >>> allowance = Allowance(2, lambda: 0.0)
        >>> allowance.take("a")
        >>> allowance.take("a")
        >>> allowance.take("a")
        Traceback (most recent call last):
        ser.serving.errors.ServingError: A client may send 2 requests in a minute; got more. Try again in 30 s.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._left: dict[str, tuple[float, float]] = {}  # by client: requests, and when they were counted

    def take(self, client: str) -> None:
        """Count a request of a client.

        Raises:
            ServingError: If it has none left.
        """
        if self._per_minute is None:
            return
        now, most = self._clock(), float(self._per_minute)
        left, when = self._left.pop(client, (most, now))
        left = min(most, left + (now - when) * most / 60)
        self._left[client] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > MOST_CLIENTS:
            del self._left[next(iter(self._left))]  # the one that was quiet for longest
        if left < 1:
            wait = (1 - left) * 60 / most
            text = f"A client may send {self._per_minute} requests in a minute; got more. Try again in {wait:.0f} s."
            raise ServingError("too_many_requests", text, retry_s=wait)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
