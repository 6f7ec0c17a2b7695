"""A difference that allows for sentences: statsmodels' clustered covariances, closed forms, simulated levels."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from benchmarks.interval_coverage import SAID, spoken
from ser.evaluation.comparison import method_difference
from ser.evaluation.crossed import ENOUGH_SENTENCES, crossed_difference, second_opinion
from ser.evaluation.seeds import over_speakers_and_seeds

CLASSES = ("angry", "neutral", "sad")


def _named(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Class, speaker and sentence of the clips of ``(speaker, sentence, class)``."""
    speaker, sentence, target = (place.ravel() for place in np.indices(shape))
    return [target, speaker, sentence]


def _counts(right: np.ndarray) -> np.ndarray:
    """Right and wrong answers of each speaker to each class: ``(method, seed, speaker, class, 2)``."""
    return np.stack([right.sum(axis=3), (1 - right).sum(axis=3)], axis=-1)


def _recall(counts: np.ndarray) -> np.ndarray:
    return np.asarray((counts[..., 0] / counts.sum(axis=-1)).mean(axis=-1))


@pytest.mark.slow
def test_variance_is_that_of_a_linear_model_with_two_ways_of_clusters() -> None:
    api = pytest.importorskip("statsmodels.api")
    cov_cluster = pytest.importorskip("statsmodels.stats.sandwich_covariance").cov_cluster
    rng = np.random.default_rng(0)
    right = spoken(rng, speakers=10, seeds=1, by_sentence=1.0).reshape(2, -1)
    kept = rng.random(right.shape[1]) < 0.7  # unequal numbers of clips
    right, names = right[:, kept], [name[kept] for name in _named((10, 12, 6))]
    found = crossed_difference(*(side[None].repeat(2, axis=0) for side in right), *names)  # equal seeds: none of theirs
    cell = np.tile(names[0], 2) + 6 * np.repeat([0, 1], kept.sum())
    fitted = api.OLS(right.ravel(), np.eye(12)[cell]).fit()
    contrast = np.repeat([1 / 6, -1 / 6], 6)  # UAR less UAR
    of_pairs = [np.tile(names[1], 2), np.tile(names[2], 2), np.tile(12 * names[1] + names[2], 2)]
    each = []
    for group in of_pairs:
        size = len(np.unique(group))
        each.append(size / (size - 1) * contrast @ cov_cluster(fitted, group, use_correction=False) @ contrast)
    assert found.value == pytest.approx(contrast @ fitted.params)
    assert found.error**2 == pytest.approx(each[0] + each[1] - each[2])
    assert each[0] + each[1] - each[2] > max(each[:2])


def test_seeds_add_the_variance_of_their_means() -> None:
    right = spoken(np.random.default_rng(1), speakers=8, seeds=3, by_sentence=0.4).reshape(2, 3, -1)
    names = _named((8, 12, 6))
    alike = right.mean(axis=1, keepdims=True).repeat(3, axis=1)
    added = sum(side.mean(axis=-1).var(ddof=1) / 3 for side in right)  # as many clips of each class: UAR is accuracy
    with_seeds, without = (crossed_difference(*sides, *names) for sides in (right, alike))
    assert with_seeds.value == pytest.approx(without.value)
    assert with_seeds.error**2 == pytest.approx(without.error**2 + added)


def test_a_sentence_for_each_clip_leaves_the_error_over_speakers_and_seeds() -> None:
    right = spoken(np.random.default_rng(2), speakers=8, seeds=2, by_sentence=0.0)
    expected = over_speakers_and_seeds(list(_counts(right)), _recall)
    target, speaker, _ = _named((8, 12, 6))
    found = crossed_difference(*right.reshape(2, 2, -1), target, speaker, np.arange(len(target)))
    assert (found.value, found.error) == pytest.approx(expected[:2])


@pytest.mark.parametrize(("speakers", "seeds"), [(24, 2), (24, 5), (91, 2)])
def test_methods_that_differ_by_sentence_are_found_unequal_no_more_often_than_nominal(
    speakers: int, seeds: int
) -> None:
    rng, found, names = np.random.default_rng(speakers), [], _named((speakers, *SAID))
    for _ in range(100):
        right = spoken(rng, speakers, seeds, by_sentence=0.4)
        estimate = crossed_difference(*right.reshape(2, seeds, -1), *names)
        p = 2 * t.sf(abs(estimate.value) / estimate.error, estimate.degrees)
        found.append((p <= 0.05, method_difference(*_counts(right), _recall)[1] <= 0.05))
    crossed, alone = np.mean(found, axis=0)
    assert crossed <= 0.05 + 3 * (0.05 * 0.95 / 100) ** 0.5
    assert alone > crossed


def _tables(rng: np.random.Generator, skill: float, seeds: int, sentences: int = 10) -> list[pd.DataFrame]:
    """Predictions of 8 speakers who say 10 sentences in 3 classes."""
    target, speaker, sentence = _named((8, 10, 3))
    about = {
        "utterance": [f"x/{i:03}" for i in range(240)],
        "corpus": "x",
        "speaker": [f"x/{s}" for s in speaker],
        "sex": "male",
        "sentence": [f"x/{s % sentences}" for s in sentence],
        "fold": speaker // 4,
        "target": [CLASSES[k] for k in target],
    }
    tables = []
    for _ in range(seeds):
        p = np.exp(rng.normal(size=(240, 3)) + skill * np.eye(3)[target])
        shares = dict(zip((f"p_{name}" for name in CLASSES), (p / p.sum(axis=1, keepdims=True)).T, strict=True))
        tables.append(pd.DataFrame(about).assign(**shares))
    return tables


def test_order_of_rows_and_of_classes_does_not_matter_and_a_clear_difference_is_found() -> None:
    rng = np.random.default_rng(3)
    one, other = _tables(rng, 2.0, 2), _tables(rng, 0.5, 3)
    found = second_opinion(one, other)
    turned = [
        table.sample(frac=1, random_state=0)[[*table.columns[:7], "p_sad", "p_angry", "p_neutral"]] for table in other
    ]
    assert second_opinion(one, turned) == found
    assert found.why is None
    assert found.p_value is not None
    assert found.p_value < 0.01
    assert second_opinion(one, one).p_value > 0.9


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("it takes two seeds or more of both systems", lambda tables: tables[:1]),
        ("it takes the sentence of every utterance", lambda tables: [table.assign(sentence=None) for table in tables]),
        ("5 speakers are too few for it", lambda tables: [table[table["speaker"] < "x/5"] for table in tables]),
        (f"{ENOUGH_SENTENCES - 1} sentences are too few for it", None),
    ],
)
def test_where_it_is_not_valid_it_says_why(why: str, change: object) -> None:
    tables = _tables(np.random.default_rng(4), 1.0, 2, sentences=10 if change else ENOUGH_SENTENCES - 1)
    changed = change(tables) if callable(change) else tables
    assert second_opinion(changed, changed) == (None, why)


def test_numbers_have_none() -> None:
    table = pd.DataFrame({"utterance": ["x/1"], "fold": [0], "predicted_arousal": [0.5]})
    assert second_opinion([table] * 2, [table] * 2).why == "it is of classes, not of numbers"
