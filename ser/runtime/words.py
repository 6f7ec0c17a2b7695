"""Several things in words: a count with its noun, and the first few of many."""

from collections.abc import Sequence


def counted(number: int, thing: str) -> str:
    """Return a number and its noun, in the plural unless it is 1.

    Example:
        >>> counted(1, "epoch"), counted(2, "epoch")
        ('1 epoch', '2 epochs')
    """
    return f"{number} {thing}" + "s" * (number != 1)


def are(number: int, thing: str) -> str:
    """Return a number, its noun and the verb.

    Example:
        >>> are(1, "speaker"), are(2, "speaker")
        ('1 speaker is', '2 speakers are')
    """
    return f"{counted(number, thing)} {'is' if number == 1 else 'are'}"


def and_more(items: Sequence[str], shown: int = 3) -> str:
    """Join the first few of several and count the rest.

    Example:
        >>> and_more(["a", "b", "c"], shown=2)
        'a, b and 1 more'
    """
    more = f" and {len(items) - shown} more" if len(items) > shown else ""
    return ", ".join(items[:shown]) + more
