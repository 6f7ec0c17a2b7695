"""Figures in one style, with the stamps of their result, written atomically.

Figures are made without pyplot, so that matplotlib's global state is unchanged and no figure stays open.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from ser.runtime.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150
STAMP_COLOUR = "#b3261e"
STAMP_INCHES = 0.5
LETTERS_AN_INCH = 8
"""Letters of a stamp per inch of width."""


@contextmanager
def drawing(
    path: Path,
    inches: tuple[float, float],
    *,
    grid: bool = False,
    stamps: Sequence[str] = (),
    points: float = 10.5,
    vector: str | None = None,
) -> Iterator["Figure"]:
    """Yield an empty figure, and write it to ``path`` when the block ends without an error.

    Args:
        path: Path of the file; the suffix is the format (``.png``, ``.svg``, ``.pdf``).
        inches: Width and height, at 150 dots per inch; a stamp adds half an inch of height, or more.
        grid: Whether axes have grid lines, and no frame above and to the right.
        stamps: What no reader may overlook (``not speaker-independent``, ``synthetic speech``), in a strip below the
            picture.
        points: Size of the letters.
        vector: Suffix of a second file in another format, such as ``.pdf``, beside the first.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "line.png"
        >>> with drawing(path, (3, 2)) as figure:
        ...     _ = figure.add_subplot().plot([0, 1])
        >>> path.exists()
        True
    """
    import matplotlib as mpl  # late: half a second to import, and seaborn two
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    look: dict[Any, Any] = {
        "font.size": points,
        "axes.labelsize": points + 0.5,
        "axes.labelpad": 6,
        "grid.color": "0.9",
    }
    with mpl.rc_context(sns.axes_style("whitegrid" if grid else "white") | look):
        words = [fill("  ·  ".join(stamps).upper(), int(LETTERS_AN_INCH * inches[0]))] if stamps else []
        strips = sum(STAMP_INCHES + 0.2 * text.count("\n") for text in words)
        width, height = inches[0], inches[1] + strips
        figure = Figure(figsize=(width, height), dpi=DPI)
        FigureCanvasAgg(figure)
        strip = strips / height  # at the bottom, out of the layout's reach
        figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1, rect=(0, strip, 1, 1 - strip))
        for text in words:
            _stamp(figure, text, strip / 2)
        yield figure
        if grid:
            sns.despine(fig=figure)
        for file in (path, path.with_suffix(vector)) if vector else (path,):
            with replacing(file) as unfinished:
                figure.savefig(unfinished, dpi=DPI)


def _stamp(figure: "Figure", words: str, height: float) -> None:
    box = {"boxstyle": "round,pad=0.4", "facecolor": STAMP_COLOUR, "edgecolor": "none"}
    text = figure.text(0.5, height, words, fontsize=11, fontweight="bold", color="white", bbox=box)
    text.set(horizontalalignment="center", verticalalignment="center")
