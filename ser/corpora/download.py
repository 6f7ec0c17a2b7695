"""Getting a corpus from where it is published: resumed, verified, unpacked safely, and able to run again.

Everything is fetched into ``<root>/.download``, checked, and moved into place in one step, so that a folder never holds
half a file. What is wanted, where it lies and its checksums are facts of the corpus: `ser.corpora.corpus.Download`.
"""

import errno
import fnmatch
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from ser.corpora.corpus import Corpus, Download, is_pointer
from ser.corpora.unpack import check_space, opened, unpack
from ser.errors import DownloadError

if TYPE_CHECKING:
    import requests

CONNECTIONS = 8  # for releases of thousands of files; more is rude to the server and no faster
TIMEOUT_S = 30.0

Watch = Callable[[int], None]
"""Is told how many bytes came; negative where some must be fetched again."""

_thread = threading.local()


@dataclass(frozen=True)
class _File:
    """One file to fetch: the first address that works, to ``target``."""

    urls: tuple[str, ...]
    target: Path
    checksum: str | None
    bytes: int | None


def download(corpus: Corpus, root: str | Path | None = None, progress: bool = True) -> Path:
    """Get a corpus's release, or do nothing where it is complete.

    Args:
        corpus: What to get.
        root: The folder to put it in; the corpus's own by default.
        progress: Whether to draw a bar.

    Returns:
        The folder that holds it.

    Raises:
        CorpusNotFoundError: If the corpus cannot be downloaded and is not there; says how to get it.
        DownloadError: If the network, the disk or a checksum fails; what came is kept, and running it again resumes.
    """
    from filelock import FileLock

    if root is not None and Path(root).expanduser() != corpus.root:
        corpus = type(corpus)(root)
    if corpus.complete():
        return corpus.root
    if not corpus.downloads:
        raise corpus.not_found()
    with _told_plainly(corpus.root):
        corpus.root.mkdir(parents=True, exist_ok=True)
        with FileLock(corpus.root / ".download.lock"):
            if not corpus.complete():  # another process may have got it meanwhile
                _get(corpus, progress)
    return corpus.root


def _get(corpus: Corpus, progress: bool) -> None:
    work = corpus.root / ".download"
    work.mkdir(exist_ok=True)
    with _bar(corpus.title, progress) as (expect, watch):
        for item in corpus.downloads:
            _KINDS[item.kind](item, corpus, work, expect, watch)
    if not corpus.complete():
        what = " ".join(corpus.differences(corpus.clips())) or "Its tables are missing."
        raise DownloadError(f"What {corpus.downloads[0].url} gives is not the whole release. {what}")
    shutil.rmtree(work)


