"""What an adaptation to a voice gained, in sentences."""

from collections.abc import Iterator

from ser.inference.voice import Adaptation
from ser.report.format import percent
from ser.runtime.words import counted

UNKNOWN = "What that gains cannot be said without labels: give a table with the columns path and label."
ONE_KIND = (
    "Caution: all clips are {label}. What is typical of that class cannot be told from what is typical of the voice, and "
    "what is gained cannot be said. Add clips of other classes."
)
WORSE = "Caution: held-out clips are answered worse. The model as it was may be the better one."


def adaptation_in_words(found: Adaptation) -> Iterator[str]:
    """Yield what is known of an adaptation.

    Example:
        >>> list(adaptation_in_words(Adaptation(3, {"sad": 3}, None)))[0]
        'Adapted to 3 clips: 3 sad.'
    """
    labels = ", ".join(f"{number} {label}" for label, number in found.labels.items())
    yield f"Adapted to {counted(found.clips, 'clip')}{': ' if labels else ''}{labels}."
    if not labels:
        yield UNKNOWN
        return
    if len(found.labels) == 1:
        yield ONE_KIND.format(label=next(iter(found.labels)))
        return
    if (held := found.held_out) is None:
        return
    yield (
        f"Held out one at a time: UAR {percent(held.uar_before)} as it was, {percent(held.uar_after)} adapted to the other "
        f"clips; {held.better} of {found.clips} clips become right, {held.worse} become wrong. One speaker has no interval."
    )
    if held.uar_after < held.uar_before:
        yield WORSE
