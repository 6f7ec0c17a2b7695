import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


@pytest.fixture
def corpora_root() -> Path:
    folder = os.environ.get("SER_CORPORA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    return Path(folder)


@pytest.fixture
def touch(tmp_path: Path) -> Callable[[Iterable[str]], Path]:
    """Make empty files; corpora read names, never the audio."""

    def make(names: Iterable[str]) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make
