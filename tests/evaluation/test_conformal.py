"""Conformal sets: the quantile by hand, the guarantee by simulation, and where it does not hold."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from ser.evaluation.conformal import caution, coverage, sets, threshold


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def noisy(rng: np.random.Generator, n: int, hit: float | np.ndarray = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A model that is too sure, as models are: the guarantee must not need calibration."""
    target = rng.integers(5, size=n)
    logits = rng.normal(size=(n, 5))
    logits[np.arange(n), target] += hit
    return softmax(3 * logits), target


def test_threshold_is_conformal_quantile() -> None:
    scores = np.arange(1, 20) / 20  # 19 of them: rank ceil(20 * 0.9) = 18
    p = np.stack([1 - scores, scores], axis=1)
    target = np.zeros(19, dtype=int)
    assert threshold(p, target, level=0.9) == pytest.approx(18 / 20)
    assert threshold(p, target, level=0.5) == pytest.approx(10 / 20)
    assert threshold(p[:8], target[:8], level=0.9) == 1.0  # ceil(9 * 0.9) = 9 of 8
    assert threshold(p[:9], target[:9], level=0.9) == pytest.approx(9 / 20)
    assert sets(p, 1.0).all()


def test_dev_coverage_matches_the_rank() -> None:
    p, target = noisy(np.random.default_rng(0), 499)
    held = sets(p, threshold(p, target, level=0.8))[np.arange(499), target]
    assert held.sum() == 400  # ceil(500 * 0.8); no rounding leaves the utterance at the threshold out


@pytest.mark.parametrize(("n_dev", "level"), [(19, 0.9), (50, 0.8), (200, 0.9)])
def test_finite_sample_guarantee_holds(n_dev, level) -> None:
    """Exchangeable utterances: ``level <= coverage <= level + 1 / (n + 1)``, on average over dev sets."""
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(1000):
        limit = threshold(*noisy(rng, n_dev), level=level)
        p, target = noisy(rng, 100)
        covered.append(sets(p, limit)[np.arange(100), target].mean())
    error = 3 * np.std(covered) / np.sqrt(len(covered))  # Monte-Carlo
    assert level - error <= np.mean(covered) <= level + 1 / (n_dev + 1) + error


def test_coverage_reports_uneven_speakers() -> None:
    rng = np.random.default_rng(2)
    hit = np.repeat([3.0, 3.0, 3.0, 1.0], 200)  # the last speaker is hard
    limit = threshold(*noisy(rng, 800, hit))
    p, target = noisy(rng, 800, hit)
    table = pd.DataFrame({"speaker": np.repeat(list("abcd"), 200), "target": np.array(list("vwxyz"))[target]})
    table = table.assign(**{f"p_{c}": column for c, column in zip("vwxyz", p.T, strict=True)})
    result = coverage(table, sets(p, limit))
    assert result["coverage"] == pytest.approx(0.9, abs=0.05)  # standard error of dev and test: 0.015
    assert result["worst_speaker"]["speaker"] == "d"
    assert result["worst_speaker"]["coverage"] < 0.8
    held = sets(p, limit)
    assert result["mean_size"] == pytest.approx(held.sum() / 800)
    assert result["empty"] == pytest.approx((~held.any(axis=1)).mean())
    assert [s["n_utterances"] for s in result["speakers"]] == [200] * 4
    assert np.mean([s["coverage"] for s in result["speakers"]]) == pytest.approx(result["coverage"])


def test_one_dev_speaker_covers_less_as_its_closed_form_says() -> None:
    """Of normal scores with a ratio r of variances between and within speakers: Phi(1.28 / sqrt(1 + 2 r)), here 82 %."""
    rng, between, covered = np.random.default_rng(0), 0.7, []
    for _ in range(400):
        speakers = between * rng.normal(size=(2, 1)) + rng.normal(size=(2, 500))
        right = 1 / (1 + np.exp(speakers))
        dev, test = np.stack([right, 1 - right], axis=-1)
        covered.append(sets(test, threshold(dev, np.zeros(500, dtype=int)))[:, 0].mean())
    expected = norm.cdf(norm.ppf(0.9) / np.sqrt(1 + 2 * between**2))
    assert expected == pytest.approx(0.82, abs=0.005)
    assert np.mean(covered) == pytest.approx(expected, abs=0.02)  # twice the standard error of 400 draws
    assert "1 dev speaker is too few" in str(caution(1))
    assert caution(9) is not None
    assert caution(10) is None


def test_guarantee_does_not_hold_for_new_speakers() -> None:
    """Why coverage is reported by speaker: 2 dev speakers say little of the next two."""
    rng = np.random.default_rng(3)

    def spread(new_speakers: bool) -> float:
        covered = []
        for _ in range(100):
            hit = rng.normal(2.0, 1.0, size=2)
            limit = threshold(*noisy(rng, 200, np.repeat(hit, 100)))
            hit = rng.normal(2.0, 1.0, size=2) if new_speakers else hit
            p, target = noisy(rng, 200, np.repeat(hit, 100))
            covered.append(sets(p, limit)[np.arange(200), target].mean())
        return float(np.std(covered))

    assert spread(new_speakers=True) > 2 * spread(new_speakers=False)


@pytest.mark.parametrize("level", [0, 1, 90])
def test_level_outside_0_to_1_is_refused(level) -> None:
    with pytest.raises(ValueError, match=f"level must be between 0 and 1; got {level}"):
        threshold(np.full((3, 2), 0.5), np.zeros(3, dtype=int), level=level)


def test_sets_of_another_shape_are_refused() -> None:
    table = pd.DataFrame({"speaker": ["a"], "target": ["x"], "p_x": [0.5], "p_y": [0.5]})
    with pytest.raises(ValueError, match=r"here \(1, 2\); got \(2, 2\)"):
        coverage(table, np.ones((2, 2), dtype=bool))
