"""`Suite`: score a finished run's test speakers again, otherwise than it was scored, and report what comes of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from ser.datamodules.speech import SpeechDataModule
from ser.evaluation.summary import write_metrics
from ser.inference.score import score
from ser.models.classifier import SpeechClassifier
from ser.rescoring.recompute import check_same_predictions, rebuilt_folds
from ser.runs.folder import RunFolder
from ser.runtime.files import replacing


class Suite(ABC):
    """What a file of ``conf/suite`` names by ``_target_``.

    Attributes:
        name: Names the files that are written into the run's folder.
        settings: What the numbers depend on beside the run, as plain JSON; kept beside them.
    """

    name: str
    settings: dict[str, Any]

    def run(self, folder: Path, corpora: str, stores: str) -> None:
        """Score every fold of a run, on a GPU where there is one, and report the folds together.

        In the run's folder, under the suite's name: ``.parquet`` has every prediction, ``.json`` the numbers, ``.png`` a
        picture of them.

        Args:
            folder: Of a run, or of a ``fold=all`` run.
            corpora: Where to look for a corpus that is no longer where the run found it.
            stores: Folder of the prepared waveform stores, and of the features that models have cached.

        Raises:
            ConfigError: If the suite says nothing of such a run.
            RunError: If the corpus on disk is not what the run was trained on, or the checkpoint does not give the run's
                predictions, so that nothing can be compared to them.
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
        title, stamps = f"{'+'.join(about['corpora'])}, {about['protocol']}: {self.name}", tuple(about["stamps"])
        self.draw(measured, folder / f"{self.name}.png", title, stamps)
        console = Console()
        console.print(self.lay_out(measured, title, stamps))
        console.print(f"Written to {folder}: {self.name}.parquet, .json, .png", highlight=False, soft_wrap=True)

    @abstractmethod
    def score_fold(
        self, model: SpeechClassifier, data: SpeechDataModule, same: pd.DataFrame, fold: RunFolder
    ) -> pd.DataFrame:
        """Score a fold's test speakers.

        Args:
            model: The fold's.
            data: The fold's, set up.
            same: Predictions table of ``data.split.test`` as the run scored it, in its order.
            fold: Its folder.

        Returns:
            Predictions tables, one below the other, with columns behind that say which is which.
        """

    @abstractmethod
    def measure(self, table: pd.DataFrame) -> dict[str, Any]:
        """Every number that is reported, from the tables of all folds; plain JSON."""

    @abstractmethod
    def draw(self, measured: Mapping[str, Any], path: Path, title: str, stamps: tuple[str, ...]) -> None:
        """Draw what was measured."""

    @abstractmethod
    def lay_out(self, measured: Mapping[str, Any], title: str, stamps: tuple[str, ...]) -> Table:
        """Lay out what was measured for the terminal."""
