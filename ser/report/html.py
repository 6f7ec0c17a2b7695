"""Self-contained pages: styles are inline, pictures are embedded, and there are no scripts."""

from base64 import b64encode
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

MIME = {".svg": "image/svg+xml", ".png": "image/png"}


@cache
def template_environment(folder: Path, strict: bool = True) -> "Environment":
    """Return the Jinja environment of the templates in a folder; they may include those of this package.

    Args:
        folder: Folder of the templates.
        strict: Whether a template that names an unknown value is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined  # late: only pages need it

    return Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent]),
        autoescape=True,
        undefined=StrictUndefined if strict else Undefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(picture: Path) -> str:
    """Return a picture as a data URI, by its suffix.

    Example:
        >>> import tempfile
        >>> dot = Path(tempfile.mkdtemp()) / "dot.svg"
        >>> _ = dot.write_text("<svg/>")
        >>> data_uri(dot)
        'data:image/svg+xml;base64,PHN2Zy8+'
    """
    return f"data:{MIME[picture.suffix]};base64,{b64encode(picture.read_bytes()).decode()}"
