"""A check of a run, and the verdict of several."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ser.errors import CorpusNotFoundError, RunError, SerError
from ser.evaluation.summary import Difference
from ser.runtime.words import and_more

SHOWN = 3
"""Number of differences that a check lists."""


class Check(NamedTuple):
    """A check: its name, whether it holds (``None`` if it was not possible), and the detail."""

    name: str
    ok: bool | None
    detail: str


class Verdict(NamedTuple):
    """What all checks say together: the exit code of ``python -m ser.verify``, and a sentence."""

    code: int
    words: str


class UncheckedError(RunError):
    """A check is not possible, as something that it needs is absent."""


def attempt(name: str, check: Callable[..., str], *arguments: Any) -> Check:
    """Make a check, whose function returns the detail, and raises where the check fails or is not possible."""
    try:
        return Check(name, True, check(*arguments))
    except (UncheckedError, CorpusNotFoundError) as error:
        return Check(name, None, f"not checked: {str(error).splitlines()[0]}")
    except SerError as error:
        return Check(name, False, str(error))
    except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
        malformed = f"A file does not have the form that a run writes, so it cannot be checked: {error!r}."
        return Check(name, False, malformed)


def verdict(checks: Sequence[Check]) -> Verdict:
    """Return the verdict of all checks of a run.

    Example:
        >>> verdict([Check("files", True, ""), Check("corpus", None, "not checked: it is not at /data")])
        Verdict(code=3, words='holds, but not all was checked: corpus')
        >>> verdict([Check("files", False, "metrics.json was changed"), Check("corpus", None, "")])
        Verdict(code=1, words='does not hold: files')
    """
    if failed := [check.name for check in checks if check.ok is False]:
        return Verdict(1, f"does not hold: {', '.join(failed)}")
    if unchecked := [check.name for check in checks if check.ok is None]:
        return Verdict(3, f"holds, but not all was checked: {', '.join(unchecked)}")
    return Verdict(0, "holds")


def refuse(changed: Sequence[Difference], what: str) -> None:
    """Raise if there are differences; the message lists the first of them.

    Raises:
        RunError: If there are any.
    """
    if changed:
        places = [f"{d.path}: {_short(d.old)}, not {_short(d.new)}" for d in changed]
        raise RunError(f"{what}: {and_more(places, SHOWN)}.")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
