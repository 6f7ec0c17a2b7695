"""The smallest difference between two methods that a protocol can see, simulated from the predictions of runs at hand.

The test is the t-test over speakers and seeds of `ser.evaluation.comparison.method_difference`. Each simulated comparison
draws folds of the runs at hand, speakers of these folds, and for each side, seed and fold one of the trainings at hand; so
speakers of a fold share a training, as they will. The draws are of pseudo-values, whose mean over speakers is the score:
Efron and Stein, 1981, https://doi.org/10.1214/aos/1176345462.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ser.comparison.systems import Pooled, find, join_folds
from ser.errors import ConfigError
from ser.evaluation.comparison import SIGNIFICANT
from ser.evaluation.intervals import leave_one_out
from ser.evaluation.measure import Measure, measure_of
from ser.report.format import percent, writer
from ser.runtime.words import counted

SIMULATIONS = 2000


class Protocol(NamedTuple):
    """What is planned: test speakers over all folds, folds, and trainings of each side."""

    speakers: int
    folds: int
    seeds: int


class Trainings(NamedTuple):
    """The trainings of one system at hand: ``(seed, speaker)`` pseudo-values, and the fold that tests each speaker."""

    pseudo: np.ndarray
    fold: np.ndarray
    measure: Measure


def plan(folders: Sequence[Path], speakers: int | None, folds: int | None, seeds: int, power: float) -> str:
    """Return, in a few sentences, the smallest difference that a protocol sees.

    Args:
        folders: Of runs of one system, of two seeds or more.
        speakers: Test speakers of all folds together; ``None``: as in the runs.
        folds: ``None``: as in the runs.
        seeds: Trainings of each side.
        power: Share of comparisons in which the difference is to be found.

    Raises:
        ConfigError: If a setting is out of range, or the runs are not two seeds or more of one system.
    """
    runs, _ = join_folds(find(folders)[0])
    at_hand = trainings_of(runs)
    known = len(np.unique(at_hand.fold))
    protocol = Protocol(speakers or at_hand.pseudo.shape[1], folds or known, seeds)
    smallest = smallest_difference(at_hand, protocol, power)
    write, name = writer(at_hand.measure), at_hand.measure.name
    planned = (
        f"{counted(protocol.speakers, 'test speaker')}, {counted(protocol.folds, 'fold')} and {seeds} seeds a side"
    )
    hand = f"{counted(len(at_hand.pseudo), 'seed')} at hand ({counted(at_hand.pseudo.shape[1], 'speaker')})"
    found = f"a difference in {name} of {write(smallest, ' points')} is found in {percent(power)} of the comparisons"
    return f"With {planned}, {found} (p < {SIGNIFICANT}); smaller ones less often. Simulated from {hand}."


def trainings_of(runs: Sequence[Pooled]) -> Trainings:
    """Return the pseudo-values of runs of one system.

    Raises:
        ConfigError: If they are not two seeds or more of one system, on the same speakers and folds.
    """
    if len(runs) < 2 or len({(run.system, run.data, frozenset(run.splits.values())) for run in runs}) > 1:
        raise ConfigError(
            "folders must hold runs of one system with two seeds or more, on the same folds; got "
            f"{counted(len({run.system for run in runs}), 'system')} and {counted(len(runs), 'seed')} in all. "
            "Train another seed: seed=1."
        )
    measure = measure_of(runs[0].table)
    fold = runs[0].table.groupby(runs[0].table["speaker"].astype(str))["fold"].first().sort_index()
    each = [pseudo_values(run.table, measure) for run in runs]
    return Trainings(np.stack(each), fold.to_numpy(), measure)


def pseudo_values(table: pd.DataFrame, measure: Measure) -> np.ndarray:
    """Return what each speaker adds to the main score, ``(speaker,)``: the mean is the score, less the jackknife's bias."""
    _, by_speaker = measure.by_speaker(table)
    n, value = len(by_speaker), float(measure.statistic(by_speaker.sum(axis=0)))
    return np.asarray(n * value - (n - 1) * leave_one_out(by_speaker, measure.statistic))


def smallest_difference(
    at_hand: Trainings, protocol: Protocol, power: float = 0.8, simulations: int = SIMULATIONS, seed: int = 0
) -> float:
    """Return the difference between two methods that is found with this power, at a two-sided level of 0.05.

    Both sides are drawn from the same trainings, so their difference is chance; a true difference shifts it. That is found
    where it is above the t quantile times the standard error.

    Raises:
        ConfigError: If a number of the protocol, or the power, is out of range.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> from ser.evaluation.measure import CLASSES
        >>> at_hand = Trainings(0.6 + 0.1 * rng.normal(size=(3, 24)), np.arange(24) % 4, CLASSES)
        >>> few, many = (smallest_difference(at_hand, Protocol(speakers, 4, 3)) for speakers in (8, 80))
        >>> few > many
        True
    """
    _check(protocol, power)
    from scipy.stats import t  # late: scipy.stats takes half a second to import

    value, error, degrees = simulated(at_hand, protocol, simulations, np.random.default_rng(seed))
    needed = t.ppf(1 - SIGNIFICANT / 2, degrees) * error - value
    return float(np.quantile(needed, power))


def simulated(
    at_hand: Trainings, protocol: Protocol, simulations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare the system with itself: difference, standard error and degrees of freedom, ``(simulation,)`` each."""
    speakers, folds, seeds = protocol
    known = len(at_hand.pseudo)
    mean = at_hand.pseudo.mean(axis=0)
    spread = mean + (at_hand.pseudo - mean) * (known / (known - 1)) ** 0.5  # draws from so few seeds spread too little
    members = [np.flatnonzero(at_hand.fold == name) for name in np.unique(at_hand.fold)]
    size = np.array([len(each) for each in members])
    first = np.cumsum(size) - size  # of each fold, in all members one after the other
    place = np.arange(speakers) % folds  # the fold that tests each simulated speaker
    of_fold = rng.integers(len(members), size=(simulations, folds))[:, place]
    who = np.concatenate(members)[first[of_fold] + (rng.random(of_fold.shape) * size[of_fold]).astype(np.int64)]
    which = rng.integers(known, size=(simulations, 2, seeds, folds))[..., place]
    drawn = spread[which, who[:, None, None]]  # (simulation, side, seed, speaker)
    difference = drawn[:, 0].mean(axis=1) - drawn[:, 1].mean(axis=1)  # (simulation, speaker)
    of_seeds = drawn.mean(axis=-1).var(axis=-1, ddof=1) / seeds  # (simulation, side)
    variances = np.column_stack([difference.var(axis=-1, ddof=1) / speakers, of_seeds])
    total = np.maximum(variances.sum(axis=1), np.finfo(np.float64).tiny)
    freedom = np.array([speakers - 1, seeds - 1, seeds - 1])
    degrees = total**2 / np.maximum((variances**2 / freedom).sum(axis=1), np.finfo(np.float64).tiny)
    return difference.mean(axis=-1), np.sqrt(total), degrees


def _check(protocol: Protocol, power: float) -> None:
    for (name, value), least in zip(protocol._asdict().items(), (2, 1, 2), strict=True):
        if value < least:
            more = " With one seed, no test is of methods." if name == "seeds" else ""
            raise ConfigError(f"{name} must be at least {least}; got {value}.{more} Choose more.")
    if not 0 < power < 1:
        raise ConfigError(f"power must be between 0 and 1; got {power}. The usual one is 0.8.")
