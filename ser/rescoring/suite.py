"""`Suite`: score a finished run's test speakers again under other conditions, and report the result."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from ser.datamodules.data import SpeechData
from ser.evaluation.summary import write_metrics
from ser.inference.score import score
from ser.models.classifier import SpeechClassifier
from ser.rescoring.recompute import check_same_predictions, rebuilt_folds
from ser.runs.folder import RunFolder
from ser.runs.identity import data_of
from ser.runtime.files import replacing


class Suite(ABC):
    """A way to score a finished run again; a file in ``conf/suite`` names it by ``_target_``.

    Attributes:
        name: Name of the files that it writes into the run's folder.
        settings: What the numbers depend on besides the run, as plain JSON; stored with them.
    """

    name: str
    settings: dict[str, Any]

    def run(self, folder: Path, corpora: str, stores: str) -> None:
        """Score every fold of a run, on a GPU if there is one, and report the folds together.

        Three files in the run's folder have the suite's name: ``.parquet`` holds every prediction, ``.json`` the numbers
        and ``.png`` a picture of them. The folders are those of `ser.rescoring.recompute.recompute`.

        Raises:
            ConfigError: If the suite does not apply to the run.
            RunError: If the corpus on disk differs from the one that the run was trained on, or the checkpoint does not
                give the stored predictions.
        """
        run = RunFolder(folder)
        about = run.about
        scored = []
        for data, model, fold in rebuilt_folds(run, corpora, stores, "cuda" if torch.cuda.is_available() else "cpu"):
            model.use_cached_features(data)
            same = score(model, data, data.split.test)
            check_same_predictions(fold.predictions, same, fold)
            scored.append(self.score_fold(model, data, same, fold))
        table = pd.concat(scored, ignore_index=True)
        with replacing(folder / f"{self.name}.parquet") as unfinished:
            table.to_parquet(unfinished, index=False)
        measured = self.measure(table)
        write_metrics({**measured, "suite": self.settings, "run": about}, folder / f"{self.name}.json")
        title, stamps = f"{data_of(about)}, {about['protocol']}: {self.name}", tuple(about["stamps"])
        console = Console()
        console.print(self.report(measured, folder / f"{self.name}.png", title, stamps))
        console.print(f"Written to {folder}: {self.name}.parquet, .json, .png", highlight=False, soft_wrap=True)

    @abstractmethod
    def score_fold(
        self, model: SpeechClassifier, data: SpeechData, same: pd.DataFrame, fold: RunFolder
    ) -> pd.DataFrame:
        """Score a fold's test speakers.

        Args:
            model: The fold's model.
            data: The fold's data, set up.
            same: Predictions table of ``data.split.test`` as the run scored it, in that order.
            fold: The fold's folder.

        Returns:
            The predictions tables, concatenated, with further columns that tell them apart.
        """

    @abstractmethod
    def measure(self, table: pd.DataFrame) -> dict[str, Any]:
        """Compute every reported number from the tables of all folds, as plain JSON."""

    @abstractmethod
    def report(self, measured: Mapping[str, Any], path: Path, title: str, stamps: tuple[str, ...]) -> Table:
        """Draw the numbers into a file, and lay them out for the terminal."""
