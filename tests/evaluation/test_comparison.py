"""Comparisons of models: enumeration by hand, scipy, statsmodels, a published example, simulated levels and power."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import friedmanchisquare, permutation_test, ttest_ind, ttest_rel
from sklearn.metrics import balanced_accuracy_score

from benchmarks.interval_coverage import SETTINGS, with_seeds
from ser.errors import RunError
from ser.evaluation import metrics
from ser.evaluation.comparison import critical_difference, holm, method_difference, paired, swap_test
from ser.evaluation.intervals import ENOUGH_TO_TEST, difference_interval, speaker_interval

CLASSES = ("angry", "happy", "sad")


def _table(rng: np.random.Generator, speakers: int, ability: float = 1.0, clips: int = 12) -> pd.DataFrame:
    """A predictions table; speakers say different shares of each class, so that UAR is not a mean over speakers."""
    told = np.random.default_rng(99)  # targets are the same in each table
    rows = []
    for speaker, clip in product(range(speakers), range(clips)):
        target = int(told.choice(3, p=told.dirichlet(np.ones(3))))
        scores = rng.normal(size=3) + ability * (np.arange(3) == target)
        p = np.exp(scores) / np.exp(scores).sum()
        about = {"utterance": f"x/{speaker:02}-{clip:02}", "corpus": "x", "speaker": f"x/{speaker:02}", "sex": "female"}
        about |= {"sentence": "x/1", "fold": speaker % 2, "target": CLASSES[target]}
        rows.append(about | {f"p_{c}": float(v) for c, v in zip(CLASSES, p, strict=True)})
    return pd.DataFrame(rows)


def _predicted(table: pd.DataFrame) -> np.ndarray:
    return table.filter(regex="^p_").idxmax(axis=1).str.removeprefix("p_").to_numpy(dtype=str)


def test_p_value_equals_enumerated_swaps() -> None:
    one, other = _table(np.random.default_rng(0), 7, 1.5), _table(np.random.default_rng(1), 7, 0.8)
    target, speaker = one["target"].to_numpy(dtype=str), one["speaker"].to_numpy(dtype=str)
    ours, theirs = _predicted(one), _predicted(other)

    def difference(swapped: tuple[bool, ...]) -> float:
        swap = np.isin(speaker, [f"x/{i:02}" for i in range(7) if swapped[i]])
        first, second = np.where(swap, theirs, ours), np.where(swap, ours, theirs)
        return balanced_accuracy_score(target, first) - balanced_accuracy_score(target, second)

    observed = difference((False,) * 7)
    every = np.array([difference(swapped) for swapped in product((False, True), repeat=7)])
    result = paired(one, other)
    assert result.difference == pytest.approx(observed)
    assert result.one == pytest.approx(balanced_accuracy_score(target, ours))
    assert result.p_value == np.mean(np.abs(every) >= abs(observed) - 1e-9)
    assert 2 / 128 < result.p_value < 1  # neither end, where a mistake would not show
    assert (result.swaps, result.exact, result.smallest_p_value, result.caution) == (128, True, 2 / 128, None)


def test_swap_test_of_accuracies_equals_scipy() -> None:
    one, other = _table(np.random.default_rng(2), 9, 1.4), _table(np.random.default_rng(3), 9, 1.0)
    each = [(_predicted(t) == t["target"]).groupby(t["speaker"]).mean().to_numpy() for t in (one, other)]
    expected = permutation_test(each, lambda a, b: np.mean(a) - np.mean(b), permutation_type="samples", n_resamples=512)
    result = paired(one, other, metrics.accuracy)
    assert result.difference == pytest.approx(expected.statistic)
    assert result.p_value == pytest.approx(expected.pvalue)


def test_drawn_swaps_approximate_all_swaps() -> None:
    one, other = _table(np.random.default_rng(0), 14, 1.3), _table(np.random.default_rng(1), 14, 1.0)
    exact, drawn = paired(one, other, swaps=2**14), paired(one, other, swaps=9999)
    assert (exact.exact, exact.swaps) == (True, 2**14)
    assert (drawn.exact, drawn.swaps) == (False, 9999)
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.015)  # three standard errors of 9999 draws
    assert (drawn.p_value * 10_000) % 1 == pytest.approx(0, abs=1e-6)  # (b + 1) / (m + 1)
    assert paired(one, other, swaps=9999, seed=1).p_value != drawn.p_value
    assert paired(one, other, swaps=9999) == drawn


def test_drawn_p_value_is_never_zero() -> None:
    right, wrong = np.tile(np.eye(3), (40, 1, 1)), np.tile(np.roll(np.eye(3), 1, axis=1), (40, 1, 1))
    assert swap_test(right, wrong, swaps=199) == (1 / 200, 1 / 200, 199, False)


@pytest.mark.parametrize(("speakers", "smallest"), [(1, 1.0), (2, 0.5), (4, 0.125), (5, 0.0625)])
def test_too_few_speakers_give_a_caution(speakers: int, smallest: float) -> None:
    one = _table(np.random.default_rng(0), speakers, ability=50, clips=6)
    result = paired(one, _table(np.random.default_rng(1), speakers, ability=-50, clips=6))
    assert result.difference == 1
    assert result.p_value == result.smallest_p_value == smallest
    assert result.caution is not None
    assert "too few to conclude" in result.caution
    assert f"{smallest:.3g}, whatever the interval excludes" in result.caution


def test_six_speakers_allow_p_value_below_five_percent() -> None:
    one = _table(np.random.default_rng(0), 6, ability=50, clips=6)
    result = paired(one, _table(np.random.default_rng(1), 6, ability=-50, clips=6))
    assert (result.p_value, result.caution) == (2 / 64, None)


def test_model_does_not_differ_from_itself() -> None:
    one = _table(np.random.default_rng(0), 8)
    result = paired(one, one.sample(frac=1, random_state=3))
    assert (result.difference, result.p_value) == (0, 1)
    assert (result.interval.low, result.interval.high) == pytest.approx((0.05 ** (1 / 8) - 1, 1 - 0.05 ** (1 / 8)))
    assert result.interval.method == "clopper-pearson"


def test_order_of_models_only_changes_the_sign() -> None:
    one, other = _table(np.random.default_rng(0), 30, 1.3), _table(np.random.default_rng(1), 30, 1.0)
    there, back = paired(one, other), paired(other, one)
    assert there.difference == -back.difference
    assert there.p_value == back.p_value
    assert there.interval.method == "jackknife-t"
    assert (there.interval.low, there.interval.high) == pytest.approx((-back.interval.high, -back.interval.low))


def test_order_of_classes_and_rows_changes_nothing() -> None:
    one, other = _table(np.random.default_rng(0), 8, 1.3), _table(np.random.default_rng(1), 8, 1.0)
    columns = [c for c in other if not c.startswith("p_")]
    turned = other[[*columns, "p_sad", "p_angry", "p_happy"]].sample(frac=1, random_state=0)
    assert paired(one, turned) == paired(one, other)


def test_scores_are_averaged_over_seeds() -> None:
    """UAR is linear in the confusions of the same utterances: the mean of the scores is the score of the mean."""
    ones = [_table(np.random.default_rng(i), 8, 1.3) for i in range(3)]
    others = [_table(np.random.default_rng(i), 8, 1.0) for i in range(10, 12)]
    result = paired(ones, others)
    scores = [[balanced_accuracy_score(t["target"], _predicted(t)) for t in side] for side in (ones, others)]
    assert (result.one, result.other) == pytest.approx((np.mean(scores[0]), np.mean(scores[1])))
    assert result.difference == pytest.approx(result.one - result.other)
    assert result.seeds == (3, 2)
    assert result.of_methods
    alone = paired(ones[0], others[0])
    one_seed = paired(ones[0], [others[0]] * 3)
    assert (alone.of_methods, one_seed.of_methods) == (False, False)
    assert one_seed.p_value == alone.p_value


def test_methods_are_compared_by_students_test_where_speakers_or_seeds_do_not_differ() -> None:
    """Equal seeds leave the paired t-test over speakers; equal speakers leave Welch's over seeds."""
    rng = np.random.default_rng(4)
    right = rng.integers(3, 18, size=(2, 4, 9, 2))  # (side, seed, speaker, class), each class said 20 times
    counts = np.zeros((*right.shape, 2))
    counts[..., [0, 1], [0, 1]], counts[..., [0, 1], [1, 0]] = right, 20 - right
    equal_seeds = np.repeat(counts[:, :1], 4, axis=1)
    each = metrics.uar(equal_seeds[:, 0])
    expected = ttest_rel(*each)
    interval, p = method_difference(*equal_seeds)
    assert p == pytest.approx(expected.pvalue)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    one, other = np.repeat(counts[:, :, :1], 9, axis=2)
    expected = ttest_ind(*metrics.uar(np.stack([one, other])[:, :, 0]), equal_var=False)
    interval, p = method_difference(one, other)
    assert p == pytest.approx(expected.pvalue)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))


