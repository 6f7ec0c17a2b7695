"""`Familiar`: the Mahalanobis distance of two other libraries, and what it makes of few clips and of constant units."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf, ledoit_wolf_shrinkage

from ser.models.familiar import DIRECTIONS, QUANTILE, Familiar, familiar_from, shrinkage_of


def clips(number: int, units: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of three classes whose units depend on each other and have unlike scales, and the classes."""
    random = np.random.default_rng(seed)
    group = random.integers(3, size=number)
    mixing = np.random.default_rng(1).standard_normal((units, units)) * np.logspace(-2, 3, units)
    x = (random.standard_normal((number, units)) + 2 * np.eye(3, units)[group]) @ mixing
    return x, group


def test_distance_is_mahalanobis_to_the_nearest_class() -> None:
    (training, group), (dev, _), (new, _) = (clips(n, 12, seed) for seed, n in enumerate((200, 100, 5)))
    found = familiar_from(training, group, dev)
    units = (training - training.mean(axis=0)) / training.std(axis=0)
    means = np.stack([units[group == at].mean(axis=0) for at in range(3)])
    inverse = np.linalg.inv(LedoitWolf(assume_centered=True).fit(units - means[group]).covariance_)
    for row, distance in zip(new, found.distance(new), strict=True):
        at = (row - training.mean(axis=0)) / training.std(axis=0)
        assert distance == pytest.approx(min(mahalanobis(at, mean, inverse) for mean in means), rel=1e-9)
    assert found.limit == np.quantile(found.distance(dev), QUANTILE)


@pytest.mark.parametrize(("number", "units"), [(20, 50), (40, DIRECTIONS + 44), (400, 3)])
def test_few_clips_and_constant_units_give_finite_distances(number: int, units: int) -> None:
    (training, group), (dev, _) = clips(number, units), clips(30, units, seed=1)
    constant = np.full((1, 1), 7.0)
    training, dev = (np.hstack([x, constant.repeat(len(x), axis=0)]) for x in (training, dev))
    found = familiar_from(training, group, dev)
    assert found.whitening.shape[1] <= DIRECTIONS
    assert np.isfinite(found.distance(dev)).all()
    far = dev + 20 * training.std(axis=0)
    assert (found.distance(far) > found.limit).all()
    dev[:, -1] = -1e9  # training says nothing of it
    np.testing.assert_allclose(found.distance(dev[:, :]), found.distance(np.hstack([dev[:, :-1], dev[:, -1:] * 0 + 7])))


def test_a_checkpoint_holds_it(tmp_path: Path) -> None:
    (training, group), (dev, _) = clips(60, 8), clips(30, 8, seed=1)
    found = familiar_from(training, group, dev)
    torch.save(found.state(), tmp_path / "state")
    again = Familiar.from_state(torch.load(tmp_path / "state", weights_only=True))
    np.testing.assert_allclose(again.distance(dev), found.distance(dev), rtol=1e-3)
    assert again.limit == found.limit


@pytest.mark.parametrize("shape", [(30, 200), (200, 30), (60, 60)])
def test_shrinkage_is_that_of_scikit_learn(shape: tuple[int, int]) -> None:
    units = np.random.default_rng(0).normal(size=shape) * np.linspace(0.1, 3, shape[1])
    assert shrinkage_of(units) == pytest.approx(ledoit_wolf_shrinkage(units, assume_centered=True), abs=1e-12)
