"""The finished runs of a sweep, and what a study says of those that did not finish."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.summary import read_metrics
from ser.run_folder import model_name, read_config

if TYPE_CHECKING:
    from rich.table import Table

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A finished run of a sweep.

    Attributes:
        folder: Its own.
        config: What it was made by.
        about: The ``run`` block of its ``metrics.json``.
        table: Its predictions.
    """

    folder: Path
    config: dict[str, Any]
    about: dict[str, Any]
    table: pd.DataFrame

    @property
    def model(self) -> str:
        """See `ser.run_folder.model_name`."""
        return model_name(self.config["model"])


def finished(folder: Path) -> Iterator[Run]:
    """The finished runs below a sweep's folder, in the order of their names; the log names those that are not.

    Raises:
        RunError: If none is.
    """
    found = sorted(folder.glob("*/config.yaml"), key=lambda file: file.parent.name)
    done = [file.parent for file in found if (file.parent / "metrics.json").exists()]
    for file in found:
        if file.parent not in done:
            log.warning("%s did not finish; the same command goes on with it.", file.parent)
    if not done:
        raise RunError(f"No run below {folder} has finished, so that there is nothing to show.")
    for run in done:
        about = read_metrics(run / "metrics.json")["run"]
        yield Run(run, read_config(run), about, predictions.read(run / "predictions.parquet"))


def present(
    rows: pd.DataFrame, file: Path, markdown: str, table: "Table", plot: Callable[[pd.DataFrame, Path], None]
) -> None:
    """Write a study's rows as ``.csv``, ``.md`` and ``.png``, and print its table.

    Args:
        rows: What the study found.
        file: Where to, without a suffix.
        markdown: The rows as a table.
        table: The same for the terminal.
        plot: Draws the rows into a file.
    """
    from rich.console import Console

    picture = file.with_suffix(".png")
    rows.to_csv(file.with_suffix(".csv"), index=False)
    file.with_suffix(".md").write_text(markdown, encoding="utf-8")
    plot(rows, picture)
    console = Console()
    console.print(table)
    console.print(f"Picture: {picture}", highlight=False, soft_wrap=True)