def test_method_is_rarely_better_than_itself_by_the_t_test_and_often_by_swapped_speakers() -> None:
    """24 speakers in 1 fold, 3 seeds a side; `python benchmarks/significance.py` has more of them."""
    rng, runs, found = np.random.default_rng(0), 200, {"swap": 0, "t": 0}
    for _ in range(runs):
        one, other = np.split(with_seeds(rng, 24, 6, SETTINGS[1]), 2)
        interval, p = method_difference(one, other)
        assert (p < 0.05) == (not interval.low <= 0 <= interval.high)
        found["t"] += p <= 0.05
        found["swap"] += swap_test(one.mean(axis=0), other.mean(axis=0), swaps=99).p_value <= 0.05
    assert found["t"] / runs < 0.07
    assert found["swap"] / runs > 0.10


def test_t_test_finds_a_better_method() -> None:
    rng, found = np.random.default_rng(1), 0
    for _ in range(50):
        one, other = np.split(with_seeds(rng, 24, 10, SETTINGS[1], folds=5), 2)
        easier = other.copy()
        wrong = np.roll(np.eye(8, dtype=bool), 1, axis=1)
        easier[..., wrong] *= 0.8  # a fifth of the errors is put right: 6 or 7 points of UAR
        easier[..., np.eye(8, dtype=bool)] += 0.2 * other[..., wrong]
        found += method_difference(easier, one)[1] <= 0.05
    assert found / 50 > 0.9


