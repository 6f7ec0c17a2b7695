"""A page of pictures, tables and recordings that needs nothing beside it: styles are inline, pictures and sounds embedded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ser.pictures.album import Album
from ser.protocols.stamps import meaning
from ser.report.html import rendered
from ser.runtime.files import write_text

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class Shown:
    """A picture of an album, its caption, and whether it is as wide as the page."""

    name: str
    caption: str
    wide: bool = False


@dataclass(frozen=True)
class Sound:
    """A recording that the page plays, as a data URI."""

    uri: str


@dataclass(frozen=True)
class Rows:
    """A table: headings, and rows of texts and sounds."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str | Sound]]


@dataclass(frozen=True)
class Section:
    """A part of a page: sentences, then pictures, then a table."""

    title: str
    sentences: Sequence[str] = ()
    pictures: Sequence[Shown] = ()
    table: Rows | None = None


@dataclass(frozen=True)
class Page:
    """All that a page says."""

    title: str
    lead: str
    facts: Mapping[str, str] = field(default_factory=dict)
    sections: Sequence[Section] = ()
    remarks: Sequence[str] = ()


def write_album_page(page: Page, album: Album, path: Path) -> None:
    """Write a page, whole or not at all, with the pictures of an album."""
    values = {"page": page, "album": album, "stamps": album.stamps, "meaning": meaning}
    write_text(rendered(TEMPLATE, values), path)
