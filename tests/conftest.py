"""What many tests share: composed settings, and a corpus small enough to train on in seconds."""

import gc
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ser.corpora.demo import Demo
from tests.composed import composed

Settings = Callable[..., dict[str, Any]]
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a4944415478da63f80f00010101001cb08c99000000"
    "0049454e44ae426082"
)
"""A PNG of one pixel."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that hold slow tests, so that no worker is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Keep what is imported and collected out of garbage collections, of which every training makes one."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def corpora_root() -> Path:
    folder = os.environ.get("SER_CORPORA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    return Path(folder)


@pytest.fixture(scope="session")
def quick_pictures() -> Iterator[None]:
    """Spare a run the drawing of its pictures, a third of what a tiny one takes; commands and tests/report draw them."""
    from ser.runs import results  # late: they import what trains
    from ser.training import fit

    def dot(what: object, about: object, *rest: object, **_: object) -> None:
        next(path for path in (about, *rest) if isinstance(path, Path)).write_bytes(DOT)

    with pytest.MonkeyPatch.context() as patch:
        for module in (results, fit):
            patch.setattr(module, "plots", SimpleNamespace(confusion_matrix=dot, scatter=dot, training_curves=dot))
        yield


@pytest.fixture(scope="session")
def tiny_demo(tmp_path_factory: pytest.TempPathFactory, quick_pictures: None) -> Path:
    """Six speakers of the demo corpus, one sentence, one take: 36 clips."""
    root = tmp_path_factory.mktemp("tiny") / "demo"
    root.mkdir()
    for utterance in Demo().utterances():
        speaker = utterance.speaker.partition("/")[2]
        if speaker[1:] in ("01", "02", "03") and utterance.sentence.endswith("1") and utterance.repetition == 1:
            (root / utterance.path.name).symlink_to(utterance.path)
    assert len(list(root.iterdir())) == 36
    return root


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of waveform stores for the whole session."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="session")
def version_0_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs that version 0.1 trained on the demo corpus, to read only.

    ``transformer`` and ``whisper`` (a tiny frozen encoder) are of one fold, ``cnn`` of three. Pictures, pages and last
    checkpoints were taken out, and out of the cards' hashes.
    """
    folder = tmp_path_factory.mktemp("version_0_1")
    with tarfile.open(Path(__file__).parent / "fixtures" / "version_0_1.tar.xz") as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # which Python 3.11.2 has not
        archive.extractall(folder, **safely)
    return folder


@pytest.fixture(scope="session")
def small_settings(tiny_demo: Path, stores: Path) -> Settings:
    """Compose the training configuration, as plain data, for a small fast run on the tiny corpus."""

    def small(*overrides: str, config: str = "train") -> dict[str, Any]:
        demo = not any(override.startswith("data=") for override in overrides)
        return composed(
            *([f"+data.corpora.demo.root={tiny_demo}", "protocol.folds=3"] if demo else []),
            f"paths.stores={stores}",
            "trainer.max_epochs=2",
            "trainer.enable_progress_bar=false",
            "trainer.accelerator=cpu",
            "batch_size=8",
            "logger=csv",
            *overrides,
            config=config,
        )

    return small


@pytest.fixture
def settings(small_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return `small_settings`, in an empty folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    return small_settings
