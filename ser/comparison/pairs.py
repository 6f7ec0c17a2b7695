"""The paired tests of a section: which systems are tested against each other, and how."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.comparison.rows import Equality, Group, Opinion, Pair
from ser.evaluation import predictions
from ser.evaluation.comparison import Paired, holm, paired
from ser.evaluation.crossed import second_opinion
from ser.evaluation.equivalence import equivalence
from ser.evaluation.measure import measure_of

Tables = dict[str, list[pd.DataFrame]]
"""By system: a predictions table a seed."""


def pairs_of(group: Group, tables: Tables, baseline: str, margin: float | None = None) -> tuple[Pair, ...]:
    """Test the best against every other system, and every other system against the baseline; Holm over all of them.

    Args:
        group: Its rows, the best first.
        tables: Of its systems.
        baseline: One of its systems.
        margin: Of the main score, within which the systems are tested for being equal, too.
    """
    best, *rest = [row.system for row in group.rows]
    sides = [(best, other) for other in rest]
    sides += [(one, baseline) for one in rest if one != baseline and best != baseline]
    tests = [paired(tables[one], tables[other]) for one, other in sides]
    equalities: list[Equality | None] = [None] * len(sides)
    if margin is not None:
        given = [
            _equal(test, tables[one], tables[other], margin) for test, (one, other) in zip(tests, sides, strict=True)
        ]
        equalities = [Equality(margin, p, holm_p) for p, holm_p in zip(given, _corrected(given), strict=True)]
    seconds = [second_opinion(tables[one], tables[other]) for one, other in sides]
    with_sentences = _corrected([second.p_value for second in seconds])
    opinions = [Opinion(second.p_value, p, second.why) for second, p in zip(seconds, with_sentences, strict=True)]
    corrected = holm(np.array([test.p_value for test in tests]))
    return tuple(
        Pair(
            one,
            other,
            test.difference,
            test.interval.low,
            test.interval.high,
            test.p_value,
            float(p),
            test.caution,
            test.of_methods,
            group.measure,
            equality,
            opinion,
        )
        for (one, other), test, p, equality, opinion in zip(sides, tests, corrected, equalities, opinions, strict=True)
    )


def _equal(test: Paired, one: Sequence[pd.DataFrame], other: Sequence[pd.DataFrame], margin: float) -> float | None:
    """Return the p-value of a test for equality, with the variance of a paired test; ``None`` where that cannot conclude."""
    if test.caution:
        return None
    names, measure = predictions.classes(one[0]), measure_of(one[0])
    first, second = (np.stack([measure.by_speaker(table, names)[1] for table in side]) for side in (one, other))
    return equivalence(first, second, margin, measure.statistic, bounds=measure.bounds)


def _corrected(values: Sequence[float | None]) -> list[float | None]:
    """Correct p-values for multiple comparisons where there are any."""
    left = iter(holm(np.array([value for value in values if value is not None])).tolist())
    return [None if value is None else next(left) for value in values]
