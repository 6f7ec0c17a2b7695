"""A finished run of a classical model, which tests share, and clips in a feature space where classes can be told apart."""

from pathlib import Path

import numpy as np
import pytest

from ser.baselines.candidates import Clips
from ser.training.experiment import train
from tests.conftest import Settings

N_CLASSES = 3


def classical(settings: Settings, name: str, *overrides: str) -> dict[str, object]:
    """Return the settings of a classical model on the tiny corpus."""
    return settings(f"model={name}", "trainer.max_epochs=1", *overrides)


@pytest.fixture(scope="session")
def forest(tmp_path_factory: pytest.TempPathFactory, small_settings: Settings) -> Path:
    """A run of three folds of a small random forest, to read only."""
    folder = tmp_path_factory.mktemp("forest") / "run"
    overrides = ["fold=all", "model.estimator.n_estimators=20", f"paths.run={folder}"]
    return train(classical(small_settings, "random_forest", *overrides), terminal=False)


@pytest.fixture(scope="session")
def clusters() -> tuple[Clips, Clips]:
    """Training and dev clips of three classes around three centres, in five dimensions."""
    random = np.random.default_rng(0)
    centres = 1.5 * random.normal(size=(N_CLASSES, 5))

    def around(count: int) -> Clips:
        y = np.arange(count) % N_CLASSES
        return Clips(centres[y] + random.normal(size=(count, 5)), y)

    return around(90), around(45)


@pytest.fixture(scope="session")
def lines() -> tuple[Clips, Clips]:
    """Training and dev clips with two standardised numbers that depend on their vectors, almost linearly."""
    random = np.random.default_rng(0)
    slopes = np.array([[1.0, 0.0], [0.0, -1.0], [0.3, 0.3], [0.0, 0.0], [0.0, 0.0]])

    def along(count: int) -> Clips:
        x = random.normal(size=(count, 5))
        return Clips(x, x @ slopes + 0.1 * random.normal(size=(count, 2)))

    return along(90), along(45)
