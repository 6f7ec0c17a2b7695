"""Groups and gaps: scikit-learn on the subset, every labelling enumerated, coverage and false alarms by simulation."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nct, t, ttest_ind
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from ser.errors import RunError
from ser.evaluation import metrics, predictions
from ser.evaluation.groups import age_band, by_group, gaps, speaker_spread
from ser.evaluation.intervals import speaker_interval
from ser.evaluation.metrics import confusion_by_group
from ser.evaluation.profile import profile

CLASSES = ("angry", "happy", "neutral", "sad")


def simulated(
    rng: np.random.Generator,
    sizes: dict[str, int],
    recall: dict[str, float],
    per_class: int = 5,
    spread: dict[str, float] | None = None,
) -> pd.DataFrame:
    """Speakers whose recalls spread about their group's by a standard deviation of 0.1."""
    group = np.repeat(list(sizes), list(sizes.values()))
    scale = np.array([(spread or {}).get(name, 0.1) for name in group])
    own = np.clip([recall[name] for name in group] + scale * rng.normal(size=len(group)), 0, 1)
    target = np.tile(np.repeat(np.arange(4), per_class), len(group))
    wrong = (target + rng.integers(1, 4, size=len(target))) % 4
    of = np.repeat(np.arange(len(group)), 4 * per_class)
    said = np.where(rng.random(len(target)) < own[of], target, wrong)
    about = {"speaker": [f"{group[i]}{i}" for i in of], "group": group[of], "target": np.array(CLASSES)[target]}
    return pd.DataFrame({**about, **{f"p_{c}": (said == i) * 1.0 for i, c in enumerate(CLASSES)}})


def enumerated(table: pd.DataFrame) -> np.ndarray:
    """The gap, and Welch's t without its sign, of each way to deal two groups' labels among the speakers."""
    uars = {row["group"]: row["uar"] for row in by_group(table, "speaker")}
    names = sorted(table["speaker"].unique())
    target, predicted = predictions.target_indices(table), predictions.predicted_indices(table)
    size = table.loc[table["group"] == table["group"].iloc[0], "speaker"].nunique()
    found = []
    for members in combinations(names, size):
        inside = table["speaker"].isin(members).to_numpy()
        one, other = (balanced_accuracy_score(target[rows], predicted[rows]) for rows in (inside, ~inside))
        sides = ([u for name, u in uars.items() if (name in members) == inside] for inside in (True, False))
        found.append((abs(one - other), abs(ttest_ind(*sides, equal_var=False).statistic)))
    return np.array(found)


def test_group_scores_equal_scikit_learn_on_its_rows(table) -> None:
    rows = by_group(table, "sex")
    assert [row["group"] for row in rows] == ["female", "male"]
    target, predicted = predictions.target_indices(table), predictions.predicted_indices(table)
    for row in rows:
        of = (table["sex"] == row["group"]).to_numpy()
        assert row["n_utterances"] == of.sum()
        assert row["n_speakers"] == 12
        assert row["uar"] == pytest.approx(balanced_accuracy_score(target[of], predicted[of]))
        assert row["accuracy"] == pytest.approx(accuracy_score(target[of], predicted[of]))
        assert row["macro_f1"] == pytest.approx(f1_score(target[of], predicted[of], average="macro"))
        _, counts = confusion_by_group(target[of], predicted[of], table["speaker"].to_numpy(dtype=str)[of], 8)
        expected = speaker_interval(counts)
        assert (row["uar_interval"]["low"], row["uar_interval"]["high"]) == (expected.low, expected.high)


def test_small_group_has_scores_but_no_interval(table) -> None:
    assert all(row["uar_interval"] is None for row in by_group(table, "speaker"))
    few = by_group(table[table["speaker"] < "ravdess/10"], "sex", fewest=5)  # actors 1 to 9
    assert [(row["n_speakers"], row["uar_interval"] is None) for row in few] == [(4, True), (5, False)]


def test_rows_without_a_value_are_left_out(table) -> None:
    table["race"] = table["sex"].where(table["fold"] < 3)
    assert sum(row["n_utterances"] for row in by_group(table, "race")) == (table["fold"] < 3).sum()
    assert gaps(table, "race")["best"]["n_speakers"] == 9


def test_ages_are_grouped_into_bands() -> None:
    ages = pd.Series([20, 29, 30, 44, 45, 59, 60, 74, None], dtype="Int64")
    expected = ["under 30"] * 2 + ["30 to 44"] * 2 + ["45 to 59"] * 2 + ["60 and over"] * 2
    assert age_band(ages).tolist() == [*expected, None]


