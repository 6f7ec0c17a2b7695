"""The pictures of a page: one style, at the width of a column or of a page of a paper, with the stamps of the data."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError
from ser.report.drawing import drawing
from ser.report.html import data_uri

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure

COLUMN, PAGE = 3.5, 7.0
"""Widths of a picture in inches: a column of a paper of two, or both. A phone is as wide as a column."""
POINTS = 8
"""Size of the letters of all pictures."""
VECTORS = ("pdf", "svg")


@dataclass(frozen=True)
class Album:
    """Pictures in one folder.

    Args:
        folder: Where they go; it is made.
        stamps: What no reader may overlook, in each picture.
        vector: ``pdf`` or ``svg`` writes each picture in this format, too.

    Raises:
        ConfigError: If ``vector`` is something else.

    Example:
        >>> import tempfile
        >>> album = Album(Path(tempfile.mkdtemp()), vector="svg")
        >>> with album.drawing("line", (COLUMN, 2.0)) as figure:
        ...     _ = figure.add_subplot().plot([0, 1])
        >>> sorted(file.name for file in album.folder.iterdir())
        ['line.png', 'line.svg']
    """

    folder: Path
    stamps: tuple[str, ...] = ()
    vector: str | None = None

    def __post_init__(self) -> None:
        if self.vector not in (None, *VECTORS):
            raise ConfigError(f"vector must be null, {' or '.join(VECTORS)}; got {self.vector!r}. Choose one of them.")

    @contextmanager
    def drawing(self, name: str, inches: tuple[float, float], *, grid: bool = False) -> Iterator["SubFigure"]:
        """Yield an empty figure, which becomes the picture of this name; see `ser.report.drawing.drawing`."""
        suffix = f".{self.vector}" if self.vector else None
        path = self.folder / f"{name}.png"
        with drawing(path, inches, grid=grid, stamps=self.stamps, points=POINTS, vector=suffix) as figure:
            above: Any = figure.subfigures()  # its legends and labels stay above the stamp
            yield above

    def uri(self, name: str) -> str:
        """Return a picture that was drawn, as a page holds it."""
        return data_uri(self.folder / f"{name}.png")
