"""The bootstrap over speakers: closed forms, a naive loop, coverage."""

import time

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from ser import metrics
from ser.evaluation.intervals import bootstrap, confusion_by_speaker, draw_speakers, resampled


def _utterances(rng: np.random.Generator, speakers: int, per_class: int = 5, n_classes: int = 4):
    """Targets, predictions and speakers, where each speaker has a recall of their own: Beta(4, 2), mean 2/3."""
    target = np.tile(np.repeat(np.arange(n_classes), per_class), speakers)
    speaker = np.repeat(np.arange(speakers), n_classes * per_class).astype(str)
    right = rng.random(len(target)) < np.repeat(rng.beta(4, 2, size=speakers), n_classes * per_class)
    wrong = (target + rng.integers(1, n_classes, size=len(target))) % n_classes
    return target, np.where(right, target, wrong), speaker


def test_speakers_who_are_all_alike_leave_no_doubt() -> None:
    alike = np.tile(np.array([[3, 1], [2, 2]]), (12, 1, 1))
    interval = bootstrap(alike)
    assert (interval.low, interval.high, interval.caution) == (0.625, 0.625, None)


def test_of_two_speakers_a_quarter_of_the_resamples_has_only_the_better() -> None:
    values = resampled(np.array([[[4, 0], [0, 4]], [[0, 4], [4, 0]]]), resamples=20_000)
    assert set(values) == {0.0, 0.5, 1.0}
    assert np.mean(values == 1.0) == pytest.approx(0.25, abs=0.01)


def test_the_resamples_spread_as_the_standard_error_of_a_mean() -> None:
    """With equally many utterances of each class per speaker, UAR is the mean of the speakers' UARs."""
    target, predicted, speaker = _utterances(np.random.default_rng(3), speakers=40)
    _, counts = confusion_by_speaker(target, predicted, speaker, 4)
    expected = metrics.uar(counts).std() / np.sqrt(40)
    assert resampled(counts, resamples=20_000).std() == pytest.approx(expected, rel=0.02)


def test_the_vectorised_bootstrap_is_the_naive_loop() -> None:
    target, predicted, speaker = _utterances(np.random.default_rng(5), speakers=7)
    keep = np.random.default_rng(6).random(len(target)) < 0.6  # speakers of unequal sizes
    target, predicted, speaker = target[keep], predicted[keep], speaker[keep]
    names, counts = confusion_by_speaker(target, predicted, speaker, 4)
    rows_of = [np.flatnonzero(speaker == name) for name in names]
    naive = {metrics.uar: balanced_accuracy_score, metrics.macro_f1: lambda t, p: f1_score(t, p, average="macro")}
    for statistic, reference in naive.items():
        loop = []
        for drawn in draw_speakers(len(names), 50, seed=9):
            rows = np.concatenate([rows_of[s] for s in drawn])
            loop.append(reference(target[rows], predicted[rows]))
        np.testing.assert_allclose(resampled(counts, statistic, resamples=50, seed=9), loop)


def test_resampling_speakers_covers_the_truth_where_resampling_utterances_does_not() -> None:
    rng = np.random.default_rng(11)
    runs, speakers, truth = 200, 20, 2 / 3
    covered = dict.fromkeys(("speakers", "speakers, expanded", "utterances"), 0)
    for _ in range(runs):
        target, predicted, speaker = _utterances(rng, speakers)
        _, by_speaker = confusion_by_speaker(target, predicted, speaker, 4)
        _, by_utterance = confusion_by_speaker(target, predicted, np.arange(len(target)).astype(str), 4)
        intervals = {
            "speakers": bootstrap(by_speaker, resamples=400),
            "speakers, expanded": bootstrap(by_speaker, resamples=400, method="expanded"),
            "utterances": bootstrap(by_utterance, resamples=400),
        }
        for name, interval in intervals.items():
            covered[name] += interval.low <= truth <= interval.high
    share = {name: count / runs for name, count in covered.items()}
    assert 0.88 <= share["speakers"] <= 0.98
    assert share["speakers"] <= share["speakers, expanded"] <= 0.99
    assert share["utterances"] < 0.80


def test_the_expanded_interval_contains_the_percentile_interval_and_tends_to_it() -> None:
    def width_ratio(speakers: int) -> float:
        _, counts = confusion_by_speaker(*_utterances(np.random.default_rng(2), speakers), 4)
        plain, expanded = (bootstrap(counts, resamples=4000, method=m) for m in ("percentile", "expanded"))
        assert expanded.low <= plain.low <= plain.high <= expanded.high
        return (expanded.high - expanded.low) / (plain.high - plain.low)

    assert width_ratio(10) > 1.1
    assert width_ratio(300) < 1.02


def test_the_caution_fits_the_number_of_speakers() -> None:
    _, counts = confusion_by_speaker(*_utterances(np.random.default_rng(0), 10), 4)
    assert bootstrap(counts).caution is None
    assert bootstrap(counts[:4]).caution == "4 speakers are too few: the interval is indicative"
    alone = bootstrap(counts[:1])
    assert alone.low is None
    assert alone.high is None
    assert alone.caution is not None
    assert alone.caution.startswith("1 speaker: no interval")


def test_the_same_seed_gives_the_same_interval_whatever_the_order_of_the_rows() -> None:
    target, predicted, speaker = _utterances(np.random.default_rng(1), speakers=12)
    shuffled = np.random.default_rng(2).permutation(len(target))
    _, counts = confusion_by_speaker(target, predicted, speaker, 4)
    _, again = confusion_by_speaker(target[shuffled], predicted[shuffled], speaker[shuffled], 4)
    assert bootstrap(counts, seed=3) == bootstrap(again, seed=3)
    assert bootstrap(counts, seed=3) != bootstrap(counts, seed=4)


def test_two_thousand_resamples_of_ninety_speakers_take_milliseconds() -> None:
    _, counts = confusion_by_speaker(*_utterances(np.random.default_rng(1), speakers=91, n_classes=6), 6)
    bootstrap(counts)
    start = time.perf_counter()
    bootstrap(counts, resamples=2000)
    assert time.perf_counter() - start < 0.5  # takes about 0.01; the rest is for a busy machine


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 95}, "level lies between 0 and 1, not 95"),
        ({"method": "bca"}, "method is one of percentile, expanded, not 'bca'"),
        ({"resamples": 0}, "resamples is 1 or more, not 0"),
    ],
)
def test_an_argument_outside_its_range_is_named(arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap(np.ones((3, 2, 2), dtype=int), **arguments)


def test_no_speaker_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"1 speaker or more, not \(0, 2, 2\)"):
        bootstrap(np.zeros((0, 2, 2)))
