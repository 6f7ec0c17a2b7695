"""`Adaptation`: score a speaker-adapted run that is adapted to some of each test speaker's clips.

Adaptation uses the mean and deviation of the features, never a label (`ser.features.normalise.Normalise`).
All clips of a speaker are scored every time, those of the adaptation too: in use, recordings also serve for both, and every
point of the curve is of the same utterances.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track
from rich.table import Table
from typing_extensions import override

from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.inference.score import predict_probabilities
from ser.models.classifier import SpeechClassifier
from ser.rescoring.adaptation import report
from ser.rescoring.adaptation.adapted import AdaptedSuite, is_whole
from ser.rescoring.adaptation.results import ALL, measure_adaptation
from ser.runs.folder import RunFolder


class Adaptation(AdaptedSuite):
    """The curve of UAR over the number of adaptation clips.

    The adaptation clips are drawn at random (see `first`), the same for every model; along the curve each draw adds to its
    clips.
    No clip (k = 0) and all clips (k = all) are always scored, once, as nothing is drawn.

    Args:
        ks: Numbers of adaptation clips for each test speaker; of a speaker with fewer, all are used.
        draws: Number of draws for each of ``ks``.
        seed: Seed of the draws.

    Raises:
        ConfigError: If one of them is not an integer in its range.
    """

    def __init__(self, ks: Sequence[int], draws: int, seed: int) -> None:
        if not isinstance(ks, list | tuple) or not all(is_whole(k, 1) for k in ks):
            raise ConfigError(
                f"suite.ks must be a list of integers of at least 1; got {ks!r}. 0 and all are always scored."
            )
        if not is_whole(draws, 1):
            raise ConfigError(f"suite.draws must be an integer of at least 1; got {draws!r}. Give a number such as 10.")
        if not is_whole(seed, 0):
            raise ConfigError(f"suite.seed must be an integer of at least 0; got {seed!r}. Give a number such as 0.")
        self.ks, self.draws, self.seed = sorted(set(ks)), draws, seed
        self.name, self.settings = "adaptation", {"ks": self.ks, "draws": draws, "seed": seed}

    @override
    def measure(self, table: pd.DataFrame) -> dict[str, Any]:
        return measure_adaptation(table)

    @override
    def report(self, measured: Mapping[str, Any], path: Path, title: str, stamps: tuple[str, ...]) -> Table:
        report.curve(measured, path, title, stamps=stamps)
        return report.curve_table(measured, title, stamps)

    def score_fold(
        self, model: SpeechClassifier, data: SpeechData, same: pd.DataFrame, fold: RunFolder
    ) -> pd.DataFrame:
        """Score a fold's test speakers adapted to ``k`` of their clips, for each ``k`` in ``ks``.

        Returns:
            The predictions tables, concatenated, with the further columns ``k`` (``0``, ``1``, ... ``all``) and ``draw``.
        """
        rows = data.split.test
        speaker = data.labelled.manifest["speaker"].to_numpy(dtype=str)[rows]
        steps = [(0, 0), *((k, draw) for k in self.ks for draw in range(self.draws))]
        tables = []
        for k, draw in track(steps, f"Fold {data.fold}, {self.name}", transient=True):
            clips = rows[first(speaker, k, np.random.default_rng([self.seed, data.fold, draw]))]
            scored = predict_probabilities(model, data, rows, known=clips)
            tables.append(predictions.with_probabilities(same, scored).assign(k=str(k), draw=draw))
        return pd.concat([*tables, same.assign(k=ALL, draw=0)], ignore_index=True)


def first(speaker: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """Return the positions of ``k`` random clips of every speaker, or of all where there are fewer.

    Shapes:
        - speaker: ``(clip,)`` names
        - returns: ``(adaptation clip,)``; the same random state with a larger ``k`` gives these clips and more

    Example:
        >>> found = first(np.array(["b", "a", "a", "b", "a"]), 2, np.random.default_rng(0))
        >>> sorted(np.array(["b", "a", "a", "b", "a"])[found].tolist())
        ['a', 'a', 'b', 'b']
    """
    order = random.permutation(len(speaker))
    place = pd.Series(speaker[order]).groupby(speaker[order]).cumcount().to_numpy()
    return order[place < k]
