"""Lightning's Weights & Biases logger for one fold, in a run that all folds of a command share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch.loggers import WandbLogger
from typing_extensions import override

from ser.training.callbacks import MEASURED


class FoldLogger(WandbLogger):
    """Send the rows of a fold's ``metrics.csv``, each once, also where the run was stopped, killed or begun offline.

    Lightning logs after the row of an epoch is written. What it passes is in that row.

    Args:
        run: Of Weights & Biases.
        file: The fold's ``metrics.csv``.
        prefix: In front of every name: ``fold_2`` gives ``fold_2/dev_uar``.
    """

    LOGGER_JOIN_CHAR = "/"

    def __init__(self, run: Any, file: Path, prefix: str) -> None:
        super().__init__(experiment=run, prefix=prefix)
        self.file = file
        at = f"{prefix}/" if prefix else ""
        run.define_metric(f"{at}epoch")
        for name in MEASURED:
            run.define_metric(f"{at}{name}", step_metric=f"{at}epoch")
        last = run.summary.get(f"{at}epoch") if run.resumed else None
        self._last = -1 if last is None else int(last)

    @override
    def log_metrics(self, metrics: Mapping[str, float] | None = None, step: int | None = None) -> None:
        rows = pd.read_csv(self.file) if self.file.exists() else pd.DataFrame({"epoch": []})
        if rows["epoch"].max() < self._last:  # started over, with smaller batches
            self._last = -1
        for row in rows[rows["epoch"] > self._last].to_dict("records"):
            super().log_metrics({str(name): value for name, value in row.items()})
            self._last = int(row["epoch"])

    @override
    def log_hyperparams(self, params: Any) -> None:
        """Log nothing: the run has the settings."""
