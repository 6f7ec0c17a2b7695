"""Trackers: online only where a key is set up, never a prompt, never a hang."""

import time
from pathlib import Path

import pytest

from ser import tracking
from ser.errors import ConfigError

WANDB = {
    "name": "wandb",
    "project": "ser",
    "entity": None,
    "group": None,
    "job_type": "a kind",
    "tags": ["one"],
    "artifacts": [],
}


@pytest.fixture(autouse=True)
def nobody_logged_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def test_without_a_key_a_run_is_offline() -> None:
    assert tracking.wandb_mode() == "offline"


def test_a_key_in_the_environment_makes_it_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert tracking.wandb_mode() == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert tracking.wandb_mode() == "offline"


def test_a_login_kept_in_a_file_counts_for_its_own_server_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine api.wandb.ai\n  login user\n  password " + "0" * 40 + "\n")
    (tmp_path / "netrc").chmod(0o600)
    assert tracking.wandb_mode() == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert tracking.wandb_mode() == "offline"


def test_a_damaged_login_file_is_no_login(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine\nmachine\n{")
    assert tracking.wandb_mode() == "offline"


@pytest.mark.slow
def test_a_server_that_does_not_answer_leaves_the_run_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: nothing listens
    monkeypatch.setattr(tracking, "WANDB_INIT_SECONDS", 5)
    began = time.monotonic()
    chosen = tracking.loggers(WANDB, tmp_path, "name", "group", {"seed": 0})
    tracking.finish(chosen)
    assert time.monotonic() - began < 120, "it hung"
    assert "cannot be reached" in caplog.text
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_an_unknown_logger_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"csv, tensorboard, wandb, not 'mlflow'"):
        tracking.loggers({"name": "mlflow"}, tmp_path, "name", "group", {})
