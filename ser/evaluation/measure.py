"""The scores of a kind of model: of classes, by UAR, or of numbers, by CCC. Everything that ranks or tests asks here."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ser.errors import RunError
from ser.evaluation import agreement, metrics
from ser.evaluation.intervals import Bounds, Statistic

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)  # two constants, each equal to itself only
class Measure:
    """How predictions are scored.

    Attributes:
        names: Every score in words by its key, which is that of files. The first is the main one; higher is better.
        scores: Every score by its key; each takes sums over speakers.
        bounds: Lowest and highest value of the main score.
        numeric: Whether it is of numbers instead of classes.
    """

    names: Mapping[str, str]
    scores: Mapping[str, Statistic]
    bounds: tuple[float, float]
    numeric: bool

    @property
    def key(self) -> str:
        """The key of the main score."""
        return next(iter(self.names))

    @property
    def name(self) -> str:
        """The main score in words."""
        return self.names[self.key]

    @property
    def statistic(self) -> Statistic:
        """The main score."""
        return self.scores[self.key]

    @property
    def dev(self) -> str:
        """The main score of the dev speakers, by which an epoch is chosen."""
        return f"dev_{self.key}"

    def bounds_of(self, key: str) -> Bounds:
        """Return the lowest and highest value of a score: RMSE alone has others than the main one."""
        return (0.0, math.inf) if key == "rmse" else self.bounds

    def by_speaker(self, table: "pd.DataFrame", names: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the speakers of a predictions table, sorted, and what the scores take, ``(speaker, ...)``."""
        from ser.evaluation import predictions  # late: it imports pandas, which a terminal's text does without

        sums = predictions.moments_by_speaker if self.numeric else predictions.confusion_by_speaker
        return sums(table, names)

    def main(self, table: "pd.DataFrame") -> float:
        """Return the main score of a predictions table."""
        return float(self.statistic(self.by_speaker(table)[1].sum(axis=0)))

    def pooled(self, sums: np.ndarray) -> dict[str, float]:
        """Return every score of all speakers together."""
        return {key: float(score(sums)) for key, score in self.scores.items()}


CLASSES = Measure(
    {"uar": "UAR", "accuracy": "accuracy", "macro_f1": "macro F1"},
    {"uar": metrics.uar, "accuracy": metrics.accuracy, "macro_f1": metrics.macro_f1},
    (0.0, 1.0),
    numeric=False,
)
NUMBERS = Measure(
    {"ccc": "CCC", "pearson": "Pearson's r", "rmse": "RMSE"},
    {"ccc": agreement.ccc, "pearson": agreement.pearson, "rmse": agreement.rmse},
    (-1.0, 1.0),
    numeric=True,
)
MEASURES = (CLASSES, NUMBERS)


def measure_of(table: "pd.DataFrame") -> Measure:
    """Return how a predictions table is scored."""
    from ser.evaluation import predictions

    return NUMBERS if predictions.is_numeric(table) else CLASSES


def refuse_numbers(facts: Container[str], what: str) -> None:
    """Raise for a run of numbers, where something is defined for classes only.

    Raises:
        RunError: With what it is.
    """
    if measure_in(facts).numeric:
        raise RunError(
            f"{what} must be of a run that predicts classes; got one of numbers. Choose other labels or runs."
        )


def measure_in(facts: Container[str]) -> Measure:
    """Return the measure that a summary, a history or the facts about a run are of: the one whose score they have.

    Example:
        >>> measure_in({"ccc": 0.6}).name, measure_in({"dev_uar": 0.6}).name
        ('CCC', 'UAR')
    """
    return NUMBERS if NUMBERS.key in facts or NUMBERS.dev in facts else CLASSES