class ResumingDownloader:
    """A ``downloader`` for `pooch.retrieve` that goes on where an earlier attempt stopped.

    What comes is appended to ``part``; beside it, ``<part>.tag`` holds the server's tag of the file, so that a file
    that has changed meanwhile is started again (``If-Range``), as it is where the server knows no ranges.

    Args:
        part: Where to gather the bytes; kept when the download stops.
        bytes: The size as published; ``None`` takes what the server says.
        attempts: How often in a row to try without a single new byte.
        pause_s: Before the second attempt; doubles with each.
        timeout_s: How long to wait for the server to say anything.
    """

    def __init__(
        self,
        part: Path,
        bytes: int | None = None,
        watch: Watch = lambda _: None,
        session: "requests.Session | None" = None,
        attempts: int = 5,
        pause_s: float = 1.0,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        import requests

        self.part, self.tag = part, part.with_name(part.name + ".tag")
        self.bytes, self.watch, self.session = bytes, watch, session or requests.Session()
        self.attempts, self.pause_s, self.timeout_s = attempts, pause_s, timeout_s

    def __call__(self, url: str, output_file: str, pooch: object = None) -> None:
        """Fetch ``url`` into ``output_file``, which appears only when it is whole."""
        import requests

        self.watch(self._have())
        failures = 0
        while True:
            before = self._have()
            try:
                self._attempt(url)
                break
            except (
                requests.ConnectionError,
                requests.Timeout,
                requests.exceptions.ChunkedEncodingError,
                _AgainError,
            ) as error:
                failures = 1 if self._have() > before else failures + 1
                if failures >= self.attempts:
                    raise DownloadError(
                        f"{urlsplit(url).netloc} could not be reached, or broke off, {failures} times in a row "
                        f"({_reason(error)}). What came is kept: run the same command again. On a machine without a "
                        "network, copy the corpus to it and point to the copy with paths.corpora=/folder."
                    ) from error
                time.sleep(min(self.pause_s * 2 ** (failures - 1), 60.0))
        if self.bytes is not None and self._have() != self.bytes:
            got = self._have()
            self._restart()
            raise DownloadError(f"{url} sent {got} bytes instead of the {self.bytes} published; they were removed.")
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
        with self.session.get(url, headers=headers, stream=True, timeout=self.timeout_s) as response:
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{have}":
                return  # there is nothing after what is here: it is whole
            if response.status_code == 416:
                self._restart()
                raise _AgainError("the server has another file by now")
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
            for chunk in response.iter_content(1 << 15):  # what is lost where the connection breaks
                file.write(chunk)
                self.watch(len(chunk))
        if self._have() < expected:
            raise _AgainError(f"{self._have()} of {expected} bytes came")

    def _restart(self) -> None:
        self.watch(-self._have())
        self.part.unlink(missing_ok=True)
        self.tag.unlink(missing_ok=True)


class _AgainError(Exception):
    """A failure that another attempt may mend."""


def _check_status(response: "requests.Response", url: str) -> None:
    if response.status_code == 429 or response.status_code >= 500:
        raise _AgainError(f"status {response.status_code}")
    if response.status_code >= 400:
        raise DownloadError(
            f"{url} is refused with status {response.status_code} ({response.reason}): it may have moved."
        )


def _get_zip(item: Download, corpus: Corpus, work: Path, expect: Watch, watch: Watch) -> None:
    archive = work / _name_in(item.url)
    expect(item.bytes or 0)
    _fetch(_File((item.url,), archive, item.checksum, item.bytes), work, watch)
    unpack(archive, corpus.root / archive.stem)


def _get_git_lfs(item: Download, corpus: Corpus, work: Path, expect: Watch, watch: Watch) -> None:
    """Keep the wanted files of a repository's zip; fetch the content of those that are git-LFS pointers."""
    archive = work / f"{corpus.name}-repository.zip"
    expect(item.bytes or 0)
    _fetch(_File((item.url,), archive, item.checksum, item.bytes), work, watch)
    have = {clip.id for clip in corpus.clips() if not is_pointer(clip.path)}
    wanted: list[_File] = []
    with opened(archive) as zipped:
        for member in zipped.infolist():
            path = member.orig_filename.partition("/")[2]  # the zip holds one folder, named after the branch
            if member.is_dir() or not any(fnmatch.fnmatch(path, pattern) for pattern in item.keep or ("*",)):
                continue
            target, content = corpus.root / path, zipped.read(member)
            clip = corpus.parse(target)
            if clip is not None and clip.id in have:
                continue
            if pointer := _read_pointer(content):
                sha256, size = pointer
                urls = tuple(address.format(path=quote(path)) for address in item.media)
                wanted.append(_File(urls, target, f"sha256:{sha256}", size))
            else:
                _write(target, content, work)
    _fetch_all(wanted, work, expect, watch)


def _read_pointer(content: bytes) -> tuple[str, int] | None:
    """Read SHA-256 and size from a git-LFS pointer (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
    if not content.startswith(b"version https://git-lfs") or len(content) > 1024:
        return None
    fields = dict(line.split(" ", 1) for line in content.decode("ascii").splitlines() if " " in line)
    return fields["oid"].removeprefix("sha256:"), int(fields["size"])


def _write(target: Path, content: bytes, work: Path) -> None:
    half = work / (target.name + ".half")
    half.write_bytes(content)
    target.parent.mkdir(parents=True, exist_ok=True)
    half.replace(target)


def _get_dataverse(item: Download, corpus: Corpus, work: Path, expect: Watch, watch: Watch) -> None:
    """Fetch the files of a Dataverse's list, each against the MD5 in it; unpack those that are zips."""
    listing = work / "files.json"
    listing.unlink(missing_ok=True)
    _fetch(_File((item.url,), listing, None, None), work, lambda _: None)
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))["data"]
        described = [(e.get("directoryLabel", ""), e["dataFile"]) for e in entries]
        known = [
            (PurePosixPath(label) / f["filename"], int(f["id"]), _checksum(f), f["filesize"]) for label, f in described
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DownloadError(f"{item.url} does not answer with a Dataverse's list of files ({error!r}).") from error
    have = {clip.id for clip in corpus.clips()}
    server = "{0.scheme}://{0.netloc}".format(urlsplit(item.url))
    wanted: list[_File] = []
    for path, number, checksum, size in known:
        if path.is_absolute() or ".." in path.parts:
            raise DownloadError(f"{item.url} lists {path}, which leads out of its folder: not fetched.")
        clip = corpus.parse(corpus.root / path)
        if (clip is not None and clip.id in have) or not any(
            fnmatch.fnmatch(path.name.lower(), p) for p in item.keep or ("*",)
        ):
            continue
        folder = work if path.suffix.lower() == ".zip" else corpus.root
        wanted.append(_File((f"{server}/api/access/datafile/{number}",), folder / path, checksum, size))
    _fetch_all(wanted, work, expect, watch)
    for file in wanted:
        if file.target.is_relative_to(work):
            unpack(file.target, corpus.root / file.target.stem)


def _checksum(entry: dict[str, object]) -> str:
    """Give ``md5:...`` of a file in a Dataverse's list; its older form has ``md5``, the newer one ``checksum``."""
    checksum = entry.get("checksum")
    if isinstance(checksum, dict):
        return f"{str(checksum['type']).lower().replace('-', '')}:{checksum['value']}"
    return f"md5:{entry['md5']}"


_KINDS = {"zip": _get_zip, "git-lfs": _get_git_lfs, "dataverse": _get_dataverse}


def _fetch_all(files: list[_File], work: Path, expect: Watch, watch: Watch) -> None:
    total = sum(file.bytes or 0 for file in files)
    check_space(work, total)
    expect(total)
    pool = ThreadPoolExecutor(CONNECTIONS)
    try:
        for future in as_completed([pool.submit(_fetch, file, work, watch) for file in files]):
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch(file: _File, work: Path, watch: Watch) -> None:
    """Fetch one file, verified, from the first of its addresses that works."""
    for url in file.urls[:-1]:
        try:
            return _fetch_from(url, file, work, watch)
        except DownloadError:
            continue
    return _fetch_from(file.urls[-1], file, work, watch)


def _fetch_from(url: str, file: _File, work: Path, watch: Watch) -> None:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    part = work / ("__".join(file.target.relative_to(work.parent).parts) + ".part")
    get = ResumingDownloader(part, file.bytes, watch, _session())
    if file.bytes is not None and not file.target.exists():
        check_space(work, file.bytes - (part.stat().st_size if part.exists() else 0))
    try:
        pooch.retrieve(url, file.checksum, fname=file.target.name, path=file.target.parent, downloader=get)
    except ValueError as error:  # pooch's for a wrong checksum; it has removed the file
        raise DownloadError(f"What {url} sent is not what was published, and was removed: {error}") from error


def _session() -> "requests.Session":
    """Give one session per thread: connections are kept, and sessions are not shared."""
    import requests

    if not hasattr(_thread, "session"):
        _thread.session = requests.Session()
    session: requests.Session = _thread.session
    return session


def _name_in(url: str) -> str:
    return unquote(PurePosixPath(urlsplit(url).path).name)


@contextmanager
def _told_plainly(root: Path) -> Iterator[None]:
    """Turn what the disk and the network raise into a `DownloadError`."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise DownloadError(
            f"The download failed ({_reason(error)}). What came is kept: run the same command again."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            reason = "The disk is full"
        elif isinstance(error, PermissionError):
            reason = "Nothing may be written there"
        else:
            reason = _reason(error)
        raise DownloadError(
            f"{root} cannot be filled. {reason}. Put it right and run the same command again, or choose another folder "
            "with paths.corpora=/folder."
        ) from error


def _reason(error: BaseException) -> str:
    """Give the innermost cause in a few words, without the objects that urllib3 prints."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def _bar(title: str, shown: bool) -> Iterator[tuple[Watch, Watch]]:
    """Yield two callables: expect so many more bytes, and so many came."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, disable=not shown) as progress:
        task = progress.add_task(title, total=None)
        total = 0

        def expect(count: int) -> None:
            nonlocal total
            total += count
            progress.update(task, total=total or None)

        yield expect, lambda count: progress.advance(task, count)
