"""Errors for people: each says what was wrong, where, and what to do next; entry points print them without a traceback."""


class SerError(Exception):
    """Something the user can put right. The command line prints the message alone and exits with ``exit_code``."""

    exit_code = 1


class CorpusNotFoundError(SerError):
    """The corpus is not where it was looked for; the message says where it comes from and how to get it."""

    exit_code = 2


class DownloadError(SerError):
    """A download stopped, or what came is not what was asked for. What did come is kept, so that it can resume."""


class BadCorpusError(SerError):
    """The corpus on disk has files that cannot be used, or not the files that the release has."""


class AudioError(SerError):
    """A recording cannot be read, or holds nothing that can be scored.

    Args:
        name: The recording's path, or what else it is known by.
        kind: What is wrong in a word or two: ``unreadable``, ``empty``, ``LFS pointer``, ``NaN``, ``silent``, ...
        detail: The rest of the sentence.
    """

    def __init__(self, name: object, kind: str, detail: str) -> None:
        super().__init__(f"{name}: {kind}: {detail}")
        self.kind, self.detail = kind, detail


class LabelError(SerError):
    """A label scheme does not fit the corpora it is applied to."""


class SplitError(SerError):
    """A split breaks its promise: a speaker on two sides, an empty side, an unknown fold."""


class ConfigError(SerError):
    """A setting has a value that cannot be used."""


class RunError(SerError):
    """A run folder lacks something, or does not hold what its own files say."""


class PrunedError(SerError):
    """A training was stopped by a search that has seen better ones."""
