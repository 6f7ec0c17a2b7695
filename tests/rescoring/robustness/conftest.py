"""Clips of different lengths, one fold of the demo corpus, and a run of three folds, trained for one epoch."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ser.audio.decode import read_audio
from ser.corpora.demo import Demo
from ser.datamodules.data import SpeechData
from ser.protocols.plan import planned
from ser.rescoring.robustness.conditions import Condition, Effect, Scene, Talkers, generator
from ser.training import build, experiment
from tests.composed import composed

RATE = 16000
Batch = tuple[Tensor, Tensor]


def shipped() -> dict[str, Any]:
    """Return the suite in conf/suite/robustness.yaml."""
    suite: dict[str, Any] = composed("suite=robustness", "run=none", config="evaluate")["suite"]
    return suite


def scene(count: int, effect: str = "effect", seed: int = 0, talkers: Talkers | None = None) -> Scene:
    return Scene(RATE, [generator(seed, effect, f"x/{i}") for i in range(count)], talkers)


def hear(how: Effect, batch: Batch, level: float | None = None, talkers: Talkers | None = None, seed: int = 0) -> Batch:
    """Return the batch under an effect, at its only level or the given one."""
    condition = Condition("effect", how, float(how.levels[0] if level is None else level))
    return condition.apply(*batch, scene(len(batch[1]), seed=seed, talkers=talkers))


def batch_of(clips: Sequence[np.ndarray]) -> Batch:
    rows = [torch.from_numpy(clip.astype(np.float32)) for clip in clips]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(clip) for clip in clips])


@pytest.fixture(scope="session")
def speech() -> Batch:
    """Four clips of the demo corpus, 1 to 2 s."""
    return batch_of([read_audio(utterance.path)[0] for utterance in list(Demo().utterances())[::130]])


@pytest.fixture(scope="session")
def config(tiny_demo: Path, stores: Path) -> dict[str, Any]:
    overrides = [f"+data.corpora.demo.root={tiny_demo}", "protocol.folds=3", f"paths.stores={stores}", "fold=all"]
    overrides += ["trainer.max_epochs=1", "trainer.enable_progress_bar=false", "trainer.accelerator=cpu"]
    return composed(*overrides, "batch_size=8", "logger=csv")


@pytest.fixture(scope="session")
def data(config: dict[str, Any]) -> SpeechData:
    """Fold 0: 12 clips each train, tune and test."""
    return build.build_data(config, planned(config), 0)


@pytest.fixture(scope="session")
def talkers(data: SpeechData) -> Talkers:
    return Talkers(data)


@pytest.fixture(scope="session")
def trained(config: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "trained"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        return experiment.train({**config, "paths": {**config["paths"], "run": str(folder)}})


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))
