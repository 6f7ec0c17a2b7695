"""Download one file and resume it after an interruption.

pooch downloads, verifies and retries, but starts at the first byte each time: its HTTP downloader deletes the partial file
(pooch 1.9, `pooch.core.stream_download`). For releases of 200 MB over unreliable connections, only the rest of the file is
fetched, by HTTP ranges: RFC 9110, section 14, https://www.rfc-editor.org/rfc/rfc9110#section-14.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ser.errors import DownloadError

if TYPE_CHECKING:
    import requests

TIMEOUT_S = 30.0
"""How long to wait for the server's answer."""
ATTEMPTS, PAUSE_S = 5, 1.0
"""Failures in a row, without a new byte, after which to give up; seconds before the second attempt, doubled for each more."""

Watch = Callable[[int], None]
"""Called with the number of bytes received; negative if bytes must be fetched again."""


class ResumingDownloader:
    """A ``downloader`` for `pooch.retrieve` that resumes where an earlier attempt stopped.

    Bytes are appended to ``part``. Beside it, ``<part>.tag`` holds the server's tag of the file: a file that has changed
    in the meantime is fetched from its start (``If-Range``), as is a file from a server without ranges.

    Args:
        part: File that collects the bytes; it is kept when the download stops.
        bytes: The published size; ``None`` accepts what the server sends.
        watch: Called with the number of bytes received.
        session: Keeps the connection open between files.
    """

    def __init__(
        self,
        part: Path,
        bytes: int | None = None,
        watch: Watch = lambda _: None,
        session: "requests.Session | None" = None,
    ) -> None:
        import requests

        self.part, self.tag = part, part.with_name(part.name + ".tag")
        self.bytes, self.watch, self.session = bytes, watch, session or requests.Session()

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Fetch ``url`` into ``output_file``, which appears only when it is complete.

        Raises:
            DownloadError: If the server refuses, cannot be reached, or sends another size than was published.
        """
        import requests
        from requests.exceptions import ChunkedEncodingError

        self.watch(self._have())
        failures = 0
        while True:
            before = self._have()
            try:
                self._attempt(url)
                break
            except (requests.ConnectionError, requests.Timeout, ChunkedEncodingError, _AgainError) as error:
                failures = 1 if self._have() > before else failures + 1
                if failures >= ATTEMPTS:
                    raise DownloadError(
                        f"{urlsplit(url).netloc} could not be reached or closed the connection {failures} times in a row "
                        f"({innermost_cause(error)}). Run the same command again to resume. On a machine without a network, "
                        "copy the corpus to it and set paths.corpora=/folder."
                    ) from error
                time.sleep(min(PAUSE_S * 2 ** (failures - 1), 60.0))
        if self.bytes is not None and self._have() != self.bytes:
            got = self._have()
            self._restart()
            raise DownloadError(
                f"{url} must send {self.bytes} bytes; got {got}, which were removed. Run the command again."
            )
        self.part.replace(output_file)
        self.tag.unlink(missing_ok=True)

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url: str) -> None:
        have = self._have()
        if have and have == self.bytes:
            return
        headers = {"Accept-Encoding": "identity"}  # ranges count the bytes as sent
        if have:
            headers["Range"] = f"bytes={have}-"
            if self.tag.exists():
                headers["If-Range"] = self.tag.read_text()
        with self.session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as response:
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{have}":
                return  # complete: no byte follows
            if response.status_code == 416:
                self._restart()
                raise _AgainError("the file on the server has changed")
            _check_status(response, url)
            if response.status_code != 206:
                self._restart()
            self._receive(response)

    def _receive(self, response: "requests.Response") -> None:
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified", "W/")
        if not tag.startswith("W/"):  # weak tags do not promise the same bytes
            self.tag.write_text(tag)
        expected = self._have() + int(response.headers.get("Content-Length", 0))
        with self.part.open("ab") as file:
            for chunk in response.iter_content(1 << 15):  # as many bytes are lost when the connection breaks
                file.write(chunk)
                self.watch(len(chunk))
        if self._have() < expected:
            raise _AgainError(f"received {self._have()} of {expected} bytes")

    def _restart(self) -> None:
        self.watch(-self._have())
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


class _AgainError(Exception):
    """A failure that another attempt may overcome."""


def _check_status(response: "requests.Response", url: str) -> None:
    if response.status_code == 429 or response.status_code >= 500:
        raise _AgainError(f"status {response.status_code}")
    if response.status_code >= 400:
        raise DownloadError(
            f"{url} answered with status {response.status_code} ({response.reason}). The file may have moved: see the "
            "corpus's homepage."
        )


def innermost_cause(error: BaseException) -> str:
    """Return the root cause of an error as short text, without the objects that urllib3 prints."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
