"""Download a corpus from its publisher: verified by pooch, resumed after an interruption, and unpacked safely.

Every file is fetched into ``<root>/.download``, verified, and moved into place in one step, so that a folder never holds
half a file. The files, their addresses and checksums are facts of the corpus: `ser.corpora.corpus.Download`.

The list of a Dataverse is read here instead of through pooch's registry of a DOI, which has no sizes (for the progress bar
and the check of free disk space) and no folders, and parses the whole list again for each file's address: 44 s of
processor time for the 2,800 files of TESS.
"""

import errno
import fnmatch
import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from ser.corpora.corpus import Corpus, Download, is_pointer
from ser.corpora.resume import ResumingDownloader, Watch, innermost_cause
from ser.corpora.unpack import check_space, opened, unpack
from ser.errors import DownloadError
from ser.runtime.files import replacing

if TYPE_CHECKING:
    import requests

CONNECTIONS = 8  # for releases of thousands of files; more would load the server and not be faster
_thread = threading.local()


@dataclass(frozen=True)
class _File:
    """One file to fetch: the first address that works, to ``target``."""

    urls: tuple[str, ...]
    target: Path
    checksum: str | None
    bytes: int | None


def download(corpus: Corpus, progress: bool = True) -> Path:
    """Download a corpus's release; do nothing if it is complete.

    Args:
        corpus: The corpus to download.
        progress: Whether to draw a progress bar.

    Raises:
        CorpusNotFoundError: If the corpus is missing and cannot be downloaded; the message says how to obtain it.
        DownloadError: If the network, the disk or a checksum fails. Calling it again resumes.
    """
    from filelock import FileLock

    if corpus.complete():
        return corpus.root
    if not corpus.downloads:
        raise corpus.not_found()
    with _told_plainly(corpus.root):
        corpus.root.mkdir(parents=True, exist_ok=True)
        with FileLock(corpus.root / ".download.lock"):
            if not corpus.complete():  # another process may have downloaded it in the meantime
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
        raise DownloadError(
            f"{corpus.downloads[0].url} must hold the whole release. {what} Report it to its publisher."
        )
    shutil.rmtree(work)


def _get_zip(item: Download, corpus: Corpus, work: Path, expect: Watch, watch: Watch) -> None:
    archive = work / unquote(PurePosixPath(urlsplit(item.url).path).name)
    expect(item.bytes or 0)
    _fetch(_File((item.url,), archive, item.checksum, item.bytes), work, watch)
    unpack(archive, corpus.root / archive.stem)


def _get_git_lfs(item: Download, corpus: Corpus, work: Path, expect: Watch, watch: Watch) -> None:
    """Extract the wanted files of a repository's zip, and fetch the content of git-LFS pointers."""
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
                with replacing(target) as half:
                    half.write_bytes(content)
    _fetch_all(wanted, work, expect, watch)


def _read_pointer(content: bytes) -> tuple[str, int] | None:
    """Return the SHA-256 and size in a git-LFS pointer (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
    if not content.startswith(b"version https://git-lfs") or len(content) > 1024:
        return None
    fields = dict(line.split(" ", 1) for line in content.decode("ascii").splitlines() if " " in line)
    return fields["oid"].removeprefix("sha256:"), int(fields["size"])


def _get_dataverse(item: Download, corpus: Corpus, work: Path, expect: Watch, watch: Watch) -> None:
    """Fetch the files of a Dataverse's list, verify each by its MD5, and unpack zips."""
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
        raise DownloadError(
            f"{item.url} must answer with a Dataverse's list of files; got another answer ({error!r}). Try again later."
        ) from error
    have = {clip.id for clip in corpus.clips()}
    server = "{0.scheme}://{0.netloc}".format(urlsplit(item.url))
    wanted: list[_File] = []
    for path, number, checksum, size in known:
        if path.is_absolute() or ".." in path.parts:
            raise DownloadError(
                f"{item.url} must list only paths inside its folder; got {path}. Nothing was downloaded."
            )
        clip = corpus.parse(corpus.root / path)
        kept = any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in item.keep or ("*",))
        if not kept or (clip is not None and clip.id in have):
            continue
        folder = work if path.suffix.lower() == ".zip" else corpus.root
        wanted.append(_File((f"{server}/api/access/datafile/{number}",), folder / path, checksum, size))
    _fetch_all(wanted, work, expect, watch)
    for file in wanted:
        if file.target.is_relative_to(work):
            unpack(file.target, corpus.root / file.target.stem)


def _checksum(entry: dict[str, object]) -> str:
    """Return ``md5:...`` of a file in a Dataverse's list; its older form has ``md5``, the newer one ``checksum``."""
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
        with suppress(DownloadError):
            return _fetch_from(url, file, work, watch)
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
        raise DownloadError(
            f"{url} must send the file that was published; got another, which was removed: {error}"
        ) from error


def _session() -> "requests.Session":
    """Return this thread's session: connections stay open, and threads share none."""
    import requests

    if not hasattr(_thread, "session"):
        _thread.session = requests.Session()
    session: requests.Session = _thread.session
    return session


@contextmanager
def _told_plainly(root: Path) -> Iterator[None]:
    """Turn what the disk and the network raise into a `DownloadError`."""
    import requests

    try:
        yield
    except requests.RequestException as error:
        raise DownloadError(
            f"The download failed ({innermost_cause(error)}). Run the same command again to resume."
        ) from error
    except OSError as error:
        if error.errno == errno.ENOSPC:
            reason = "The disk is full"
        elif isinstance(error, PermissionError):
            reason = "Permission denied"
        else:
            reason = innermost_cause(error)
        raise DownloadError(
            f"{root} cannot be written. {reason}. Correct that and run the same command again, or set another folder with "
            "paths.corpora=/folder."
        ) from error


@contextmanager
def _bar(title: str, shown: bool) -> Iterator[tuple[Watch, Watch]]:
    """Yield two callables: one adds to the expected number of bytes, the other to the received number."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    text, rest = TextColumn("{task.description}"), TimeRemainingColumn()
    with Progress(text, BarColumn(), DownloadColumn(), TransferSpeedColumn(), rest, disable=not shown) as progress:
        task = progress.add_task(title, total=None)
        total = 0

        def expect(count: int) -> None:
            nonlocal total
            total += count
            progress.update(task, total=total or None)

        yield expect, lambda count: progress.advance(task, count)
