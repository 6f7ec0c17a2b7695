import errno
import hashlib
import io
import json
import shutil
import stat
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from ser.corpora.corpus import Corpus, Download
from ser.corpora.download import _told_plainly, download
from ser.corpora.manifest import Utterance
from ser.corpora.resume import ResumingDownloader
from ser.corpora.savee import Savee
from ser.corpora.unpack import unpack
from ser.errors import CorpusNotFoundError, DownloadError

BODY = bytes(range(256)) * 4000  # 1 MB
CHUNK = 2**15  # what is written at a time


@dataclass
class Server:
    """What the server has and how it misbehaves; what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    tag: str = '"one"'
    cuts: list[int] = field(default_factory=list)
    """After how many bytes the next answers break off."""
    statuses: list[int] = field(default_factory=list)
    """With what the next requests are answered instead."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append((self.path, asked))
            if state.statuses:
                return self.answer(state.statuses.pop(0), b"")
            if self.path not in state.files:
                return self.answer(404, b"")
            body = state.files[self.path]
            same = self.headers.get("If-Range", state.tag) == state.tag
            if asked is None or not state.ranges or not same:
                return self.answer(200, body)
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self.answer(416, b"", f"bytes */{len(body)}")
            return self.answer(206, body[start:], f"bytes {start}-{len(body) - 1}/{len(body)}")

        def answer(self, status: int, body: bytes, content_range: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", state.tag)
            if content_range:
                self.send_header("Content-Range", content_range)
            self.end_headers()
            cut = state.cuts.pop(0) if state.cuts and body else len(body)
            self.wfile.write(body[:cut])
            state.sent += min(cut, len(body))
            self.close_connection = cut < len(body)

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser.corpora.resume.time", SimpleNamespace(sleep=lambda _: None))


class Tiny(Corpus):
    """Three clips, ``a.wav`` to ``c.wav``."""

    name = "tiny"
    title = "Tiny"
    doi = licence = homepage = ""
    expected_utterances = 3
    expected_speakers = 1

    def parse(self, path: Path) -> Utterance | None:
        if path.stem not in ("a", "b", "c"):
            return None
        return Utterance(f"tiny/{path.stem}", path, "tiny", "tiny/1", "male", "sad", "tiny/1")


def tiny(root: Path, **facts: object) -> Corpus:
    downloads = (Download(**{"checksum": None, "bytes": None, "source": "test", **facts}),)
    return type("Tiny", (Tiny,), {"downloads": downloads})(root)


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return f"md5:{hashlib.md5(content).hexdigest()}"


CLIPS = {f"Actor/{stem}.wav": stem.encode() * 1000 for stem in "abc"}
ZIP = zipped(CLIPS)


def test_corpus_is_downloaded_verified_and_unpacked_once(server: Server, tmp_path: Path) -> None:
    corpus = tiny(
        tmp_path / "tiny", url=f"{server.url}/Speech%20part.zip?download=1", checksum=md5(ZIP), bytes=len(ZIP)
    )
    server.files["/Speech%20part.zip?download=1"] = ZIP
    assert download(corpus, progress=True) == tmp_path / "tiny"
    assert [u.path.read_bytes() for u in corpus.utterances()] == list(CLIPS.values())
    assert (tmp_path / "tiny" / "Speech part" / "Actor" / "a.wav").exists()
    assert not (tmp_path / "tiny" / ".download").exists()
    asked = len(server.asked)
    download(corpus, progress=False)
    assert len(server.asked) == asked == 1


def test_interrupted_download_resumes_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = BODY
    server.cuts = [10 * CHUNK, 3 * CHUNK, 0]
    seen: list[int] = []
    ResumingDownloader(tmp_path / "x.part", len(BODY), seen.append)(f"{server.url}/x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.asked[1:] == [("/x", f"bytes={n * CHUNK}-") for n in (10, 13, 13)]
    assert server.sent == sum(seen) == len(BODY)
    assert not list(tmp_path.glob("*.part*"))


def test_bytes_of_an_earlier_process_are_not_downloaded_again(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = BODY
    server.cuts = [15 * CHUNK] + [0] * 4
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1.*5 times in a row.*Run the same command again to resume"):
        ResumingDownloader(tmp_path / "x.part", None)(f"{server.url}/x", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
    server.asked.clear()
    ResumingDownloader(tmp_path / "x.part", None)(f"{server.url}/x", str(tmp_path / "x"))
    assert server.asked == [("/x", f"bytes={15 * CHUNK}-")]
    assert (tmp_path / "x").read_bytes() == BODY


def test_server_without_ranges_restarts_the_download(server: Server, tmp_path: Path) -> None:
    server.files["/x"], server.ranges, server.cuts = BODY, False, [300_000]
    seen: list[int] = []
    ResumingDownloader(tmp_path / "x.part", None, seen.append)(f"{server.url}/x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == BODY
    assert sum(seen) == len(BODY)


def test_changed_file_is_downloaded_from_its_start(server: Server, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"old" * 1000)
    (tmp_path / "x.part.tag").write_text('"older"')
    server.files["/x"] = BODY
    ResumingDownloader(tmp_path / "x.part", None)(f"{server.url}/x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == BODY


def test_complete_part_is_used(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = BODY
    (tmp_path / "x.part").write_bytes(BODY)
    ResumingDownloader(tmp_path / "x.part", None)(f"{server.url}/x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == BODY
    assert server.sent == 0


def test_part_longer_than_the_file_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = BODY
    (tmp_path / "x.part").write_bytes(BODY + b"more")
    ResumingDownloader(tmp_path / "x.part", None)(f"{server.url}/x", str(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == BODY


def test_busy_server_is_retried_and_a_refusal_is_not(server: Server, tmp_path: Path) -> None:
    server.files["/x"], server.statuses = BODY, [503, 429, 500]
    ResumingDownloader(tmp_path / "x.part", None)(f"{server.url}/x", str(tmp_path / "x"))
    assert len(server.asked) == 4
    server.asked.clear()
    with pytest.raises(DownloadError, match=r"status 404.*homepage"):
        ResumingDownloader(tmp_path / "y.part", None)(f"{server.url}/y", str(tmp_path / "y"))
    assert len(server.asked) == 1


def test_wrong_size_is_reported_without_a_checksum(server: Server, tmp_path: Path) -> None:
    server.files["/x"] = BODY
    with pytest.raises(DownloadError, match=f"must send 5 bytes; got {len(BODY)}"):
        ResumingDownloader(tmp_path / "x.part", 5)(f"{server.url}/x", str(tmp_path / "x"))
    assert not list(tmp_path.iterdir())


def test_wrong_checksum_names_the_expected_one_and_removes_the_file(server: Server, tmp_path: Path) -> None:
    server.files["/x.zip"] = ZIP
    corpus = tiny(tmp_path, url=f"{server.url}/x.zip", checksum=md5(b"other"))
    with pytest.raises(DownloadError) as error:
        download(corpus, progress=False)
    assert md5(b"other").removeprefix("md5:") in str(error.value)
    assert md5(ZIP).removeprefix("md5:") in str(error.value)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.name != ".download.lock"]


def test_missing_network_is_reported(tmp_path: Path, server: Server) -> None:
    corpus = tiny(tmp_path, url="http://127.0.0.1:1/x.zip")
    with pytest.raises(DownloadError, match=r"127\.0\.0\.1:1 could not be reached.*Connection refused"):
        download(corpus, progress=False)


def link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        entry = zipfile.ZipInfo("Actor")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(entry, "/etc")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "evil",
    [
        zipped({"../evil.wav": b"x"}),
        zipped({"Actor/../../evil.wav": b"x"}),
        zipped({"/tmp/evil.wav": b"x"}),
        zipped({"..\\evil.wav": b"x"}),
        zipped({"C:\\evil.wav": b"x"}),
        zipped({"C:evil.wav": b"x"}),
        link(),
        zipped({"a.wav": bytes(20_000_000)}),
    ],
    ids=["up", "up inside", "absolute", "backslash", "drive", "drive relative", "link", "bomb"],
)
def test_unsafe_zip_is_rejected(tmp_path: Path, evil: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(evil)
    with pytest.raises(DownloadError, match="Nothing was unpacked"):
        unpack(tmp_path / "x.zip", tmp_path / "in" / "x")
    assert [p.name for p in tmp_path.rglob("*")] == ["x.zip"]


def test_damaged_zip_is_removed_and_downloaded_again(server: Server, tmp_path: Path) -> None:
    server.files["/x.zip"] = ZIP[: len(ZIP) // 2]
    corpus = tiny(tmp_path, url=f"{server.url}/x.zip")
    with pytest.raises(DownloadError, match="must be a whole zip"):
        download(corpus, progress=False)
    server.files["/x.zip"] = ZIP
    download(corpus, progress=False)
    assert corpus.complete()


def test_interrupted_unpacking_leaves_no_partial_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / ".download" / "x.zip"
    archive.parent.mkdir()
    archive.write_bytes(ZIP)

    def stop(self: zipfile.ZipFile, folder: Path) -> None:
        self.extract(self.infolist()[0], folder)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "extractall", stop)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, tmp_path / "x")
    assert Tiny(tmp_path).clips() == []
    unpack(archive, tmp_path / "x")
    assert len(list((tmp_path / "x").rglob("*.wav"))) == 3


def test_full_disk_is_reported_before_the_download(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/x.zip"] = ZIP
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(DownloadError, match=r"disk .* is full"):
        download(tiny(tmp_path, url=f"{server.url}/x.zip", bytes=len(ZIP)), progress=False)
    assert server.asked == []


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError(errno.ENOSPC, "No space left"), "The disk is full"),
        (PermissionError("no"), "Permission denied"),
    ],
)
def test_disk_errors_are_reported_in_one_sentence(tmp_path: Path, raised: OSError, told: str) -> None:
    with pytest.raises(DownloadError, match=told), _told_plainly(tmp_path):
        raise raised


def test_incomplete_release_is_reported(server: Server, tmp_path: Path) -> None:
    server.files["/x.zip"] = zipped({"a.wav": b"a"})
    with pytest.raises(DownloadError, match="1 clip here, 3 in the release"):
        download(tiny(tmp_path, url=f"{server.url}/x.zip"), progress=False)


def test_corpus_behind_registration_says_how_to_register(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match="registering"):
        download(Savee(tmp_path / "savee"), progress=False)
    assert not (tmp_path / "savee").exists()


def pointer(content: bytes, size: int | None = None) -> bytes:
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size or len(content)}\n".encode()


def test_git_lfs_pointers_are_replaced_by_their_verified_content(server: Server, tmp_path: Path) -> None:
    clips = {stem: stem.encode() * 5000 for stem in "abc"}
    repository = {f"repo-master/Audio/{stem}.wav": pointer(content) for stem, content in clips.items()}
    repository |= {"repo-master/votes.csv": b"x", "repo-master/video/a.flv": b"y", "repo-master/Audio/": b""}
    server.files["/master.zip"] = zipped(repository)
    server.files["/first/Audio/b.wav"] = b"not b"  # the first address lacks one file and has another wrong
    server.files |= {f"/second/Audio/{stem}.wav": content for stem, content in clips.items()}
    (tmp_path / "Audio").mkdir()
    (tmp_path / "Audio" / "a.wav").write_bytes(clips["a"])  # from an earlier run
    (tmp_path / "Audio" / "b.wav").write_bytes(pointer(clips["b"]))  # from a clone without git-LFS
    corpus = tiny(
        tmp_path,
        url=f"{server.url}/master.zip",
        kind="git-lfs",
        keep=("Audio/*.wav", "*.csv"),
        media=(f"{server.url}/first/{{path}}", f"{server.url}/second/{{path}}"),
    )
    download(corpus, progress=False)
    assert {p.stem: p.read_bytes() for p in (tmp_path / "Audio").iterdir()} == clips
    assert (tmp_path / "votes.csv").read_bytes() == b"x"
    assert not (tmp_path / "video").exists()
    asked = [path for path, _ in server.asked]
    assert not [path for path in asked if path.endswith("a.wav")]


def test_content_that_is_wrong_at_every_address_is_rejected(server: Server, tmp_path: Path) -> None:
    server.files["/master.zip"] = zipped({"repo-master/a.wav": pointer(b"right")})
    server.files["/media/a.wav"] = b"wrong"
    corpus = tiny(tmp_path, url=f"{server.url}/master.zip", kind="git-lfs", media=(f"{server.url}/media/{{path}}",))
    with pytest.raises(DownloadError, match="must send the file that was published"):
        download(corpus, progress=False)
    assert not (tmp_path / "a.wav").exists()


def listing(files: dict[str, tuple[int, bytes]]) -> bytes:
    """As Dataverse answers to "List Files in a Dataset"; its newer form for the first file, the older for the others."""
    entries = []
    for number, (path, (id_, content)) in enumerate(files.items()):
        digest = hashlib.md5(content).hexdigest()
        folder, _, name = path.rpartition("/")
        known = {"checksum": {"type": "MD5", "value": digest}} if number == 0 else {"md5": digest}
        file = {"id": id_, "filename": name, "filesize": len(content), **known}
        entries.append({"label": name, "dataFile": file, **({"directoryLabel": folder} if folder else {})})
    return json.dumps({"status": "OK", "data": entries}).encode()


def test_dataverse_files_are_verified_by_their_md5(server: Server, tmp_path: Path) -> None:
    server.files["/api/list"] = listing(
        {"x/a.wav": (11, b"aaa"), "b.WAV": (12, b"bbb"), "rest.zip": (13, ZIP), "readme.txt": (14, b"no")}
    )
    server.files |= {f"/api/access/datafile/{n}": body for n, body in ((11, b"aaa"), (12, b"bbb"), (13, ZIP))}
    corpus = tiny(tmp_path, url=f"{server.url}/api/list", kind="dataverse", keep=("*.wav", "*.zip"))
    download(corpus, progress=False)
    assert (tmp_path / "x" / "a.wav").read_bytes() == b"aaa"
    assert (tmp_path / "b.WAV").read_bytes() == b"bbb"
    assert (tmp_path / "rest" / "Actor" / "c.wav").exists()
    assert corpus.complete()


def test_changed_dataverse_file_is_rejected(server: Server, tmp_path: Path) -> None:
    server.files["/api/list"] = listing({"a.wav": (11, b"aaa")})
    server.files["/api/access/datafile/11"] = b"bbb"
    with pytest.raises(DownloadError, match="must send the file that was published"):
        download(tiny(tmp_path, url=f"{server.url}/api/list", kind="dataverse"), progress=False)


@pytest.mark.parametrize("answer", [b"<html>", b'{"status": "ERROR"}', listing({"../a.wav": (1, b"a")})])
def test_invalid_or_unsafe_dataverse_list_is_rejected(server: Server, tmp_path: Path, answer: bytes) -> None:
    server.files["/api/list"] = answer
    with pytest.raises(DownloadError, match=r"list of files|paths inside its folder"):
        download(tiny(tmp_path / "in", url=f"{server.url}/api/list", kind="dataverse"), progress=False)
    assert not (tmp_path / "a.wav").exists()


def test_concurrent_downloads_fetch_a_corpus_once(server: Server, tmp_path: Path) -> None:
    server.files["/x.zip"] = ZIP
    corpora = [tiny(tmp_path, url=f"{server.url}/x.zip") for _ in range(3)]
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(lambda corpus: download(corpus, progress=False), corpora)) == [tmp_path] * 3
    assert len(server.asked) == 1
    assert corpora[0].complete()
