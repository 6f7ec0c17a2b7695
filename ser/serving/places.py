"""`Places`: how many of a kind may be going on at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ser.serving.errors import ServingError


class Places:
    """Places, each of which is held by one client at a time.

    Args:
        most: How many there are.
        what: What goes on in them.
        retry_s: Seconds after which one may be free.
        told: Is told how many are taken whenever that changes.

    Attributes:
        taken: How many are held.

    Example:
        >>> places = Places(1, "streams are open", retry_s=5)
        >>> with places.held(), places.held():
        ...     pass
        Traceback (most recent call last):
        ser.serving.errors.ServingError: 1 streams are open, which is the most. Try again later.
        >>> places.taken
        0
    """

    def __init__(self, most: int, what: str, retry_s: float, told: Callable[[int], object] = lambda _: None) -> None:
        self._most, self._what, self._retry_s, self._told = most, what, retry_s, told
        self.taken = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold a place.

        Raises:
            ServingError: If there is none.
        """
        if self.taken >= self._most:
            text = f"{self._most} {self._what}, which is the most. Try again later."
            raise ServingError("too_many_requests", text, retry_s=self._retry_s)
        self._take(1)
        try:
            yield
        finally:
            self._take(-1)

    def _take(self, number: int) -> None:
        self.taken += number
        self._told(self.taken)
