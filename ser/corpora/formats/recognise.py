"""Which format a path is in: the first that reads it. A new format is one file here, and one name in this list."""

from pathlib import Path

from ser.corpora.formats.audformat import audformat_rows
from ser.corpora.formats.audiofolder import audiofolder_rows
from ser.corpora.formats.kaldi import kaldi_rows
from ser.corpora.formats.plain import plain_rows
from ser.corpora.formats.rows import Rows

FORMATS = (audformat_rows, audiofolder_rows, kaldi_rows, plain_rows)


def read_rows(path: Path) -> Rows | None:
    """Read the table at a path, a file or a folder; ``None`` if no format recognises it."""
    return next((found for read in FORMATS if (found := read(path)) is not None), None)