def test_gap_is_difference_of_group_scores(table) -> None:
    result = gaps(table, "fold")
    uars = {row["group"]: row["uar"] for row in by_group(table, "fold")}
    assert result["n_groups"] == 4
    assert result["best"]["uar"] == uars[result["best"]["group"]] == max(uars.values())
    assert result["worst"]["uar"] == uars[result["worst"]["group"]] == min(uars.values())
    assert result["gap"] == pytest.approx(max(uars.values()) - min(uars.values()))


def test_gap_by_chance_equals_all_permutations() -> None:
    table = simulated(np.random.default_rng(0), {"a": 4, "b": 5}, {"a": 0.7, "b": 0.55})
    every = enumerated(table)
    assert len(every) == 126
    result = gaps(table, "group", permutations=20_000)
    assert result["gap_by_chance"] == pytest.approx(every[:, 0].mean(), rel=0.02)  # 20 000 draws: 0.5 % standard error
    uars = {row["group"]: row["uar"] for row in by_group(table, "speaker")}
    sides = ([uar for name, uar in uars.items() if name.startswith(group)] for group in "ab")
    observed = abs(ttest_ind(*sides, equal_var=False).statistic)
    assert result["p_value"] == pytest.approx(np.mean(every[:, 1] >= observed - 1e-9), abs=0.01)


@pytest.mark.slow
def test_small_group_that_spreads_more_is_rarely_found_to_differ() -> None:
    """Both have the same mean; a test of the plain gap, by permutation too, finds one in a fifth of the tables."""
    rng, found, runs = np.random.default_rng(5), {"studentised": 0, "plain": 0}, 100
    sizes, spread = {"a": 6, "b": 30}, {"a": 0.2, "b": 0.03}
    for _ in range(runs):
        table = simulated(rng, sizes, dict.fromkeys(sizes, 0.6), spread=spread)
        found["studentised"] += gaps(table, "group", permutations=199)["p_value"] <= 0.05
        uars = metrics.uar(predictions.confusion_by_speaker(table)[1])  # sorted: a first
        dealt = rng.permuted(np.tile(uars, (199, 1)), axis=1)
        gap, by_chance = (abs(u[..., :6].mean(axis=-1) - u[..., 6:].mean(axis=-1)) for u in (uars, dealt))
        found["plain"] += (1 + (by_chance >= gap - 1e-12).sum()) / 200 <= 0.05
    assert found["studentised"] / runs < 0.115  # 0.05 and three standard errors of 100 runs
    assert found["plain"] / runs > 0.15


def test_tie_shows_two_groups() -> None:
    table = pd.DataFrame({"speaker": list("1234"), "sex": ["male", "female"] * 2, "target": ["a"] * 4})
    gap = gaps(table.assign(p_a=1.0, p_b=0.0), "sex", permutations=9)
    assert (gap["best"]["group"], gap["worst"]["group"], gap["gap"], gap["p_value"]) == ("female", "male", 0.0, 1.0)
    assert gap["gap_interval"]["low"] < 0 < gap["gap_interval"]["high"]


def test_groups_with_other_classes_are_not_compared() -> None:
    about = {"speaker": [*"112233", "4", "5"], "corpus": [*"xxyyyy", "z", "z"]}
    table = pd.DataFrame({**about, "target": ["a", "b"] * 3 + ["a", "a"], "p_a": 0.9, "p_b": 0.1})
    gap = gaps(table, "corpus", permutations=9)
    assert gap["other_classes"] == ["z"]
    assert {gap["best"]["group"], gap["worst"]["group"]} == {"x", "y"}
    assert "corpus" not in profile(table[table["corpus"] != "x"].assign(utterance="u", sentence=None))["fairness"]


@pytest.mark.slow
def test_absent_gap_is_rarely_significant_but_never_0() -> None:
    rng = np.random.default_rng(1)
    sizes, recall = {"a": 8, "b": 8, "c": 8}, dict.fromkeys("abc", 0.6)
    results = [gaps(simulated(rng, sizes, recall), "group", permutations=300) for _ in range(200)]
    p_values = np.array([r["p_value"] for r in results])
    # The p-value is uniform: 5 % of 200 is 10 with a standard error of 3; half of 200 is 100 with one of 7.
    assert 0.01 <= np.mean(p_values <= 0.05) <= 0.095
    assert 0.4 <= np.mean(p_values <= 0.5) <= 0.6
    mean = np.mean([r["gap"] for r in results])
    assert mean > 0.05
    assert mean == pytest.approx(np.mean([r["gap_by_chance"] for r in results]), rel=0.1)