@pytest.mark.parametrize("speakers", [2, 3, 5])
def test_the_p_value_decides_where_an_interval_of_few_speakers_excludes_0(speakers: int) -> None:
    """With one seed; a difference that is nearly the same for all speakers has a narrow interval."""
    right, wrong = np.zeros((speakers, 2, 2)), np.zeros((speakers, 2, 2))
    right[:, [0, 1], [0, 1]], right[:, [0, 1], [1, 0]] = 90, 10
    wrong[:, [0, 1], [0, 1]], wrong[:, [0, 1], [1, 0]] = 50, 50
    wrong[0, [0, 1], [0, 1]], wrong[0, [0, 1], [1, 0]] = 52, 48
    _, interval = difference_interval(right, wrong)
    assert interval.low > 0
    assert swap_test(right, wrong).p_value > 0.05
    assert speakers < ENOUGH_TO_TEST
    assert 2.0 ** (1 - ENOUGH_TO_TEST) < 0.05 < 2.0 ** (2 - ENOUGH_TO_TEST)


def _changed(table: pd.DataFrame, column: str, value: str) -> pd.DataFrame:
    changed = table.copy()
    changed.loc[changed["utterance"] == "x/01-03", column] = value
    return changed


def test_tables_of_different_test_sets_are_refused() -> None:
    one, other = _table(np.random.default_rng(0), 4), _table(np.random.default_rng(1), 4)
    held = other.loc[other["utterance"] == "x/01-03", "target"].item()
    wanted = next(name for name in CLASSES if name != held)
    with pytest.raises(
        RunError, match=rf"targets differ: utterance x/01-03 has target {wanted} in other\[0\], but {held}"
    ):
        paired(one, _changed(other, "target", wanted))
    with pytest.raises(RunError, match=r"speakers differ: utterance x/01-03 has speaker x/9 in other\[0\]"):
        paired(one, _changed(other, "speaker", "x/9"))
    with pytest.raises(RunError, match=r"one\[0\] has 2 missing from other\[0\] .* such as x/00-00\. Compare runs"):
        paired(one, other.iloc[2:])
    with pytest.raises(RunError, match=r"other\[0\] has 1 missing from one\[0\] .* such as x/zz"):
        paired(one, _changed(other, "utterance", "x/zz"))
    with pytest.raises(RunError, match=r"one\[1\] has 12 missing from one\[0\]"):
        paired([one, _table(np.random.default_rng(1), 5)], other)
    twice = pd.concat([other, other.iloc[[5]].assign(fold=9)])
    with pytest.raises(
        RunError, match=r"other\[0\] has 1 missing from one\[0\] or in fewer of its folds, such as x/00-05"
    ):
        paired(one, twice)
    with pytest.raises(RunError, match=r"classes differ: angry, happy, joy, sad in other\[0\], but angry, happy, sad"):
        paired(one, other.assign(p_joy=0.0))
    with pytest.raises(RunError, match=r"one\[0\] must have the columns speaker"):
        paired(one.drop(columns="speaker"), other)
    with pytest.raises(ValueError, match="got an empty sequence"):
        paired(one, [])


