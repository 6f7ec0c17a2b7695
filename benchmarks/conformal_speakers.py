"""How often conformal sets for 90 % hold their target on new speakers, by the number of dev speakers: a simulation.

    python benchmarks/conformal_speakers.py                   1000 simulated tests per row: some seconds

The score of a clip (how improbable its target is) is normal on the logit scale, with `BETWEEN` of the deviation within a
speaker between speakers. Dev speakers say 60 clips each; 24 other speakers test.
"""

import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from ser.evaluation import conformal

BETWEEN = 0.7
CLIPS, TEST_SPEAKERS = 60, 24
DEV_SPEAKERS = (1, 2, 3, 5, 10, 20, 40)


def probabilities(rng: np.random.Generator, speakers: int, between: float, clips: int = CLIPS) -> np.ndarray:
    """Draw the probability of the target and of another class, ``(utterance, 2)``."""
    score = between * rng.normal(size=(speakers, 1)) + rng.normal(size=(speakers, clips))
    right = 1 / (1 + np.exp(score.ravel() - 1))
    return np.stack([right, 1 - right], axis=1)


def covered(dev_speakers: int, tests: int, between: float = BETWEEN) -> float:
    """Return how often sets hold their target, the mean over tests."""
    rng = np.random.default_rng(dev_speakers)
    found = []
    for _ in range(tests):
        dev, test = (probabilities(rng, speakers, between) for speakers in (dev_speakers, TEST_SPEAKERS))
        limit = conformal.threshold(dev, np.zeros(len(dev), dtype=np.int64))
        found.append(float(conformal.sets(test, limit)[:, 0].mean()))
    return float(np.mean(found))


def main() -> None:
    """Simulate the tests and print the table."""
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    table = Table("dev speakers", "coverage", title=f"Sets for {100 * conformal.LEVEL:.0f} %, {tests} tests a row")
    for speakers in DEV_SPEAKERS:
        table.add_row(str(speakers), f"{100 * covered(speakers, tests):.1f} %")
    Console().print(table)


if __name__ == "__main__":
    main()