@pytest.mark.parametrize(("one", "other"), [(14, 14), (4, 12)])
def test_real_gap_is_found_and_covered_by_its_interval(one, other) -> None:
    deviation = np.sqrt(0.1**2 + 0.22 / 20)  # of a speaker's UAR: speakers differ, and each says 20 utterances
    strength = 0.25 / (deviation * np.sqrt(1 / one + 1 / other))
    degrees = one + other - 2
    power = nct.sf(t.ppf(0.975, degrees), degrees, strength)  # of the t test: 0.99 and 0.8
    rng = np.random.default_rng(2)
    tables = [simulated(rng, {"a": one, "b": other}, {"a": 0.75, "b": 0.5}) for _ in range(150)]
    results = [gaps(table, "group", permutations=200) for table in tables]
    assert np.mean([r["p_value"] <= 0.05 for r in results]) == pytest.approx(power, abs=0.09)  # standard error 0.03
    covered = np.mean([r["gap_interval"]["low"] <= 0.25 <= r["gap_interval"]["high"] for r in results])
    assert 0.89 <= covered <= 0.99  # nominally 0.95; 150 runs have a standard error of 0.018
    assert np.mean([r["best"]["group"] == "a" for r in results]) > 0.97


def test_gap_interval_of_equal_speakers_is_welchs() -> None:
    """UAR is then the mean of the speakers' UARs, and the jackknife variance the usual one of a mean."""
    table = simulated(np.random.default_rng(3), {"a": 6, "b": 15}, {"a": 0.7, "b": 0.4})
    uars = {row["group"]: row["uar"] for row in by_group(table, "speaker")}
    one, other = ([u for name, u in uars.items() if name.startswith(group)] for group in "ab")
    reference = ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    interval = gaps(table, "group")["gap_interval"]
    assert (interval["low"], interval["high"]) == pytest.approx((reference.low, reference.high))


def test_caution_states_the_smaller_group() -> None:
    rng = np.random.default_rng(4)
    few = gaps(simulated(rng, {"a": 20, "b": 4}, {"a": 0.6, "b": 0.6}), "group")["gap_interval"]
    assert few["caution"] == "4 speakers in a group are too few: the interval is indicative"
    alone = gaps(simulated(rng, {"a": 20, "b": 1}, {"a": 0.6, "b": 0.6}), "group")["gap_interval"]
    assert alone["low"] is None
    assert alone["caution"].startswith("a group has 1 speaker: no interval")
    assert gaps(simulated(rng, {"a": 10, "b": 10}, {"a": 0.6, "b": 0.6}), "group")["gap_interval"]["caution"] is None


def test_worst_speakers_have_the_lowest_scores(table) -> None:
    uars = {row["group"]: row["uar"] for row in by_group(table, "speaker")}
    result = speaker_spread(table)
    worst = min(uars, key=lambda name: uars[name])
    assert result["worst"] == {"speaker": worst, "uar": uars[worst], "n_utterances": 30}
    assert result["worst_decile"] == {"n_speakers": 2, "uar": pytest.approx(np.mean(sorted(uars.values())[:2]))}
    assert result["uar_mean"] == pytest.approx(np.mean(list(uars.values())))
    assert result["uar_sd"] == pytest.approx(np.std(list(uars.values()), ddof=1))
    alone = speaker_spread(table[table["speaker"] == worst])
    assert alone["uar_sd"] is None
    assert alone["worst_decile"]["n_speakers"] == 1


def test_same_seed_gives_same_gap_whatever_the_row_order(table) -> None:
    shuffled = table.sample(frac=1, random_state=0)
    assert gaps(shuffled, "sex", seed=3) == gaps(table, "sex", seed=3)
    assert gaps(table, "sex", seed=3) != gaps(table, "sex", seed=4)


def test_gap_needs_a_column_that_divides_speakers(table) -> None:
    with pytest.raises(
        RunError, match=r"sentence must have one value per speaker .* got 2 values for speaker ravdess/01"
    ):
        gaps(table, "sentence")
    with pytest.raises(ValueError, match=r"at least 2 groups of the same classes; got 1 in 'corpus': ravdess"):
        gaps(table, "corpus")
    with pytest.raises(ValueError, match=r"column must be one of utterance, corpus, .*; got 'height'"):
        by_group(table, "height")
    with pytest.raises(ValueError, match="permutations must be at least 1; got 0"):
        gaps(table, "sex", permutations=0)
