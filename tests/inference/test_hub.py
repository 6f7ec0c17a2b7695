"""Models on the Hub: a local server stands in for it, which huggingface_hub itself asks."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import ser
from ser.errors import ConfigError, RunError, SerError
from ser.inference.hub import downloaded, plain_hub_errors
from ser.models.published_files import FACTS, README, WEIGHTS
from ser.runtime.files import sha256_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"
hub = pytest.importorskip("huggingface_hub")


Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, content."""


class Hub:
    """A hub with one repository, ``me/voices``, and what was asked of it."""

    def __init__(self) -> None:
        self.files, self.status, self.asked = dict[str, Path](), 200, list[str]()

    def answer(self, path: str) -> Answer:
        """Return what the Hub says."""
        if self.status != 200:
            return self.status, {}, b"{}"
        name = path.rpartition("/")[2]
        if path == "/api/models/me/voices/revision/main":
            return 200, {}, json.dumps({"id": "me/voices", "sha": COMMIT, "siblings": []}).encode()
        if path == f"/api/models/me/voices/tree/{COMMIT}":
            return 200, {}, json.dumps([self.entry(name) for name in self.files]).encode()
        if path.startswith("/me/voices/resolve/") and name in self.files:
            return 200, {"ETag": f'"{sha256_of(self.files[name])}"'}, self.files[name].read_bytes()
        repo_is_known = path.startswith("/api/models/me/voices/revision/")
        return 404, {"X-Error-Code": "RevisionNotFound" if repo_is_known else "RepoNotFound"}, b"{}"

    def entry(self, name: str) -> dict[str, Any]:
        """Return what the list of files says of one."""
        file = self.files[name]
        return {"type": "file", "path": name, "size": file.stat().st_size, "oid": sha256_of(file)[:40]}


class Handler(BaseHTTPRequestHandler):
    """Answers for a hub."""

    hub: ClassVar[Hub]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        status, headers, body = self.hub.answer(path)
        self.send_response(status)
        for name, value in {"X-Repo-Commit": COMMIT, **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that listens, and an empty cache."""
    monkeypatch.setattr(Handler, "hub", Hub(), raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{listening.server_port}"
        template = address + "/{repo_id}/resolve/{revision}/{filename}"
        home = {
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_OFFLINE": False,
        }
        for name, value in {"ENDPOINT": address, "HUGGINGFACE_CO_URL_TEMPLATE": template, **home}.items():
            monkeypatch.setattr(hub.constants, name, value)
        yield Handler.hub
        listening.shutdown()


@pytest.fixture
def published(run: Path, tmp_path: Path) -> Path:
    """The folder of a published model."""
    from ser.runs.folder import checkpoint_of
    from ser.runs.publishing.publish import publish

    return publish(checkpoint_of(run), tmp_path / "published", "hub:me/voices")


def test_model_of_the_hub_is_loaded_then_without_the_hub(server: Hub, published: Path, clips: list[Path]) -> None:
    server.files = {file.name: file for file in published.iterdir()}
    server.files["code.py"] = published / README
    model = ser.load("hub:me/voices")
    assert model.predict(clips[0]).equals(ser.load(published).predict(clips[0]))
    fetched = {asked.rpartition("/")[2] for asked in server.asked if asked.startswith("GET /me/voices/resolve")}
    assert fetched == {FACTS, WEIGHTS}
    server.status = 503
    assert ser.load("hub:me/voices").classes == model.classes
    assert ser.load(f"hub:me/voices@{COMMIT}").classes == model.classes


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hub:me/voices@v2", "revision must be one that me/voices has"),
        ("hub:you/none", "you/none must exist on the Hub and be open to you"),
        ("hub:not a name", "must be named <owner>/<name>; got 'not a name'"),
        ("hub:", "must be named <owner>/<name>; got ''"),
    ],
)
def test_what_the_hub_does_not_have_is_said_in_a_sentence(server: Hub, name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ser.load(name)


def test_other_repositories_are_refused(server: Hub, published: Path) -> None:
    server.files = {README: published / README}
    with pytest.raises(SerError, match=r"me/voices"):
        downloaded("hub:me/voices")


def test_hub_that_fails_or_cannot_be_reached(server: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status = 503
    with pytest.raises(RunError, match="Hub must"):
        downloaded("hub:me/voices")
    monkeypatch.setattr(hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(RunError, match="The Hub must be reachable for me/voices"):
        downloaded("hub:me/voices")


def test_full_disk_stays_an_error_of_the_disk() -> None:
    with pytest.raises(OSError, match="No space"), plain_hub_errors("me/voices"):
        raise OSError(28, "No space left on device")
