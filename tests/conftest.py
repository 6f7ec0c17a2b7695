"""What many tests share: composed settings, and a corpus small enough to train on in seconds."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ser.corpora.demo import Demo
from ser.runtime.conf_dir import conf_dir

Settings = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def tiny_demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def settings(tmp_path: Path, tiny_demo: Path, stores: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Compose the training configuration, as plain data, for a small fast run on the tiny corpus."""
    monkeypatch.chdir(tmp_path)

    def composed(*overrides: str, config: str = "train") -> dict[str, Any]:
        GlobalHydra.instance().clear()
        demo = not any(override.startswith("data=") for override in overrides)
        small = [
            *([f"+data.corpora.demo.root={tiny_demo}", "protocol.folds=3"] if demo else []),
            f"paths.stores={stores}",
            "trainer.max_epochs=2",
            "trainer.enable_progress_bar=false",
            "trainer.accelerator=cpu",
            "batch_size=8",
            "logger=csv",
        ]
        with initialize_config_dir(conf_dir(), version_base="1.3"):
            plain = OmegaConf.to_container(compose(config, [*small, *overrides]), resolve=True)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    return composed
