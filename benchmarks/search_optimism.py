"""How much too good a result looks whose settings were chosen on speakers who also test: a simulation.

    python benchmarks/search_optimism.py                     2000 simulated searches of 50 trials per row: some seconds
    python benchmarks/search_optimism.py 20 2000             searches of 20 trials

The settings of a trial have a true UAR, over the whole population of speakers, which differs between trials by `SETTINGS`
points, and each speaker likes some settings better than others, by `SPEAKERS` points (standard deviations). A fold's model
adds `TRAINING` points. Each speaker tests once; the dev speakers of a fold are the test speakers of the next, as in
``protocol=speaker_cv`` and ``loso``. A search on all folds takes the trial with the highest mean dev score of the folds; a
nested search takes the best trial of each fold by that fold's dev speakers. Optimism is the pooled score of the test speakers
minus the true UAR of what was chosen; gain is that true UAR minus the mean of all trials.
"""

import sys
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

SETTINGS, SPEAKERS, TRAINING = 1.4, 4.2, 1.0
"""Standard deviations in points of UAR."""
CORPORA = {4: 4, 24: 5, 91: 5}
"""Folds by number of speakers: those of SAVEE, RAVDESS and CREMA-D."""


class Found(NamedTuple):
    """Points of UAR, the mean over searches."""

    optimism: float
    error: float
    gain: float


def simulated(speakers: int, folds: int, trials: int, searches: int) -> dict[str, Found]:
    """Return what each kind of search finds."""
    rng = np.random.default_rng([speakers, trials])
    fold_of = np.arange(speakers) % folds
    members = np.stack([fold_of == fold for fold in range(folds)]) / np.bincount(fold_of)[:, None]  # (fold, speaker)
    share = np.bincount(fold_of) / speakers
    found: dict[str, list[tuple[float, float]]] = {"all folds": [], "nested": []}
    for _ in range(searches):
        true = SETTINGS * rng.normal(size=trials)
        speaker = true[:, None] + SPEAKERS * rng.normal(size=(trials, speakers))
        test, dev = speaker @ members.T + TRAINING * rng.normal(size=(2, trials, folds)) / np.sqrt(speakers / folds)
        dev = np.roll(dev, -1, axis=1)  # the dev speakers of a fold are the test speakers of the next
        one = np.full(folds, dev.mean(axis=1).argmax())
        for name, chosen in (("all folds", one), ("nested", dev.argmax(axis=0))):
            honest = float(true[chosen] @ share)
            found[name].append((float(test[chosen, np.arange(folds)] @ share) - honest, honest - float(true.mean())))
    return {name: _mean(np.array(pairs)) for name, pairs in found.items()}


def _mean(pairs: np.ndarray) -> Found:
    """Return the mean of optimism and gain, ``(search, 2)``."""
    optimism, gain = pairs.mean(axis=0)
    return Found(float(optimism), float(pairs[:, 0].std(ddof=1) / np.sqrt(len(pairs))), float(gain))


def main() -> None:
    """Simulate the searches and print the table."""
    trials, searches = (int(sys.argv[at]) if len(sys.argv) > at else usual for at, usual in ((1, 50), (2, 2000)))
    table = Table(
        "speakers", "folds", "search", "optimism", "gain", title=f"Points of UAR, searches of {trials} trials"
    )
    worst = 0.0
    for speakers, folds in CORPORA.items():
        for name, found in simulated(speakers, folds, trials, searches).items():
            table.add_row(str(speakers), str(folds), name, f"{found.optimism:+.1f}", f"{found.gain:+.1f}")
            worst = max(worst, found.error)
    console = Console()
    console.print(table)
    console.print(f"{searches} searches a row; the standard error of an optimism is {worst:.2f} at most.")


if __name__ == "__main__":
    main()
