"""Probabilities against votes: SciPy, listeners who are really drawn, the bounds that tie the numbers together."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy as scipy_entropy

from ser.errors import RunError
from ser.evaluation import soft

CLASSES = ("angry", "happy", "neutral", "sad")


def heard(p: np.ndarray, votes: np.ndarray, target: np.ndarray | None = None) -> pd.DataFrame:
    """A table of these probabilities and votes; 5 clips of each speaker in turn."""
    rows = np.arange(len(p))
    index = votes.argmax(axis=1) if target is None else target
    table = pd.DataFrame({"utterance": [f"x/{i}" for i in rows], "speaker": [f"x/{i // 5}" for i in rows]})
    table["target"] = np.array(CLASSES)[index]
    columns = {
        f"{prefix}{c}": values[:, i] for prefix, values in (("p_", p), ("v_", votes)) for i, c in enumerate(CLASSES)
    }
    return table.assign(**columns)


def draw(seed: int, n: int = 200, listeners: int = 10) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.ones(4), size=n)
    return p, rng.multinomial(listeners, rng.dirichlet(np.ones(4), size=n)) / listeners


def test_divergence_and_entropy_equal_scipy() -> None:
    p, votes = draw(0)
    np.testing.assert_allclose(soft.divergence(p, votes), jensenshannon(p, votes, base=2, axis=1) ** 2, atol=1e-12)
    np.testing.assert_allclose(soft.entropy(votes), scipy_entropy(votes, base=2, axis=1))


def test_divergence_is_entropy_of_mixture_minus_mean_entropy() -> None:
    p, votes = draw(1)
    expected = soft.entropy((p + votes) / 2) - (soft.entropy(p) + soft.entropy(votes)) / 2
    np.testing.assert_allclose(soft.divergence(p, votes), expected, atol=1e-12)


def test_agreement_is_how_often_a_listener_names_the_top_class() -> None:
    p, votes = draw(2, n=1)
    rng = np.random.default_rng(3)
    said = rng.choice(4, size=100_000, p=votes[0])
    assert soft.agreement(p, votes)[0] == pytest.approx(np.mean(said == p.argmax()), abs=0.006)  # 4 standard errors


def test_listener_agreement_matches_simulation_with_stated_correction() -> None:
    listeners = 10
    p, votes = draw(4, n=50, listeners=listeners)
    result = soft.summary(heard(p, votes))
    distinct = []
    for row in (votes * listeners).round().astype(int):
        said = np.repeat(np.arange(4), row)
        same = said[:, None] == said
        distinct.append((same.sum() - listeners) / (listeners * (listeners - 1)))
    agreed = result["listener_agreement"]
    assert agreed - (1 - agreed) / (listeners - 1) == pytest.approx(np.mean(distinct))


def test_predicting_votes_is_perfect_and_predicting_their_mean_is_the_baseline() -> None:
    _, votes = draw(5)
    perfect = soft.summary(heard(votes, votes))
    assert perfect["jsd"] == pytest.approx(0, abs=1e-12)
    assert perfect["agreement"] == pytest.approx(perfect["plurality_agreement"])
    constant = soft.summary(heard(np.tile(votes.mean(axis=0), (len(votes), 1)), votes))
    assert constant["jsd"] == pytest.approx(constant["jsd_of_mean_votes"])
    assert perfect["listener_agreement"] <= perfect["plurality_agreement"]


def test_tied_plurality_counts_in_part() -> None:
    votes = np.array([[0.5, 0.5, 0, 0], [0.2, 0.3, 0.5, 0], [0.25, 0.25, 0.25, 0.25]])
    result = soft.summary(heard(votes, votes, target=np.array([0, 0, 3])))
    assert result["plurality_is_target"] == pytest.approx((1 / 2 + 0 + 1 / 4) / 3)


def test_interval_of_a_mean_grows_with_speaker_differences() -> None:
    """Equally many clips per speaker: the standard error is that of the mean of the speakers' means."""
    rng = np.random.default_rng(6)
    speaker = np.repeat(np.arange(60), 20)
    values = 0.5 + 0.05 * (rng.normal(size=60)[speaker] + rng.normal(size=1200))
    means = values.reshape(60, 20).mean(axis=1)
    error = means.std(ddof=0) / np.sqrt(60)
    interval = soft.mean_interval(values, speaker.astype(str))
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)  # 2000 resamples: 4 % per end
    assert interval.speakers == 60
    by_clip = soft.mean_interval(values, np.arange(1200).astype(str))
    assert by_clip.high - by_clip.low < (interval.high - interval.low) / 2


def test_interval_covers_the_mean_over_other_speakers() -> None:
    rng = np.random.default_rng(7)
    speaker = np.repeat(np.arange(30), 10).astype(str)
    covered = 0
    for _ in range(200):
        values = 0.5 + 0.05 * (np.repeat(rng.normal(size=30), 10) + rng.normal(size=300))
        interval = soft.mean_interval(values, speaker)
        covered += interval.low <= 0.5 <= interval.high
    # Percentile intervals with 30 speakers: about 93 %; 200 runs have a standard error of 1.8 %.
    assert 0.88 <= covered / 200 <= 0.98


def test_rows_without_votes_are_left_out_and_no_votes_give_no_summary() -> None:
    p, votes = draw(8)
    table = heard(p, votes)
    half = table.copy()
    half.loc[100:, [f"v_{c}" for c in CLASSES]] = np.nan
    assert soft.summary(half) == soft.summary(table.iloc[:100])
    assert soft.summary(table.drop(columns=[f"v_{c}" for c in CLASSES])) is None
    assert soft.summary(half.iloc[100:]) is None


def test_invalid_votes_name_the_utterance() -> None:
    p, votes = draw(9, n=3)
    votes[1] *= 10
    with pytest.raises(RunError, match=r"The votes of x/1 must be shares that sum to 1; got"):
        soft.summary(heard(p, votes, target=np.zeros(3, dtype=int)))
