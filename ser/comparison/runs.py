"""The finished runs of a sweep, and where a study of them goes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ser.runs.folder import RunFolder
from ser.runs.identity import model_name

if TYPE_CHECKING:
    from rich.table import Table


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
        """See `ser.runs.identity.model_name`."""
        return model_name(self.config["model"])


def finished(folders: Sequence[Path]) -> Iterator[Run]:
    """The runs in some folders, in the order of their names."""
    for folder in sorted(folders, key=lambda folder: folder.name):
        run = RunFolder(folder)
        yield Run(folder, run.config, run.about, run.predictions)


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
