"""Tiny random checkpoints of every family, each saved once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checkpoints import save_checkpoint

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """``make(name, head)`` gives the folder of the checkpoint, with a task's head if the name of its class is given."""
    made: dict[tuple[str, str], Path] = {}

    def make(name: str, head: str = "") -> Path:
        if (name, head) not in made:
            made[name, head] = save_checkpoint(tmp_path_factory.mktemp("checkpoint"), name, head)
        return made[name, head]

    return make
