"""``python -m ser.publish``: what it writes and pushes, and its errors."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

import ser
from ser.errors import ConfigError, RunError
from ser.models.cnn import CNN
from ser.models.published_files import FACTS, README, WEIGHTS
from ser.publish import main
from ser.runs.publishing.upload import upload
from tests.models.conftest import MakeModel
from tests.runs.publishing.conftest import Saved

hub = pytest.importorskip("huggingface_hub")


class Account:
    """What stands in for ``HfApi``: it keeps what is pushed, or refuses it."""

    pushed: ClassVar[dict[str, Any]] = {}
    error: ClassVar[Exception | None] = None

    def create_repo(self, repo: str, **settings: Any) -> str:
        if Account.error is not None:
            raise Account.error
        Account.pushed = {"repo": repo, **settings}
        return f"https://huggingface.co/{repo}"

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> None:
        assert repo_id == Account.pushed["repo"]
        Account.pushed["files"] = {file.name: file.read_bytes() for file in Path(folder_path).iterdir()}
        Account.pushed["message"] = commit_message


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> type[Account]:
    monkeypatch.setattr(hub, "HfApi", Account)
    Account.error = None
    return Account


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["publish", *arguments])
    main()


def test_folder_is_written_and_loaded(
    make_model: MakeModel,
    saved: Saved,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = saved(make_model("light_cnn"))
    monkeypatch.chdir(tmp_path)
    run_command(monkeypatch, f"model={checkpoint}", "out=my model")
    assert capsys.readouterr().out.startswith("my model  ")
    assert ser.load("my model").classes == ser.load(checkpoint).classes
    assert 'ser.load("my model")' in Path("my model", README).read_text()


def test_repository_gets_the_folder_in_one_commit(
    make_model: MakeModel,
    saved: Saved,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    account: type[Account],
    capsys: pytest.CaptureFixture[str],
) -> None:
    checkpoint = saved(make_model("light_cnn"))
    before = set(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    run_command(monkeypatch, f"model={checkpoint}", "repo=me/voices", "private=true", "license=mit")
    assert capsys.readouterr().out.strip() == "https://huggingface.co/me/voices"
    assert set(tmp_path.iterdir()) == before
    pushed = account.pushed
    assert (pushed["repo"], pushed["private"], pushed["exist_ok"]) == ("me/voices", True, True)
    assert pushed["files"].keys() == {FACTS, WEIGHTS, README}
    assert json.loads(pushed["files"][FACTS])["ser_model"] == "ser.models.cnn.CNN"
    assert b"license: mit" in pushed["files"][README]
    assert b'ser.load("hub:me/voices")' in pushed["files"][README]


def refused(status: int) -> Exception:
    """Return the error that huggingface_hub has for the status of a response."""
    errors = hub.errors
    kind = errors.RepositoryNotFoundError if status == 404 else errors.HfHubHTTPError
    error: Exception = kind.__new__(kind)
    error.response = SimpleNamespace(status_code=status)  # type: ignore[attr-defined]
    return error


def test_errors_of_the_hub_are_sentences(tmp_path: Path, account: type[Account]) -> None:
    cases: list[tuple[Exception, type[Exception], str]] = [
        (refused(401), ConfigError, "must be allowed to use me/voices"),
        (refused(403), ConfigError, "a token that may write"),
        (refused(404), ConfigError, "must exist on the Hub"),
        (refused(500), RunError, r"it failed \(status 500\)"),
        (hub.errors.LocalTokenNotFoundError("no token"), ConfigError, "Log in with `hf auth login`"),
        (hub.errors.HFValidationError("bad"), ConfigError, "must be named <owner>/<name>; got 'me/voices'"),
        (ConnectionError("no route\nto host"), RunError, r"must be reachable for me/voices; it is not \(no route\)"),
    ]
    for error, kind, words in cases:
        account.error = error
        with pytest.raises(kind, match=words):
            upload(tmp_path, "me/voices")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model=missing", "out=x"], "has no checkpoint"),
        (["model={file}"], "out must be a folder, or repo a name on the Hub; got neither"),
        (["model={file}", "out=x"], "must be a checkpoint"),
        (["model={file}", "out=x", "private=perhaps"], "private must be true or false; got 'perhaps'"),
    ],
)
def test_errors_are_sentences(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_command(monkeypatch, *(text.format(file=tmp_path / "best.ckpt") for text in arguments))
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["best.ckpt"]


class Mine(CNN):
    """A model of somebody's own."""


def test_class_of_ones_own_is_refused_in_a_sentence(make_model: MakeModel, saved: Saved, tmp_path: Path) -> None:
    from ser.runs.publishing.publish import publish

    checkpoint = torch.load(saved(make_model("light_cnn")), weights_only=True)
    torch.save({**checkpoint, "ser_model": f"{__name__}.Mine"}, tmp_path / "mine.ckpt")
    with pytest.raises(ConfigError, match="must be of classes of ser alone to be published"):
        publish(tmp_path / "mine.ckpt", tmp_path / "out", "out")
    assert not (tmp_path / "out").exists()