def test_confusions_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the same shape .* got \(3, 2, 2\), \(4, 2, 2\)"):
        swap_test(np.ones((3, 2, 2)), np.ones((4, 2, 2)))
    with pytest.raises(ValueError, match="swaps must be at least 1; got 0"):
        swap_test(np.ones((3, 2, 2)), np.ones((3, 2, 2)), swaps=0)


def _two_models(rng: np.random.Generator, speakers: int, better: float, clips: int = 10, n_classes: int = 4):
    """``(speaker, model, class, class)`` hits and misses, and their ``(speaker, model, class, clip)``.

    Speakers are easy or hard for both models (Beta(4, 2)), and each model has speakers of its own that it does well on.
    """
    both = logit(rng.beta(4, 2, size=(speakers, 1, 1, 1)))
    own = 0.5 * rng.normal(size=(speakers, 2, 1, 1)) + better * np.array([0.5, -0.5])[:, None, None]
    right = rng.random((speakers, 2, n_classes, clips)) < expit(both + own)
    hits = right.sum(axis=-1)
    counts = np.zeros((speakers, 2, n_classes, n_classes), dtype=int)
    diagonal = np.arange(n_classes)
    counts[..., diagonal, diagonal] = hits
    counts[..., diagonal, (diagonal + 1) % n_classes] = clips - hits
    return counts, right


@pytest.mark.slow
def test_swapping_speakers_keeps_the_level_and_swapping_utterances_does_not() -> None:
    rng, runs, rejected = np.random.default_rng(0), 400, {"speakers": 0, "utterances": 0}
    for run in range(runs):
        counts, right = _two_models(rng, speakers=8, better=0)
        rejected["speakers"] += swap_test(counts[:, 0], counts[:, 1]).p_value <= 0.05
        if run % 4 == 0:
            hits = np.moveaxis(right, 1, 0).reshape(2, -1)  # (model, utterance), each utterance a speaker
            single = np.stack([hits, ~hits], axis=-1)[..., None, :] * np.array([[1], [0]])
            rejected["utterances"] += 4 * (swap_test(*single, swaps=99).p_value <= 0.05)
    assert rejected["speakers"] / runs == pytest.approx(0.05, abs=0.033)  # three standard errors of 400 runs
    assert rejected["utterances"] / runs > 0.12


def test_drawn_swaps_keep_the_level() -> None:
    rng, runs = np.random.default_rng(1), 400
    p = [swap_test(*np.swapaxes(_two_models(rng, 24, 0)[0], 0, 1), swaps=199).p_value for _ in range(runs)]
    for level in (0.05, 0.2, 0.5):
        expected = 3 * np.sqrt(level * (1 - level) / runs)
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=expected)


def test_power_grows_with_difference_and_speakers() -> None:
    rng = np.random.default_rng(2)

    def power(speakers: int, better: float) -> float:
        draws = (np.swapaxes(_two_models(rng, speakers, better)[0], 0, 1) for _ in range(100))
        return float(np.mean([swap_test(one, other, swaps=199).p_value <= 0.05 for one, other in draws]))

    assert power(24, 0.5) > power(8, 0.5) + 0.2  # 9 points of UAR
    assert power(8, 2.0) > 0.95  # 33 points


@pytest.mark.parametrize("speakers", [4, 10, 24])
def test_intervals_cover_the_difference(speakers: int) -> None:
    """Nominally 95 %, less three standard errors of 500 runs."""
    rng, runs = np.random.default_rng(speakers), 500
    many = _two_models(rng, 100_000, better=0.5, clips=1)[0].sum(axis=0)
    truth = metrics.uar(many[0]) - metrics.uar(many[1])

    def difference(counts: np.ndarray) -> np.ndarray:
        return metrics.uar(counts[..., 0, :, :]) - metrics.uar(counts[..., 1, :, :])

    covered = 0
    for seed in range(runs):
        counts, _ = _two_models(rng, speakers, better=0.5)
        interval = speaker_interval(counts, difference, resamples=400, seed=seed, bounds=(-1, 1))
        covered += interval.low <= truth <= interval.high
    assert 0.92 <= covered / runs <= 0.99


