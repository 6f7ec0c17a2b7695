"""`ServingError`: why a request is not answered, as a status of HTTP, a word for programs and a sentence for people."""

from collections.abc import Mapping

STATUS: Mapping[str, int] = {
    "bad_request": 400,
    "bad_audio": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "too_long": 413,
    "unsupported": 415,
    "invalid": 422,
    "too_many_requests": 429,
    "queue_full": 429,
    "client_left": 499,
    "internal": 500,
    "unavailable": 503,
    "timeout": 504,
}
"""The status of every kind; 499, which nobody receives, is nginx's for clients that left."""
FAULT = "The server failed, which is a fault of it. Its log says why."


class ServingError(Exception):
    """Why a request, or a stream, is not answered.

    Args:
        kind: A key of `STATUS`.
        message: What must be, and what was there; it quotes nothing that is private.
        retry_s: Seconds after which trying again makes sense.

    Example:
        >>> ServingError("queue_full", "Too many requests are waiting.", retry_s=1.2).headers
        {'Retry-After': '2'}
    """

    def __init__(self, kind: str, message: str, retry_s: float | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.status, self.retry_s = kind, message, STATUS[kind], retry_s

    @property
    def headers(self) -> dict[str, str]:
        """Headers that belong to the status."""
        found = {} if self.retry_s is None else {"Retry-After": str(max(1, -int(-self.retry_s // 1)))}
        return {**found, "WWW-Authenticate": "Bearer"} if self.status == 401 else found

    def plain(self) -> dict[str, dict[str, str]]:
        """Return it as plain JSON."""
        return {"error": {"type": self.kind, "message": self.message}}
