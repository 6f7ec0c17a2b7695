"""Names of a result's columns of classes, which may be any word, beside the columns that every result has."""

from collections.abc import Sequence

TAKEN = frozenset(
    ("audio", "label", "set", "unsure", "flags", "error", "start", "end", "speaker", "speech", "emotion", "file")
)
"""Columns of predictions and of segments, and of those that are written for other programs."""
PREFIX = "p_"
"""As in the predictions of a run."""


def class_columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Return the column of each class, or number: its name, after `PREFIX` where results have another column of that name.

    Example:
        >>> class_columns(("sad", "set", "error"))
        ('sad', 'p_set', 'p_error')
    """
    return tuple(_free(name, classes) for name in classes)


def _free(name: str, classes: Sequence[str]) -> str:
    column = name
    while column in TAKEN or (column != name and column in classes):
        column = f"{PREFIX}{column}"
    return column