def test_holm_equals_statsmodels() -> None:
    multipletests = pytest.importorskip("statsmodels.stats.multitest").multipletests
    rng = np.random.default_rng(0)
    for m in (1, 2, 5, 40):
        p = rng.beta(0.5, 3, size=m).round(2)  # rounded: with ties
        np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_holm_of_four_p_values() -> None:
    adjusted = holm(np.array([0.04, 0.01, 0.03, 0.005]))
    np.testing.assert_allclose(adjusted, [0.06, 0.03, 0.06, 0.02])  # 0.04 * 1 rises to 0.03 * 2
    np.testing.assert_array_equal(holm(np.array([0.6, 0.7])), [1, 1])
    assert holm(np.array([])).shape == (0,)


@pytest.mark.parametrize("p", [[0.1, np.nan], [1.1], [-0.1], [[0.1]]])
def test_invalid_p_values_are_refused(p) -> None:
    with pytest.raises(ValueError, match=r"p must be a \(comparison,\) array of values in \[0, 1\]"):
        holm(np.array(p))


DEMSAR = pd.DataFrame(  # Table 6: AUC on 14 data sets; where the paper breaks a tie of rounded values, 0.0001 does
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)


def test_demsars_worked_example() -> None:
    found = critical_difference(DEMSAR)
    expected = {"C4.5+m+cf": 1.964, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5": 3.143}
    assert list(found.ranks) == list(expected)
    assert found.ranks == pytest.approx(expected, abs=0.0005)
    assert found.difference == pytest.approx(1.25, abs=0.005)
    squares = sum(rank**2 for rank in found.ranks.values())
    assert 12 * 14 / (4 * 5) * (squares - 4 * 5**2 / 4) == pytest.approx(9.28, abs=0.005)  # the paper's, ties aside
    assert found.statistic > 9.28  # the correction for ties raises it
    assert found.cliques == (("C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"),)  # "not powerful enough" at 0.05


def test_demsars_example_at_ten_percent_has_two_cliques() -> None:
    """Figure 1(a): C4.5 is worse than C4.5+m and C4.5+m+cf; nothing can be said of C4.5+cf."""
    found = critical_difference(DEMSAR, alpha=0.10)
    assert found.difference == pytest.approx(1.12, abs=0.005)
    assert found.cliques == (("C4.5+m+cf", "C4.5+m", "C4.5+cf"), ("C4.5+cf", "C4.5"))


def test_friedman_test_equals_scipy() -> None:
    scores = pd.DataFrame(np.random.default_rng(0).random((12, 5)).round(1))
    found = critical_difference(scores)
    expected = friedmanchisquare(*scores.to_numpy().T)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))
    assert sum(found.ranks.values()) == pytest.approx(5 * 6 / 2)
    assert (found.blocks, found.alpha) == (12, 0.05)


def test_equal_models_are_one_clique_and_distant_models_none() -> None:
    alike = critical_difference(pd.DataFrame(np.ones((5, 3)), columns=list("abc")))
    assert (alike.statistic, alike.p_value, alike.cliques) == (0, 1, (("a", "b", "c"),))
    apart = critical_difference(pd.DataFrame(np.tile([0.1, 0.9, 0.5], (40, 1)), columns=list("abc")))
    assert list(apart.ranks) == ["b", "c", "a"]
    assert apart.cliques == ()
    assert apart.p_value < 1e-6


@pytest.mark.parametrize(
    ("scores", "alpha", "message"),
    [
        (np.ones((5, 2)), 0.05, r"at least 2 blocks and 3 models; got \(5, 2\). Use `paired`"),
        (np.ones((1, 3)), 0.05, "scores must have at least 2 blocks"),
        (np.array([[1, 2, 3], [1, np.nan, 3]]), 0.05, "scores must have no missing values"),
        (np.ones((5, 3)), 5, "alpha must be between 0 and 1; got 5"),
    ],
)
def test_scores_without_a_ranking_are_refused(scores, alpha, message) -> None:
    with pytest.raises(ValueError, match=message):
        critical_difference(pd.DataFrame(scores), alpha)
