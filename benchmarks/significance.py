"""How often tests find a difference between a method and itself, trained with other seeds: 5 % is right.

    python benchmarks/significance.py                  100 comparisons a line: half a minute on one slow core
    python benchmarks/significance.py 1000             six minutes; quoted in docs/evaluation.md

Corpora and trainings are those of ``interval_coverage.py``: each seed trains a model for each fold, which is a little
better or worse on all speakers of that fold. Both sides are the same method, so every difference found is a false one.

Columns: the test that swaps speakers, and the interval over speakers alone, hold for one set of weights; the t-test and
its interval are over speakers and seeds (`ser.evaluation.comparison.method_difference`).

The second table is of two methods that are equally good on average over all speakers and sentences there are, but of which
one is better for some speakers, and for some sentences. Everybody says the same few sentences with every emotion. Columns:
the t-test over speakers and seeds, and the second opinion that allows for sentences, too (`ser.evaluation.crossed`).
"""

import sys
from itertools import product
from typing import NamedTuple

import numpy as np
from interval_coverage import SAID, SETTINGS, spoken, with_seeds
from rich.console import Console
from rich.table import Table
from scipy.stats import t

from ser.evaluation.comparison import method_difference, swap_test
from ser.evaluation.crossed import crossed_difference
from ser.evaluation.intervals import Interval, difference_interval

SPEAKERS, FOLDS, SEEDS = (4, 10, 24, 91), (1, 5), (1, 2, 3, 5)
SWAPS = 199
BY_SENTENCE = (0.0, 0.2, 0.4)
"""Standard deviation of what each sentence does to one method and not to the other, in logits."""


class Found(NamedTuple):
    """Shares of comparisons: where each test finds a difference, and where each interval contains 0, the true one."""

    swap: float
    t: float
    over_speakers: float
    over_both: float


def level(speakers: int, folds: int, seeds: int, comparisons: int) -> Found:
    """Compare a method with itself, again and again; the t-test and its interval are NaN with 1 seed."""
    rng, setting = np.random.default_rng([speakers, folds, seeds]), SETTINGS[1]
    found: list[Found] = []
    for _ in range(comparisons):
        counts = with_seeds(rng, speakers, 2 * seeds, setting, min(folds, speakers))
        one, other = counts[:seeds], counts[seeds:]
        means = one.mean(axis=0), other.mean(axis=0)
        swapped = swap_test(*means, swaps=SWAPS).p_value <= 0.05
        over_speakers = _holds_zero(difference_interval(*means)[1])
        both, p = method_difference(one, other) if seeds > 1 else (None, np.nan)
        tested = (p <= 0.05, _holds_zero(both)) if both else (np.nan, np.nan)
        found.append(Found(swapped, tested[0], over_speakers, tested[1]))
    return Found(*np.mean(found, axis=0))


def with_sentences(speakers: int, seeds: int, by_sentence: float, comparisons: int) -> tuple[float, float]:
    """Return how often the t-test, and the second opinion, find a difference between methods that are equally good."""
    rng, found = np.random.default_rng([speakers, seeds, int(10 * by_sentence)]), []
    speaker, sentence, target = (place.ravel() for place in np.indices((speakers, *SAID)))
    for _ in range(comparisons):
        right = spoken(rng, speakers, seeds, by_sentence)
        counts = np.stack([right.sum(axis=3), (1 - right).sum(axis=3)], axis=-1)  # (method, seed, speaker, class, 2)
        _, p = method_difference(counts[0], counts[1], recall)
        one, other = right.reshape(2, seeds, -1)
        opinion = crossed_difference(one, other, target, speaker, sentence)
        found.append((p <= 0.05, 2 * t.sf(abs(opinion.value) / opinion.error, opinion.degrees) <= 0.05))
    alone, crossed = np.mean(found, axis=0)
    return float(alone), float(crossed)


def recall(counts: np.ndarray) -> np.ndarray:
    """Return the mean recall from how many clips of each class are right and wrong, ``(..., class, 2)``."""
    return np.asarray((counts[..., 0] / counts.sum(axis=-1)).mean(axis=-1))


def _holds_zero(interval: Interval) -> bool:
    return interval.low is not None and interval.high is not None and interval.low <= 0 <= interval.high


def main() -> None:
    """Simulate, and print the table."""
    comparisons = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    columns = ("swap test", "t-test", "interval over speakers", "over speakers and seeds")
    table = Table("speakers", "folds", "seeds", *columns, title="false differences, and coverage of intervals, in %")
    for speakers, folds, seeds in product(SPEAKERS, FOLDS, SEEDS):
        shares = level(speakers, folds, seeds, comparisons)
        cells = ("-" if np.isnan(share) else f"{100 * share:.1f}" for share in shares)
        table.add_row(str(speakers), str(folds), str(seeds), *cells)
    console = Console()
    console.print(table)
    table = Table(
        "speakers", "by sentence", "seeds", "t-test", "with sentences", title="false differences with sentences, in %"
    )
    for speakers, by_sentence, seeds in product(SPEAKERS, BY_SENTENCE, (2, 5)):
        both = with_sentences(speakers, seeds, by_sentence, comparisons)
        table.add_row(str(speakers), f"{by_sentence:.1f}", str(seeds), *(f"{100 * share:.1f}" for share in both))
    console.print(table)
    error = 100 * (0.05 * 0.95 / comparisons) ** 0.5
    console.print(f"{comparisons} comparisons a line; standard error of 5 %, or of 95 %: {error:.1f} points.")


if __name__ == "__main__":
    main()
