"""A fold of a run with its model, its recordings and the predictions that it stored, to be explained."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.datamodules.data import SpeechData
from ser.errors import RunError
from ser.features.normalise import Statistics
from ser.inference.load import device_named
from ser.models.classifier import SpeechClassifier
from ser.pictures.collection import thirds
from ser.rescoring.recompute import rebuilt_folds
from ser.runs.folder import DEV_PREDICTIONS, PREDICTIONS, RunFolder

log = logging.getLogger(__name__)
TABLES = {"test": PREDICTIONS, "dev": DEV_PREDICTIONS}


@dataclass(frozen=True)
class Explained:
    """A fold of a run that is explained.

    Attributes:
        model, data, fold: As the run stored them.
        table: The stored predictions of the side, in the order of ``rows``.
        rows: Of the side, in the data's manifest.
        own: Statistics of its speakers or corpora, where the model normalises by them.
        side: ``test`` or ``dev``.
    """

    model: SpeechClassifier
    data: SpeechData
    fold: RunFolder
    table: pd.DataFrame
    rows: np.ndarray
    own: Statistics | None
    side: str

    @property
    def groups(self) -> "pd.Series[str]":
        """The class of each row; the thirds of the first number where the run predicts numbers."""
        if not self.model.numeric:
            return self.table["target"]
        name = self.model.classes[0]
        return thirds(self.table[f"target_{name}"].to_numpy(), name)[0]


def explained_fold(plain: Mapping[str, Any]) -> Explained:
    """Return the fold of a run, its model and its data, as the settings name them."""
    run, side, paths = RunFolder(Path(plain["run"])), plain["side"], plain["paths"]
    fold = run.folds[0]
    if len(run.folds) > 1:
        log.warning(
            "%s has %d folds: the first is explained. Give run=%s for another.",
            run.path,
            len(run.folds),
            run.folds[1].path,
        )
    device = device_named(plain["device"])
    table = fold.table(TABLES[side])
    ((data, model, _),) = rebuilt_folds(fold, paths["corpora"], paths["stores"], str(device))
    model.use_cached_features(data)
    rows = data.split.sides()[side]
    ids = data.labelled.manifest["id"].iloc[rows]
    if len(ids) != len(table) or set(ids) != set(table["utterance"]):
        raise RunError(
            f"{fold.path / TABLES[side]} must have the {side} utterances of the run's split; got others. Give a folder that "
            "was not changed after the run."
        )
    table = table.set_index("utterance", drop=False).loc[list(ids)].reset_index(drop=True)
    return Explained(model, data, fold, table, rows, model.own_statistics(data, rows), side)
