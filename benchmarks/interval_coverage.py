"""Coverage and width of nominally 95 % intervals, on simulated corpora of acted emotions.

    python benchmarks/interval_coverage.py                         200 simulated tests per setting: about a minute
    python benchmarks/interval_coverage.py 1000                    five minutes; quoted in ser/evaluation/intervals.py

A test has speakers who say 30 to 60 clips each. Speakers' recalls spread as Beta(4, 2) or Beta(12, 6) (mean 0.67) or
Beta(18, 2) (mean 0.9), classes differ, and each speaker has some classes that are easier or harder. A second model,
about 5 points better, errs on many of the same clips. The true value is the score over the whole population of
speakers.
"""

import sys
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from ser.evaluation import metrics
from ser.evaluation.intervals import Interval, Method, Statistic, speaker_interval
from ser.evaluation.seeds import seed_and_speaker_interval

SPEAKERS = (2, 3, 4, 6, 10, 20, 24, 91)
SHOWN: tuple[Method, ...] = ("percentile", "expanded", "bca", "jackknife-t")
RESAMPLES = 500
CLIPS = 20
"""Maximum number of clips of one class per speaker; the mean is 4 to 8."""
POPULATION = 200_000
"""Speakers whose mean is the true value: its standard error is below 0.0005."""


class Setting(NamedTuple):
    """Spread of speakers and classes; deviations are on the logit scale."""

    alpha: float
    beta: float
    classes: int
    between_classes: float
    within_speaker: float


class Seeds(NamedTuple):
    """Spread of trainings on the logit scale: overall, and for each class."""

    overall: float
    by_class: float


SETTINGS = (Setting(4, 2, 6, 0.6, 0.5), Setting(12, 6, 8, 0.6, 0.5), Setting(18, 2, 6, 0.4, 0.4))
SEEDS = Seeds(0.1, 0.2)
"""UARs of trainings then differ by a standard deviation of 0.02 to 0.03, as those of small networks do."""
SAID, BY_SPEAKER = (12, 6), 0.3
"""Sentences and classes of `spoken`, as in CREMA-D; standard deviation of what a speaker does to one method, in logits."""


def first(counts: np.ndarray, statistic: Statistic) -> np.ndarray:
    """Return the score of the first model, ``(..., model, class, class)`` to ``(...)``."""
    return statistic(counts[..., 0, :, :])


STATISTICS: dict[str, Statistic] = {
    "UAR": lambda counts: first(counts, metrics.uar),
    "accuracy": lambda counts: first(counts, metrics.accuracy),
    "difference": lambda counts: metrics.uar(counts[..., 1, :, :]) - metrics.uar(counts[..., 0, :, :]),
}


def recalls(rng: np.random.Generator, shape: tuple[int, ...], setting: Setting) -> np.ndarray:
    """Draw the true recalls of two models by speaker and class: ``(*shape, model, class)`` where shape ends with speakers."""
    share = np.clip(rng.beta(setting.alpha, setting.beta, (*shape, 1)), 1e-6, 1 - 1e-6)
    classes = setting.between_classes * np.linspace(-1.3, 1.3, setting.classes)
    one = np.log(share / (1 - share)) + classes
    one = one + setting.within_speaker * rng.normal(size=one.shape)
    other = one + 0.3 + 0.4 * rng.normal(size=share.shape) + 0.3 * rng.normal(size=one.shape)
    logits = np.stack([one, other], axis=-2)
    return np.asarray(1 / (1 + np.exp(-logits)))


def weights(setting: Setting) -> np.ndarray:
    """Return the share of each class in a speaker's clips; the first has half of the others', as neutral often has."""
    share = np.ones(setting.classes)
    share[0] = 0.5
    return np.asarray(share / share.sum())


def counted(rng: np.random.Generator, recall: np.ndarray, setting: Setting) -> np.ndarray:
    """Draw confusions ``(test, speaker, model, class, class)`` of ``(test, speaker, model, class)`` recalls.

    Half of the clips are equally hard for all models; a wrong clip is predicted as the next class.
    """
    tests, speakers, models, classes = recall.shape
    said = rng.poisson(rng.integers(30, 61, size=(tests, speakers, 1)) * weights(setting)).clip(1, CLIPS)
    hardness = rng.random((tests, speakers, 1, classes, CLIPS), dtype=np.float32)
    own = rng.random((tests, speakers, models, classes, CLIPS), dtype=np.float32)
    hardness = np.where(rng.random(own.shape, dtype=np.float32) < 0.5, hardness, own)
    exists = np.arange(CLIPS) < said[:, :, None, :, None]
    right = ((hardness < recall[..., None]) & exists).sum(axis=-1)
    counts = np.zeros((*recall.shape, classes))
    diagonal = np.arange(classes)
    counts[..., diagonal, diagonal] = right
    counts[..., diagonal, (diagonal + 1) % classes] = said[:, :, None, :] - right
    return counts


@cache
def truths(setting: Setting) -> dict[str, float]:
    """Return the scores over a whole population."""
    one, other = recalls(np.random.default_rng(1), (POPULATION,), setting).mean(axis=0)
    uars = float(one.mean()), float(other.mean())
    return {"UAR": uars[0], "accuracy": float(one @ weights(setting)), "difference": uars[1] - uars[0]}


def tests_of(speakers: int, setting: Setting, tests: int) -> Iterator[np.ndarray]:
    """Yield simulated tests, ``(speaker, model, class, class)`` each."""
    rng = np.random.default_rng([speakers, setting.classes, int(setting.alpha)])
    for _ in range(0, tests, 50):  # 50 at a time: bounds the memory
        yield from counted(rng, recalls(rng, (50, speakers), setting), setting)


