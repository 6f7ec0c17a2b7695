"""The bootstrap over speakers and over seeds: closed forms, a naive loop, scipy, coverage."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, binomtest, norm, t
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import balanced_accuracy_score, f1_score

from ser.evaluation import metrics
from ser.evaluation.intervals import (
    METHODS,
    alike_interval,
    leave_one_out,
    speaker_interval,
    sums_of_drawn,
)
from ser.evaluation.metrics import confusion_by_group
from ser.evaluation.seeds import seed_and_speaker_interval
from tests.work import calls


def _utterances(rng: np.random.Generator, speakers: int, per_class: int = 5, n_classes: int = 4):
    """Targets, predictions and speakers, where each speaker has a recall of their own: Beta(4, 2), mean 2/3."""
    target = np.tile(np.repeat(np.arange(n_classes), per_class), speakers)
    speaker = np.repeat(np.arange(speakers), n_classes * per_class).astype(str)
    right = rng.random(len(target)) < np.repeat(rng.beta(4, 2, size=speakers), n_classes * per_class)
    wrong = (target + rng.integers(1, n_classes, size=len(target))) % n_classes
    return target, np.where(right, target, wrong), speaker


@pytest.mark.parametrize("method", ["auto", *METHODS])
def test_identical_speakers_are_n_of_n_trials(method) -> None:
    """At a one-sided level of 0.05, which is two-sided 0.1 in scipy: at n of n there is no other side."""
    for counts, value in ((np.eye(2), 1.0), (np.array([[3, 1], [2, 2]]), 0.625), (np.array([[0, 1], [1, 0]]), 0.0)):
        interval = speaker_interval(np.tile(counts, (30, 1, 1)), method=method)
        alike = binomtest(30, 30).proportion_ci(0.90, method="exact").low
        assert (interval.low, interval.high) == pytest.approx((alike * value, alike * value + 1 - alike))
        assert (interval.method, interval.resamples, interval.caution) == ("clopper-pearson", 0, None)


def test_interval_of_alike_speakers_covers() -> None:
    """A share of 0.08 of the speakers fails: 30 that are all right are seen in 8 % of the tests, and cover it."""
    low, _ = alike_interval(1.0, 30)
    assert low < 0.92
    share = 0.05 ** (1 / 30)
    assert binom.pmf(30, 30, share) == pytest.approx(0.05)  # a smaller one would be excluded in at most 5 %
    assert low == pytest.approx(share)


def test_score_without_a_highest_value_has_no_interval_where_speakers_do_not_differ() -> None:
    interval = speaker_interval(np.tile(np.eye(2), (5, 1, 1)), bounds=(0.0, np.inf))
    assert (interval.low, interval.high) == (None, None)
    assert "no highest value" in interval.caution


def test_a_quarter_of_resamples_of_two_speakers_draws_only_the_better() -> None:
    two = np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]])
    for level, low, high in ((0.4, 0.5, 0.5), (0.6, 0.0, 1.0)):  # a quarter at 0, a half at 0.5, a quarter at 1
        interval = speaker_interval(two, method="percentile", level=level)
        assert (interval.low, interval.high) == (low, high)


def test_resamples_spread_like_the_standard_error_of_a_mean() -> None:
    """With equally many utterances of each class per speaker, UAR is the mean of the speakers' UARs."""
    target, predicted, speaker = _utterances(np.random.default_rng(3), speakers=400)
    _, counts = confusion_by_group(target, predicted, speaker, 4)
    error = metrics.uar(counts).std() / np.sqrt(400)
    interval = speaker_interval(counts, method="percentile", resamples=20_000)
    assert interval.high - interval.low == pytest.approx(2 * norm.ppf(0.975) * error, rel=0.03)


@pytest.mark.parametrize(("statistic", "name"), [(metrics.uar, "recall"), (metrics.macro_f1, "F1")])
def test_percentiles_equal_a_loop_over_drawn_speakers(statistic, name: str) -> None:
    """The draws are numpy's, one row of speakers per resample: runs scored by version 0.1 have them in metrics.json."""
    target, predicted, speaker = _utterances(np.random.default_rng(5), speakers=7)
    keep = np.random.default_rng(6).random(len(target)) < 0.6  # speakers of unequal sizes
    target, predicted, speaker = target[keep], predicted[keep], speaker[keep]
    names, counts = confusion_by_group(target, predicted, speaker, 4)
    rows_of = [np.flatnonzero(speaker == each) for each in names]
    scores = []
    for drawn in np.random.default_rng(9).integers(7, size=(200, 7)):
        rows = np.concatenate([rows_of[s] for s in drawn])
        if name == "recall":
            scores.append(balanced_accuracy_score(target[rows], predicted[rows]))
        else:
            scores.append(f1_score(target[rows], predicted[rows], average="macro"))
    interval = speaker_interval(counts, statistic, method="percentile", resamples=200, seed=9)
    assert (interval.low, interval.high) == pytest.approx(np.quantile(scores, [0.025, 0.975]), abs=1e-12)


