"""`Robustness`: score each fold's test speakers under every condition of a suite.

Each condition's predictions are stored as soon as they are computed, in ``robustness/<effect>_<level>-<hash>.parquet`` in
the fold's folder. The hash is of the checkpoint, the speech, the seed and the condition's settings, so an interrupted suite
resumes: a stored table is not computed again, and one of another checkpoint or setting is not found.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track
from rich.table import Table
from typing_extensions import override

from ser.datamodules.batch import Batch
from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.evaluation import predictions
from ser.inference import score
from ser.models.classifier import SpeechClassifier
from ser.rescoring.robustness import report
from ser.rescoring.robustness.conditions import CLEAN, Condition, Scene, Talkers, conditions_of, generator
from ser.rescoring.robustness.results import measure_robustness
from ser.rescoring.suite import Suite
from ser.runs.folder import RunFolder

FORMAT = 1
"""Increased when a condition changes its sound, so that tables of an older version are not reused."""


class Robustness(Suite):
    """Conditions to score a run under.

    Args:
        name: Name of the files: ``robustness`` for ``robustness.json``.
        seed: Seed of everything random.
        effects: Effects by name, for `ser.rescoring.robustness.conditions.conditions_of`.

    Raises:
        ConfigError: If a setting is invalid.
    """

    def __init__(self, name: str, seed: int, effects: Mapping[str, Mapping[str, Any]]) -> None:
        if not name.isidentifier():
            raise ConfigError(
                f"suite.name must be made of letters, digits and _; got {name!r}. It names the suite's files."
            )
        if not isinstance(seed, int) or isinstance(seed, bool):
            raise ConfigError(f"suite.seed must be an integer; got {seed!r}. Give a number such as 0.")
        self.name, self.seed = name, seed
        self.settings = {"name": name, "seed": seed, "effects": effects}
        self.conditions = conditions_of(effects)

    def score_fold(
        self, model: SpeechClassifier, data: SpeechData, same: pd.DataFrame, fold: RunFolder
    ) -> pd.DataFrame:
        """Score a fold's test speakers under every condition that is not stored yet.

        Returns:
            The clean table and one for each condition, concatenated, with the further columns ``condition``
            (``white 10 dB``), ``family`` and ``level``; ``clean`` has no level.
        """
        talkers = Talkers(data)
        digest = hashlib.sha256(fold.checkpoint.read_bytes()).hexdigest()
        speech = [data.plan.fingerprint, data.split.hash(data.labelled.manifest)]
        tables = [same.assign(condition=CLEAN, family=CLEAN, level=np.nan)]
        for condition in track(self.conditions, f"Fold {data.fold}, {self.name}", transient=True):
            text = json.dumps([FORMAT, digest, *speech, self.seed, condition.settings])
            name = f"{condition.effect}_{condition.level:g}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.parquet"
            part = fold.path / self.name / name
            if not part.exists():
                scored = probabilities_under(model, data, data.split.test, condition, self.seed, talkers)
                predictions.write_predictions(predictions.with_probabilities(same, scored), part)
            there = predictions.read_predictions(part)
            tables.append(there.assign(condition=condition.name, family=condition.how.family, level=condition.level))
        return pd.concat(tables, ignore_index=True)

    @override
    def measure(self, table: pd.DataFrame) -> dict[str, Any]:
        return measure_robustness(table, self.conditions)

    @override
    def report(self, measured: Mapping[str, Any], path: Path, title: str, stamps: tuple[str, ...]) -> Table:
        report.curves(measured, path, title, stamps=stamps)
        return report.conditions_table(measured, title, stamps)


def probabilities_under(
    model: SpeechClassifier,
    data: SpeechData,
    rows: np.ndarray,
    condition: Condition,
    seed: int,
    talkers: Talkers,
    batch_size: int | None = None,
) -> np.ndarray:
    """Return the probabilities of some utterances under a condition, as `ser.inference.score.predict_probabilities` does.

    Returns:
        ``(utterance, class)`` float64, in the order of ``rows``.
    """
    ids = data.labelled.manifest["id"].to_numpy()

    def changed(batch: Batch) -> Batch:
        draws = [generator(seed, condition.effect, str(utterance)) for utterance in ids[batch.index.cpu().numpy()]]
        scene = Scene(data.plan.settings.sample_rate, draws, talkers)
        waveform, lengths = condition.apply(batch.waveform, batch.lengths, scene)
        return batch._replace(waveform=waveform, lengths=lengths)

    return score.predict_probabilities(model, data, rows, changed, batch_size)