def with_seeds(rng: np.random.Generator, speakers: int, seeds: int, setting: Setting, folds: int = 1) -> np.ndarray:
    """Draw one test of several trainings: ``(seed, speaker, class, class)``. Each seed trains a model for each fold."""
    recall = recalls(rng, (1, speakers), setting)[:, :, :1]
    shift = SEEDS.overall * rng.normal(size=(folds, seeds, 1))
    shift = shift + SEEDS.by_class * rng.normal(size=(folds, seeds, setting.classes))
    shifted = np.log(recall / (1 - recall)) + shift[np.arange(speakers) % folds]
    return np.swapaxes(counted(rng, 1 / (1 + np.exp(-shifted)), setting)[0], 0, 1)


def spoken(rng: np.random.Generator, speakers: int, seeds: int, by_sentence: float, folds: int = 5) -> np.ndarray:
    """Draw the clips that two equally good methods recognise: ``(method, seed, speaker, sentence, class)``, 1 or 0.

    Each is better for some speakers, and for some sentences; each seed trains a model for each fold.
    """
    sentences, classes = SAID
    clips = 0.7 + 0.6 * rng.normal(size=(speakers, 1, 1)) + 0.3 * rng.normal(size=(sentences, 1))
    clips = clips + 0.6 * np.linspace(-1.3, 1.3, classes) + 0.7 * rng.normal(size=(speakers, *SAID))
    methods = BY_SPEAKER * rng.normal(size=(2, 1, speakers, 1, 1)) + by_sentence * rng.normal(
        size=(2, 1, 1, sentences, 1)
    )
    trained = SEEDS.overall * rng.normal(size=(2, seeds, folds, 1, 1))
    trained = trained + SEEDS.by_class * rng.normal(size=(2, seeds, folds, 1, classes))
    logits = clips + methods + trained[:, :, np.arange(speakers) % folds]
    return np.asarray(rng.random(logits.shape) < 1 / (1 + np.exp(-logits)), dtype=np.float64)


def shown(intervals: list[tuple[Interval, float]]) -> str:
    """Format coverage and median width in percent."""
    ends = [(i.low, i.high, truth) for i, truth in intervals if i.low is not None and i.high is not None]
    covered = sum(low <= truth <= high for low, high, truth in ends) / len(intervals)
    return f"{100 * covered:.1f} ({100 * float(np.median([high - low for low, high, _ in ends])):.0f})"


def over_speakers(tests: int) -> Table:
    """Tabulate each method, score and number of speakers, all settings together."""
    table = Table("score", "speakers", *SHOWN, title="coverage (median width) in %, over speakers")
    found: dict[tuple[str, int, Method], list[tuple[Interval, float]]] = {}
    for speakers, setting in product(SPEAKERS, SETTINGS):
        truth = truths(setting)
        for seed, counts in enumerate(tests_of(speakers, setting, tests)):
            for (name, statistic), method in product(STATISTICS.items(), SHOWN):
                bounds = (-1.0, 1.0) if name.startswith("difference") else (0.0, 1.0)
                interval = speaker_interval(
                    counts, statistic, method=method, bounds=bounds, resamples=RESAMPLES, seed=seed
                )
                found.setdefault((name, speakers, method), []).append((interval, truth[name]))
    for name, speakers in product(STATISTICS, SPEAKERS):
        table.add_row(name, str(speakers), *(shown(found[name, speakers, method]) for method in SHOWN))
    return table


def over_seeds(tests: int) -> Table:
    """Tabulate several trainings: crossed resampling, the two-way jackknife, and intervals that ignore the seeds."""
    ways = ("percentile", "jackknife-t", "speakers alone")
    table = Table("seeds", "speakers", *ways, title="UAR over speakers and training seeds")
    setting = SETTINGS[1]
    rng = np.random.default_rng(5)
    recall = recalls(rng, (POPULATION,), setting)[:, 0]
    drawn = np.hypot(SEEDS.overall, SEEDS.by_class) * rng.normal(size=recall.shape)
    truth = float((1 / (1 + np.exp(-np.log(recall / (1 - recall)) - drawn))).mean())
    for seeds in (2, 3, 5):
        for speakers in (4, 10, 24, 91):
            found: dict[str, list[tuple[Interval, float]]] = {way: [] for way in ways}
            for draw in range(tests):
                counts = with_seeds(rng, speakers, seeds, setting)
                crossed = seed_and_speaker_interval(counts, method="percentile", resamples=RESAMPLES, seed=draw)
                found["percentile"].append((crossed, truth))
                found["jackknife-t"].append((seed_and_speaker_interval(counts, method="jackknife-t"), truth))
                found["speakers alone"].append((speaker_interval(counts.sum(axis=0), method="jackknife-t"), truth))
            table.add_row(str(seeds), str(speakers), *(shown(found[way]) for way in ways))
    return table


def main() -> None:
    """Simulate the tests and print the tables."""
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    error = 100 * (0.95 * 0.05 / (len(SETTINGS) * tests)) ** 0.5
    console = Console()
    console.print(over_speakers(tests))
    console.print(over_seeds(tests))
    console.print(
        f"{tests} tests per setting, {RESAMPLES} resamples; standard error of a coverage of 95 %: {error:.1f} points above, "
        f"{3**0.5 * error:.1f} below."
    )


if __name__ == "__main__":
    main()
