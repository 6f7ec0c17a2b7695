"""Score a run's test speakers under every condition of a suite; write and print what comes of it."""

from pathlib import Path

import pandas as pd
import torch
from rich.console import Console

from ser.evaluation import predictions
from ser.evaluation.summary import read_metrics, write_metrics
from ser.files import replacing
from ser.inference.score import score
from ser.recompute import check_same, folds_of
from ser.robustness import report
from ser.robustness.results import measure
from ser.robustness.suite import Suite


class Robustness(Suite):
    """A suite that scores a run; see `ser.robustness.suite.Suite` for its arguments."""

    def run(self, folder: Path, corpora: str, stores: str) -> None:
        """Score every fold of a run, on a GPU where there is one, and report the folds together.

        In the run's folder, under the suite's name: ``.parquet`` has every prediction, ``.json`` the numbers, ``.png`` the
        curves, and a folder in each fold what is done so far, so that a suite that was stopped goes on.

        Args:
            folder: Of a run, or of a ``fold=all`` run.
            corpora: Where to look for a corpus that is no longer where the run found it.
            stores: Folder of the prepared waveform stores.

        Raises:
            ConfigError: If a condition is none for this run.
            RunError: If the corpus on disk is not what the run was trained on, or the checkpoint does not give the run's
                predictions on speech as it is, so that nothing can be compared to them.
        """
        about = read_metrics(folder / "metrics.json")["run"]
        scored = []
        for data, model, part in folds_of(folder, corpora, stores, "cuda" if torch.cuda.is_available() else "cpu"):
            clean = score(model, data, data.split.test)
            check_same(predictions.read(part / "predictions.parquet"), clean, part)
            scored.append(self.score_fold(model, data, clean, part))
        table = pd.concat(scored, ignore_index=True)
        with replacing(folder / f"{self.name}.parquet") as unfinished:
            table.to_parquet(unfinished, index=False)
        measured = measure(table, self.conditions)
        write_metrics({**measured, "suite": self.settings, "run": about}, folder / f"{self.name}.json")
        title, stamps = f"{'+'.join(about['corpora'])}, {about['protocol']}: {self.name}", tuple(about["stamps"])
        report.curves(measured, folder / f"{self.name}.png", title, stamps=stamps)
        console = Console()
        console.print(report.conditions_table(measured, title, stamps))
        console.print(f"Written to {folder}: {self.name}.parquet, .json, .png", highlight=False, soft_wrap=True)