def test_sums_of_drawn_speakers_are_exact_for_several_models() -> None:
    counts = np.random.default_rng(0).integers(100, size=(5, 2, 3, 3))
    drawn = np.random.default_rng(1).integers(5, size=(4, 6, 5))
    np.testing.assert_array_equal(sums_of_drawn(drawn, counts), counts[drawn].sum(axis=2))


@pytest.mark.slow
def test_resampling_speakers_covers_and_resampling_utterances_does_not() -> None:
    rng = np.random.default_rng(11)
    runs, speakers, truth = 200, 20, 2 / 3
    covered = dict.fromkeys(("speakers", "speakers, expanded", "utterances"), 0)
    for _ in range(runs):
        target, predicted, speaker = _utterances(rng, speakers)
        _, by_speaker = confusion_by_group(target, predicted, speaker, 4)
        _, by_utterance = confusion_by_group(target, predicted, np.arange(len(target)).astype(str), 4)
        intervals = {
            "speakers": speaker_interval(by_speaker, resamples=400, method="percentile"),
            "speakers, expanded": speaker_interval(by_speaker, resamples=400, method="expanded"),
            "utterances": speaker_interval(by_utterance, resamples=400, method="percentile"),
        }
        for name, interval in intervals.items():
            covered[name] += interval.low <= truth <= interval.high
    share = {name: count / runs for name, count in covered.items()}
    assert 0.88 <= share["speakers"] <= 0.98
    assert share["speakers"] <= share["speakers, expanded"] <= 0.99
    assert share["utterances"] < 0.80


def test_expanded_interval_contains_percentile_interval_and_converges_to_it() -> None:
    def width_ratio(speakers: int) -> float:
        _, counts = confusion_by_group(*_utterances(np.random.default_rng(2), speakers), 4)
        plain, expanded = (speaker_interval(counts, resamples=4000, method=m) for m in ("percentile", "expanded"))
        assert expanded.low <= plain.low <= plain.high <= expanded.high
        return (expanded.high - expanded.low) / (plain.high - plain.low)

    assert width_ratio(10) > 1.1
    assert width_ratio(300) < 1.02


def test_caution_states_the_number_of_speakers() -> None:
    _, counts = confusion_by_group(*_utterances(np.random.default_rng(0), 10), 4)
    assert speaker_interval(counts).caution is None
    assert speaker_interval(counts[:4]).caution == "4 speakers are too few: the interval is indicative"
    alone = speaker_interval(counts[:1])
    assert alone.low is None
    assert alone.high is None
    assert alone.caution is not None
    assert alone.caution.startswith("1 speaker: no interval")


def test_same_seed_gives_same_interval_whatever_the_row_order() -> None:
    target, predicted, speaker = _utterances(np.random.default_rng(1), speakers=12)
    shuffled = np.random.default_rng(2).permutation(len(target))
    _, counts = confusion_by_group(target, predicted, speaker, 4)
    _, again = confusion_by_group(target[shuffled], predicted[shuffled], speaker[shuffled], 4)
    assert speaker_interval(counts, seed=3, method="percentile") == speaker_interval(again, seed=3, method="percentile")
    ends = [(i.low, i.high) for i in (speaker_interval(counts, seed=s, method="percentile") for s in (3, 4))]
    assert ends[0] != ends[1]


