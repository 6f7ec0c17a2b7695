"""Errors that a user can correct: each says what was wrong, where, and what to do; commands print them without a traceback.

Exit codes of the commands: 0 for success, 2 where a command could not do its work, 1 where it did and the result is negative
(an audit with errors, a number that differs, a job of a sweep that failed, a recording that could not be used), and for an
unforeseen error with its traceback; 130 after Ctrl-C.
"""


class SerError(Exception):
    """An error that the user can correct. A command prints the message alone and exits with ``exit_code``."""

    exit_code = 2


class CorpusNotFoundError(SerError):
    """The corpus is not in its folder; the message says where it comes from and how to get it."""


class DownloadError(SerError):
    """A download stopped, or a file is not the one that was published. A partial file is kept, so that it can resume."""


class BadCorpusError(SerError):
    """The corpus on disk has files that cannot be used, or not the files that the release has."""


class AudioError(SerError):
    """A recording cannot be read, or has no usable samples.

    Args:
        name: The recording's path, or another name of it.
        kind: The fault in a word or two: ``unreadable``, ``empty``, ``LFS pointer``, ``NaN``, ``silent``, ...
        detail: The rest of the sentence.
    """

    def __init__(self, name: object, kind: str, detail: str) -> None:
        super().__init__(f"{name}: {kind}: {detail}")
        self.kind, self.detail = kind, detail


class LabelError(SerError):
    """A label scheme does not fit the corpora it is applied to."""


class SplitError(SerError):
    """A split is not valid: a speaker on two sides, an empty side, an unknown fold."""


class ConfigError(SerError):
    """A setting has a value that cannot be used."""


class RunError(SerError):
    """A run folder is incomplete, or its files do not agree."""


class PrunedError(SerError):
    """A training was stopped by a search, as other trials were better."""


class DifferenceError(RunError):
    """A number, target or probability differs from the stored one."""

    exit_code = 1


class UnusableError(SerError):
    """Some recordings could not be used; the work is done for the others."""

    exit_code = 1


class InterruptionError(SerError):
    """Ctrl-C, where what is finished is kept; the message says how to resume."""

    exit_code = 130
