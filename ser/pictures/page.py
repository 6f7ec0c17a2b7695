"""A page of pictures, tables and recordings that needs nothing beside it: styles are inline, pictures and sounds embedded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich import get_console

from ser.errors import ConfigError
from ser.pictures.album import Album
from ser.protocols.stamps import meaning
from ser.report.html import rendered
from ser.runtime.files import write_text
from ser.runtime.words import counted

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


def write_album_page(page: Page, album: Album, file: str) -> Path:
    """Write a page into the folder of an album, whole or not at all; say where it is, and return its path."""
    path = album.folder / file
    values = {"page": page, "album": album, "stamps": album.stamps, "meaning": meaning}
    write_text(rendered(TEMPLATE, values), path)
    get_console().print(f"{counted(len(list(album.folder.glob('*.png'))), 'picture')} and their page: {path}")
    return path


def check_integers(settings: Mapping[str, Any], least: Mapping[str, int]) -> None:
    """Check settings of a page that are integers, against the smallest value of each.

    Raises:
        ConfigError: If one is no integer, or below it.
    """
    for name, smallest in least.items():
        if not isinstance(settings[name], int) or settings[name] < smallest:
            raise ConfigError(f"{name} must be an integer of {smallest} or more; got {settings[name]!r}.")
