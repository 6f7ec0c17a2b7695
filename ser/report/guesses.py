"""What guesses without listening reach, in words, beside a result; see `ser.protocols.without_listening`."""

from collections.abc import Mapping
from typing import Any

from ser.protocols.without_listening import MAJORITY, SENTENCE, SPEAKER, WORDS
from ser.report.format import percent

FROM = {MAJORITY: "the most frequent class", SENTENCE: "the sentence", SPEAKER: "the speaker", WORDS: "the words"}
"""How a sentence calls what a guess is made from."""


def highest(about: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the best guess of a run's facts; ``None`` where there is none, as for numbers and in older runs."""
    return max(about.get("without_listening") or [], key=lambda guess: float(guess["uar"]), default=None)


def guesses_in_words(about: Mapping[str, Any]) -> str:
    """Return the UAR of every guess, the best first; empty where there is none.

    Example:
        >>> guesses = [{"name": "majority class", "uar": 0.125}, {"name": "duration and level", "uar": 0.243}]
        >>> guesses_in_words({"without_listening": guesses})
        'UAR of guesses without listening, over all folds: duration and level 24.3 %, majority class 12.5 %.'
    """
    guesses = sorted(about.get("without_listening") or [], key=lambda guess: -float(guess["uar"]))
    each = ", ".join(f"{guess['name']} {percent(guess['uar'])}" for guess in guesses)
    return f"UAR of guesses without listening, over all folds: {each}." if each else ""


def is_beaten(guess: Mapping[str, Any], score: float | None, low: float | None) -> bool:
    """Whether a UAR is clearly above a guess: its interval is, or, where it has none, the UAR itself."""
    least = score if low is None else low
    return least is not None and least > guess["uar"]


def source_of(guess: Mapping[str, Any]) -> str:
    """Return what alone a guess is made from, within a sentence; duration and level are measured in the audio.

    Example:
        >>> source_of({"name": "sentence"}), source_of({"name": "duration and level"})
        ('the sentence alone, without audio', 'duration and level alone')
    """
    name = str(guess["name"])
    return f"{FROM[name]} alone, without audio" if name in FROM else f"{name} alone"


def not_beaten_in_words(about: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    """Return the sentence of a result that is not clearly better than the best guess without listening; empty for others.

    Example:
        >>> about = {"without_listening": [{"name": "sentence", "uar": 0.771}]}
        >>> not_beaten_in_words(about, {"uar": 0.808, "uar_interval": {"low": 0.75}})
        'Not clearly better than a guess from the sentence alone, without audio: UAR 77.1 %.'
    """
    guess = highest(about)
    if guess is None or is_beaten(guess, numbers["uar"], numbers["uar_interval"]["low"]):
        return ""
    return f"Not clearly better than a guess from {source_of(guess)}: UAR {percent(guess['uar'])}."
