"""Whether a model of others was trained on a corpus, as far as anybody says so, with the source."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.protocols.stamps import SEEN, SEEN_UNKNOWN

TABLE = Path(__file__).with_name("seen.yaml")
ANSWERS = ("yes", "no", "unknown")
STATED = "stated with the command"
NOBODY = "no card of this model is in the table"
NOT_NAMED = "its card does not name this corpus"


@dataclass(frozen=True)
class Seen:
    """Whether a model was trained on a corpus.

    Attributes:
        answer: One of `ANSWERS`.
        source: Who says so.
    """

    answer: str
    source: str


def seen_by(
    model: str, corpora: Sequence[str], stated: Mapping[str, Any] | None = None, own: Sequence[str] = ()
) -> dict[str, Seen]:
    """Return whether a model was trained on each of some corpora.

    Args:
        model: Its id on the Hub, or another name, of which nothing is known.
        corpora: Names of corpora.
        stated: What the user says, by corpus: yes, no or unknown; it comes before the table.
        own: Those of the corpora that are the user's own recordings, of which no card can say anything.

    Raises:
        ConfigError: If ``stated`` is of another corpus, or says something else.

    Example:
        >>> found = seen_by("superb/wav2vec2-base-superb-er", ["iemocap", "ravdess", "mine"], own=["mine"])
        >>> [seen.answer for seen in found.values()]
        ['yes', 'no', 'unknown']
    """
    said = {name: {True: "yes", False: "no"}.get(answer, answer) for name, answer in (stated or {}).items()}
    if strange := sorted(set(said) - set(corpora)):
        raise ConfigError(f"seen must be of the corpora {', '.join(corpora)}; got {strange[0]}. Correct its name.")
    if wrong := [answer for answer in said.values() if answer not in ANSWERS]:
        raise ConfigError(f"seen must be {', '.join(ANSWERS)} for each corpus; got {wrong[0]!r}. Correct it.")
    return {name: Seen(said[name], STATED) if name in said else _known(model, name, name in own) for name in corpora}


def seen_stamps(seen: Mapping[str, Seen]) -> list[str]:
    """Return the stamps of a model that was, or may have been, trained on corpora that it is tested on.

    Example:
        >>> seen_stamps({"ravdess": Seen("yes", "its card"), "tess": Seen("unknown", ""), "savee": Seen("no", "its card")})
        ['seen in training: ravdess', 'perhaps seen in training: tess']
    """
    by = {
        words: [n for n, s in seen.items() if s.answer == a] for words, a in ((SEEN, "yes"), (SEEN_UNKNOWN, "unknown"))
    }
    return [f"{words}: {', '.join(names)}" for words, names in by.items() if names]


def plain_seen(seen: Mapping[str, Seen]) -> dict[str, dict[str, str]]:
    """Return it as plain JSON."""
    return {name: asdict(one) for name, one in seen.items()}


def _known(model: str, corpus: str, own: bool) -> Seen:
    entry = _table().get(model.lower())
    if entry is None or own:
        return Seen("unknown", NOBODY if entry is None else NOT_NAMED)
    if corpus in entry["trained_on"]:
        return Seen("yes", entry["source"])
    return Seen("no", entry["source"]) if entry["complete"] else Seen("unknown", NOT_NAMED)


@cache
def _table() -> dict[str, dict[str, Any]]:
    import yaml

    return {name.lower(): entry for name, entry in yaml.safe_load(TABLE.read_text(encoding="utf-8")).items()}
