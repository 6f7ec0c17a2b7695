"""Score a speaker-adapted run with only some of each test speaker's clips known; write and print the curve.

What is known of a speaker is where the features lie, never a label (`ser.features.normalise.Normalise`). All clips of a
speaker are scored every time, those that are known among them: a user's own recordings are both, too, and every point of the
curve is then of the same utterances.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track
from rich.table import Table

from ser.datamodules.speech import SpeechDataModule
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.inference.score import predict_probabilities
from ser.models.classifier import SpeechClassifier
from ser.protocols.stamps import ADAPTED
from ser.rescoring.adaptation import report
from ser.rescoring.adaptation.results import ALL, measure_adaptation
from ser.rescoring.suite import Suite
from ser.runs.folder import RunFolder


class Adaptation(Suite):
    """The curve of UAR over the number of known clips.

    Which clips are known is drawn (see `first`), the same ones for every model, and along the curve each draw adds to the
    clips that it had. Nobody known, k = 0, and everything known, k = all, are always scored, once: nothing is drawn.

    Args:
        ks: How many clips of each test speaker are known; of a speaker who has fewer, all.
        draws: How many for each of ``ks``.
        seed: Of the draws.

    Raises:
        ConfigError: If one of them is not a whole number in its range.
    """

    def __init__(self, ks: Sequence[int], draws: int, seed: int) -> None:
        if not isinstance(ks, list | tuple) or not all(_is_whole(k, 1) for k in ks):
            raise ConfigError(f"suite.ks are numbers of clips, 1 or more (0 and all are always scored), not {ks!r}.")
        if not _is_whole(draws, 1):
            raise ConfigError(f"suite.draws is a whole number, 1 or more, not {draws!r}.")
        if not _is_whole(seed, 0):
            raise ConfigError(f"suite.seed is a whole number, 0 or more, not {seed!r}.")
        self.ks, self.draws, self.seed = sorted(set(ks)), draws, seed
        self.name, self.settings = "adaptation", {"ks": self.ks, "draws": draws, "seed": seed}

    def run(self, folder: Path, corpora: str, stores: str) -> None:
        """See `ser.rescoring.suite.Suite`; a run whose model does not normalise by speaker is refused."""
        if ADAPTED not in RunFolder(folder).about["stamps"]:
            raise ConfigError(
                f"{folder} does not normalise by speaker, so it has nothing to learn from a speaker's clips. "
                "Train it with normalise=speaker."
            )
        super().run(folder, corpora, stores)

    def measure(self, table: pd.DataFrame) -> dict[str, Any]:
        """See `ser.rescoring.adaptation.results.measure_adaptation`."""
        return measure_adaptation(table)

    def draw(self, measured: Mapping[str, Any], path: Path, title: str, stamps: tuple[str, ...]) -> None:
        """See `ser.rescoring.adaptation.report.curve`."""
        report.curve(measured, path, title, stamps=stamps)

    def lay_out(self, measured: Mapping[str, Any], title: str, stamps: tuple[str, ...]) -> Table:
        """See `ser.rescoring.adaptation.report.curve_table`."""
        return report.curve_table(measured, title, stamps)

    def score_fold(
        self, model: SpeechClassifier, data: SpeechDataModule, same: pd.DataFrame, fold: RunFolder
    ) -> pd.DataFrame:
        """Score a fold's test speakers with ``k`` of their clips known, for each ``k`` in ``ks``; see `Suite.score_fold`.

        Returns:
            Predictions tables, one below the other, with the columns ``k`` (``0``, ``1``, ... ``all``) and ``draw`` behind.
        """
        rows = data.split.test
        speaker = data.labelled.manifest["speaker"].to_numpy(dtype=str)[rows]
        steps = [(0, 0), *((k, draw) for k in self.ks for draw in range(self.draws))]
        tables = []
        for k, draw in track(steps, f"Fold {data.fold}, {self.name}", transient=True):
            clips = rows[first(speaker, k, np.random.default_rng([self.seed, data.fold, draw]))]
            heard = predict_probabilities(model, data, rows, known=clips)
            columns = {predictions.PREFIX + c: heard[:, i] for i, c in enumerate(data.classes)}
            tables.append(same.assign(**columns, k=str(k), draw=draw))
        return pd.concat([*tables, same.assign(k=ALL, draw=0)], ignore_index=True)


def first(speaker: np.ndarray, k: int, random: np.random.Generator) -> np.ndarray:
    """Positions of the first ``k`` clips of every speaker, in a random order: a corpus's own is by emotion.

    Shapes:
        - speaker: ``(clip,)`` names
        - returns: ``(known clip,)``; the same generator with a larger ``k`` gives these clips and more

    Example:
        >>> found = first(np.array(["b", "a", "a", "b", "a"]), 2, np.random.default_rng(0))
        >>> sorted(np.array(["b", "a", "a", "b", "a"])[found].tolist())
        ['a', 'a', 'b', 'b']
    """
    order = random.permutation(len(speaker))
    place = pd.Series(speaker[order]).groupby(speaker[order]).cumcount().to_numpy()
    return order[place < k]


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
