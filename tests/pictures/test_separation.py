import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from ser.pictures import separation

RNG = np.random.default_rng(0)
GROUPS = np.array(["angry", "happy", "sad"])[RNG.integers(3, size=60)]
VECTORS = RNG.normal(size=(60, 4)) + 2.0 * (GROUPS == "sad")[:, None] * [1, 0.5, 0, 0]


def test_effect_size_follows_from_scipys_analysis_of_variance() -> None:
    found = separation.eta_squared(VECTORS, GROUPS)
    between, within = 3 - 1, 60 - 3
    f = stats.f_oneway(*(VECTORS[group == GROUPS] for group in np.unique(GROUPS))).statistic
    np.testing.assert_allclose(found, f * between / (f * between + within), rtol=1e-12)


def test_effect_size_leaves_out_missing_values() -> None:
    values, known = VECTORS[:, 0].copy(), np.arange(60) % 5 > 0
    values[~known] = np.nan
    expected = separation.eta_squared(VECTORS[known, 0], GROUPS[known])
    assert separation.eta_squared(values, GROUPS) == pytest.approx(expected)


@pytest.mark.parametrize(("values", "groups"), [([2.0, 2.0, 2.0], ["a", "b", "b"]), ([1.0, 2.0, 3.0], ["a", "a", "a"])])
def test_effect_size_is_undefined_without_variance_or_groups(values: list[float], groups: list[str]) -> None:
    assert np.isnan(separation.eta_squared(np.array(values), np.array(groups)))


@pytest.mark.parametrize("apart", [False, True])
def test_nearest_neighbours_are_those_of_scikit_learn(apart: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separation, "CHUNK", 7)  # not a divisor of 60
    speakers = np.arange(60) // 10
    alike, chance = separation.nearest_is_alike(VECTORS, GROUPS, speakers if apart else None)
    _, order = NearestNeighbors(n_neighbors=60).fit(VECTORS).kneighbors(VECTORS)
    allowed = [[j for j in row if j != i and (not apart or speakers[j] != speakers[i])] for i, row in enumerate(order)]
    assert alike == pytest.approx(np.mean([GROUPS[row[0]] == GROUPS[i] for i, row in enumerate(allowed)]))
    assert chance == pytest.approx(np.mean([np.mean(GROUPS[row] == GROUPS[i]) for i, row in enumerate(allowed)]))


def test_nearest_of_a_single_clip_or_speaker_is_undefined() -> None:
    assert np.isnan(separation.nearest_is_alike(VECTORS[:1], GROUPS[:1])).all()
    assert np.isnan(separation.nearest_is_alike(VECTORS, GROUPS, np.zeros(60))).all()


def test_components_are_eigenvectors_of_the_covariance_up_to_sign() -> None:
    points, shares = separation.principal_components(VECTORS)
    variances, directions = np.linalg.eigh(np.cov(VECTORS.T))  # in ascending order
    expected = (VECTORS - VECTORS.mean(axis=0)) @ directions[:, [-1, -2]]
    np.testing.assert_allclose(abs(points), abs(expected), atol=1e-10)
    np.testing.assert_allclose(shares, variances[[-1, -2]] / variances.sum(), rtol=1e-10)


def test_two_clips_have_one_component() -> None:
    points, shares = separation.principal_components(np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 4.0]]))
    np.testing.assert_allclose(abs(points), [[2.5, 0.0], [2.5, 0.0]], atol=1e-10)
    np.testing.assert_allclose(shares, [1.0, 0.0], atol=1e-10)


@pytest.mark.parametrize("shape", [(1, 5), (3, 1), (4, 0), (2, 2)])
def test_components_of_few_clips_or_numbers_are_finite(shape: tuple[int, int]) -> None:
    points, shares = separation.principal_components(np.ones(shape))
    assert points.shape == (shape[0], 2)
    assert np.isfinite(points).all()
    assert np.isfinite(shares).all()


def test_constant_numbers_are_left_out_of_vectors() -> None:
    scaled = separation.standardised(np.column_stack([VECTORS, np.full(60, 3.0)]))
    assert scaled.shape == (60, 4)
    np.testing.assert_allclose(scaled.std(axis=0), 1)


def test_missing_umap_is_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(separation, "find_spec", lambda name: None)
    assert not separation.has_umap()
    assert "pip install 'ser[explore]'" in caplog.text


@pytest.mark.slow  # six seconds, in a process of its own: compiling would take four times as long
def test_umap_keeps_far_groups_apart(tmp_path: Path) -> None:
    pytest.importorskip("umap")
    far = RNG.normal(size=(16, 3)) + 50.0 * (np.arange(16) % 2)[:, None]
    np.save(tmp_path / "far.npy", far)
    code = (
        "import numpy, sys\nfrom ser.pictures.separation import umap_points\n"
        "numpy.save(sys.argv[2], umap_points(numpy.load(sys.argv[1])))"
    )
    files = [str(tmp_path / name) for name in ("far.npy", "places.npy")]
    subprocess.run([sys.executable, "-c", code, *files], env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, check=True)
    places = np.load(tmp_path / "places.npy")
    assert places.shape == (16, 2)
    assert separation.nearest_is_alike(places, np.arange(16) % 2)[0] == 1.0
