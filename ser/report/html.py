"""Self-contained pages: styles are inline, pictures are embedded, and there are no scripts; and texts in Markdown."""

from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.report.format import percent
from ser.runtime.words import counted

if TYPE_CHECKING:
    from jinja2 import Environment

MIME = {".svg": "image/svg+xml", ".png": "image/png"}


def rendered(template: Path, values: Mapping[str, Any], *, lenient: bool = False) -> str:
    """Return the page that a Jinja template makes of some values; it may include the templates of this package.

    Args:
        template: Its file.
        values: By name.
        lenient: Whether the page may refer to what ``values`` lack; nothing is in its place then.
    """
    return _environment(template.parent, lenient).get_template(template.name).render(values)


@cache
def _environment(folder: Path, lenient: bool) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined  # late: only pages need it

    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=lambda name: not str(name).endswith(".md.j2"),
        undefined=Undefined if lenient else StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.globals["counted"] = counted
    return environment


def data_uri(picture: Path) -> str:
    """Return a picture as a data URI, by its suffix.

    Example:
        >>> import tempfile
        >>> dot = Path(tempfile.mkdtemp()) / "dot.svg"
        >>> _ = dot.write_text("<svg/>")
        >>> data_uri(dot)
        'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return embedded(picture.read_bytes(), MIME[picture.suffix])


def embedded(content: bytes, mime: str) -> str:
    """Return the content of a file of some MIME type as a data URI."""
    return f"data:{mime};base64,{b64encode(content).decode()}"
