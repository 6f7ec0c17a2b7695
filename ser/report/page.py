"""A comparison as one HTML page that needs nothing beside it: styles are inline, pictures embedded, and no script runs."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ser.evaluation.comparison import SIGNIFICANT
from ser.files import replacing
from ser.report.comparison import COLUMNS, PAIR_COLUMNS, READING, Comparison, what_is_tested
from ser.report.comparison_plots import SHOWN

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATE = "comparison.html.j2"
MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def write(comparison: Comparison, pictures: Mapping[str, Path], path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        comparison: What is compared.
        pictures: Files by what they show; see `ser.report.comparison_plots.draw`.
        path: Where to.
    """
    text = (
        surroundings()
        .get_template(TEMPLATE)
        .render(
            comparison=comparison,
            pictures={name: embedded(picture) for name, picture in pictures.items()},
            columns=COLUMNS,
            pair_columns=PAIR_COLUMNS,
            reading=READING,
            what_is_tested=what_is_tested(comparison),
            shown=SHOWN,
            significant=SIGNIFICANT,
        )
    )
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def surroundings() -> "Environment":
    """What the templates beside this module are filled in by."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # late: only pages need it

    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def embedded(picture: Path) -> str:
    """A picture as a data URI, by its suffix.

    Example:
        >>> import tempfile
        >>> dot = Path(tempfile.mkdtemp()) / "dot.svg"
        >>> _ = dot.write_text("<svg/>")
        >>> embedded(dot)
        'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return f"data:{MIME[picture.suffix]};base64,{b64encode(picture.read_bytes()).decode()}"