def test_resamples_are_scored_in_batches() -> None:
    _, counts = confusion_by_group(*_utterances(np.random.default_rng(1), speakers=91, n_classes=6), 6)
    assert calls(lambda: speaker_interval(counts, method="percentile", resamples=2000)) < 2000  # 911 measured


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 95}, "level must be between 0 and 1; got 95"),
        ({"method": "normal"}, "method must be one of auto, percentile, expanded, bca, jackknife-t; got 'normal'"),
        ({"bounds": (0.6, 1.0)}, r"bounds must contain every value of the statistic, here 0.5; got \(0.6, 1.0\)"),
        ({"resamples": 0}, "resamples must be at least 1; got 0"),
    ],
)
def test_invalid_interval_arguments_are_refused(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        speaker_interval(np.ones((3, 2, 2), dtype=int), **arguments)


def test_undefined_resample_gives_no_interval() -> None:
    counts = np.tile(np.array([[3, 1], [0, 0]]), (30, 1, 1))
    counts[0] = [[3, 1], [1, 3]]  # who alone says class 1

    def recall_of_class_1(counts: np.ndarray) -> np.ndarray:
        return metrics.recall_per_class(counts)[..., 1]

    interval = speaker_interval(counts, recall_of_class_1)
    assert (interval.low, interval.high, interval.method) == (None, None, "jackknife-t")
    assert interval.caution is not None
    assert interval.caution.startswith("no interval: without one of its speakers")


def test_counts_without_speakers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1 speaker; got \(0, 2, 2\)"):
        speaker_interval(np.zeros((0, 2, 2)))


def test_leave_one_out_scores_the_others() -> None:
    _, counts = confusion_by_group(*_utterances(np.random.default_rng(4), 5), 4)
    others = [metrics.macro_f1(np.delete(counts, i, axis=0).sum(axis=0)) for i in range(5)]
    np.testing.assert_array_equal(leave_one_out(counts, metrics.macro_f1), others)


def test_jackknife_of_a_mean_is_students_interval_on_logit_scale() -> None:
    """Equally many utterances: UAR is a mean of the speakers' UARs, and their jackknife error is sd / sqrt(n)."""
    _, counts = confusion_by_group(*_utterances(np.random.default_rng(3), 7), 4)
    each = metrics.uar(counts)
    half = t.ppf(0.975, 6) * each.std(ddof=1) / np.sqrt(7) / (each.mean() * (1 - each.mean()))
    interval = speaker_interval(counts, method="jackknife-t")
    assert (interval.low, interval.high) == pytest.approx(expit(logit(each.mean()) + np.array([-half, half])))
    wide = speaker_interval(
        counts, method="jackknife-t", bounds=(-1e6, 1e6)
    )  # far from bounds the logit is a straight line
    assert (wide.low, wide.high) == pytest.approx(t.interval(0.95, 6, each.mean(), each.std(ddof=1) / np.sqrt(7)))


def test_bca_equals_scipy() -> None:
    target, predicted, speaker = _utterances(np.random.default_rng(8), speakers=9, per_class=50)
    _, counts = confusion_by_group(target, predicted, speaker, 4)
    theirs = scipy_bootstrap(
        (metrics.uar(counts),), np.mean, n_resamples=50_000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    ours = speaker_interval(counts, method="bca", resamples=50_000)
    plain = speaker_interval(counts, method="percentile", resamples=50_000)
    assert (ours.low, ours.high) == pytest.approx(
        (theirs.low, theirs.high), abs=0.004
    )  # draws differ; 4 % of the width
    assert abs(ours.low - plain.low) > 0.008  # the shift is no smaller than what is tolerated


@pytest.mark.parametrize("speakers", [2, 24, 91])
def test_auto_is_jackknife_whatever_the_number_of_speakers(speakers: int) -> None:
    _, counts = confusion_by_group(*_utterances(np.random.default_rng(0), speakers), 4)
    found = speaker_interval(counts)
    assert found == speaker_interval(counts, method="jackknife-t")
    assert (found.method, found.resamples) == ("jackknife-t", 0)


@pytest.mark.slow
@pytest.mark.parametrize("speakers", [3, 4, 10])
def test_auto_interval_of_few_speakers_covers_where_percentiles_do_not(speakers: int) -> None:
    rng, runs = np.random.default_rng(speakers), 600
    covered = {"auto": 0, "percentile": 0}
    for _ in range(runs):
        _, counts = confusion_by_group(*_utterances(rng, speakers, per_class=8), 4)
        for method in covered:
            interval = speaker_interval(counts, method=method, resamples=200)
            covered[method] += interval.low <= 2 / 3 <= interval.high
    assert covered["auto"] / runs == pytest.approx(0.95, abs=0.03)  # three standard errors of 600 runs
    assert covered["percentile"] / runs < 0.915


@pytest.mark.parametrize("method", METHODS)
def test_interval_stays_within_bounds_and_contains_the_score(method) -> None:
    for seed in range(20):
        _, counts = confusion_by_group(*_utterances(np.random.default_rng(seed), 2, per_class=2), 4)
        if np.ptp(metrics.uar(counts)) == 0:
            continue
        interval = speaker_interval(counts, method=method, resamples=400)
        assert 0 <= interval.low <= metrics.uar(counts.sum(axis=0)) <= interval.high <= 1


def test_score_that_needs_one_speaker_has_no_interval() -> None:
    alone = np.array([[[2, 1], [0, 0]], [[2, 1], [1, 1]], [[3, 0], [0, 0]]])  # the second alone says class 1

    def recall_of_class_1(counts: np.ndarray) -> np.ndarray:
        return metrics.recall_per_class(counts)[..., 1]

    interval = speaker_interval(alone, recall_of_class_1)
    assert (interval.low, interval.high) == (None, None)
    assert interval.caution is not None
    assert interval.caution.startswith("no interval: without one of its speakers")
    assert "NaN" not in json.dumps(asdict(interval))


def _trainings(rng: np.random.Generator, seeds: int, speakers: int) -> np.ndarray:
    """``(seed, speaker, class, class)``: seeds shift every speaker's recall, speakers' recalls are Beta(4, 2)."""
    share = rng.beta(4, 2, size=speakers)
    recall = expit(logit(share) + 0.3 * rng.normal(size=(seeds, 1)))
    right = rng.binomial(40, recall[..., None], size=(seeds, speakers, 2))
    counts = np.zeros((seeds, speakers, 2, 2), dtype=int)
    counts[..., [0, 1], [0, 1]], counts[..., [0, 1], [1, 0]] = right, 40 - right
    return counts


def test_crossed_resampling_equals_a_naive_loop() -> None:
    counts = _trainings(np.random.default_rng(0), seeds=3, speakers=8)
    rng, loop = np.random.default_rng(1), []
    for _ in range(5000):
        seeds, speakers = rng.integers(3, size=3), rng.integers(8, size=8)
        loop.append(np.mean([metrics.uar(counts[s][speakers].sum(axis=0)) for s in seeds]))
    ours = seed_and_speaker_interval(counts, method="percentile", resamples=20_000)
    assert (ours.low, ours.high) == pytest.approx(np.quantile(loop, [0.025, 0.975]), abs=0.01)
    alone = speaker_interval(counts.sum(axis=0), method="percentile", resamples=20_000)
    assert ours.high - ours.low > 1.05 * (alone.high - alone.low)


def test_identical_seeds_add_no_width() -> None:
    counts = np.repeat(_trainings(np.random.default_rng(0), seeds=1, speakers=8), 3, axis=0)
    alone, crossed = speaker_interval(counts[0], method="jackknife-t"), seed_and_speaker_interval(counts)
    assert (crossed.low, crossed.high) == pytest.approx((alone.low, alone.high))
    assert (alone.seeds, crossed.seeds) == (1, 3)


def test_identical_speakers_give_students_interval_over_seeds() -> None:
    counts = np.repeat(_trainings(np.random.default_rng(0), seeds=4, speakers=1), 6, axis=1)
    each = metrics.uar(counts.sum(axis=1))
    interval = seed_and_speaker_interval(counts, bounds=(-1e6, 1e6))
    assert (interval.low, interval.high) == pytest.approx(t.interval(0.95, 3, each.mean(), each.std(ddof=1) / 2))


def test_interval_over_seeds_covers_where_one_over_speakers_does_not() -> None:
    rng = np.random.default_rng(2)
    truth = expit(logit(rng.beta(4, 2, size=400_000)) + 0.3 * rng.normal(size=400_000)).mean()
    runs, covered = 400, {"both": 0, "speakers": 0}
    for _ in range(runs):
        counts = _trainings(rng, seeds=5, speakers=40)
        for name, interval in (
            ("both", seed_and_speaker_interval(counts)),
            ("speakers", speaker_interval(counts.sum(axis=0))),
        ):
            covered[name] += interval.low <= truth <= interval.high
    assert 0.92 <= covered["both"] / runs <= 0.99  # 0.95 less three standard errors; the sum of variances errs upwards
    assert covered["speakers"] / runs < 0.90  # 0.85: one that covers is above 0.917, three standard errors below 0.95


@pytest.mark.parametrize(
    ("counts", "arguments", "message"),
    [
        (np.ones((1, 4, 2, 2)), {}, r"at least 2 seeds; got \(1, 4, 2, 2\)"),
        (np.ones((4, 2, 2)), {}, r"must have shape \(seed, speaker, class, class\)"),
        (np.ones((2, 0, 2, 2)), {}, "at least 1 speaker"),
        (np.ones((2, 4, 2, 2)), {"method": "bca"}, "method must be one of auto, percentile, jackknife-t; got 'bca'"),
    ],
)
def test_invalid_seed_and_speaker_arguments_are_refused(counts, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        seed_and_speaker_interval(counts, **arguments)


def test_one_speaker_with_several_seeds_has_no_interval() -> None:
    interval = seed_and_speaker_interval(np.ones((3, 1, 2, 2)))
    assert (interval.low, interval.high, interval.seeds) == (None, None, 3)
    assert interval.caution.startswith("1 speaker: no interval")
