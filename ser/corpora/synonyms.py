"""Words for emotions and sexes in people's own data, and the common names that they are read as.

Only what names the same thing is here: annoyance is not anger. Corpora with a file of their own declare their codes
themselves; `ser.corpora.table` and `ser.corpora.folders` read labels through this table, and say what it changed.
"""

from collections.abc import Iterable, Mapping
from functools import cache

EMOTION_WORDS: Mapping[str, str] = {
    "angry": "anger, rage, fury, furious, wut, wütend, ärger, zorn, zornig, colère, enfado, enojo, ira, rabbia, raiva",
    "bored": "boredom, langeweile, gelangweilt, ennui, aburrimiento, noia",
    "calm": "calmness, ruhig, calme, calma, calmo",
    "contempt": "contemptuous, verachtung, mépris, desprecio, disprezzo",
    "disgust": "disgusted, ekel, dégoût, asco, disgusto, nojo",
    "excited": "excitement, aufgeregt, begeistert",
    "fear": "fearful, afraid, scared, angst, ängstlich, furcht, peur, miedo, paura, medo",
    "frustrated": "frustration, frustriert",
    "happy": "happiness, joy, joyful, freude, fröhlich, glück, glücklich, joie, heureux, alegría, felicidad, feliz, gioia",
    "neutral": "neutrality, neutral state, neutre, neutro, neutrale",
    "sad": "sadness, trauer, traurig, traurigkeit, tristesse, triste, tristeza, tristezza",
    "surprise": "surprised, pleasant surprise, pleasant_surprise, überraschung, überrascht, sorpresa, surpresa",
}
"""Other words for an emotion, lower-cased."""
SEX_WORDS: Mapping[str, str] = {
    "female": "f, w, woman, weiblich, frau, femme, femenino, mujer, femminile",
    "male": "m, man, männlich, mann, homme, masculino, hombre, maschile",
}
"""Other words for a sex, lower-cased."""


def _inverted(words: Mapping[str, str]) -> dict[str, str]:
    return {word: name for name, several in words.items() for word in (name, *several.split(", "))}


_EMOTION_OF, _SEX_OF = _inverted(EMOTION_WORDS), _inverted(SEX_WORDS)


@cache
def emotion_of(label: str) -> str:
    """Return the common name of a label: lower-cased, and a synonym replaced.

    Example:
        >>> emotion_of("Wut"), emotion_of(" Joy"), emotion_of("Very bored")
        ('angry', 'happy', 'very bored')
    """
    word = _lowered(label)
    return _EMOTION_OF.get(word, word)


@cache
def sex_of(word: str) -> str | None:
    """Return the common name of a sex, another word as it is, lower-cased; ``None`` of nothing.

    Example:
        >>> sex_of("F"), sex_of("männlich"), sex_of("nonbinary"), sex_of(" ")
        ('female', 'male', 'nonbinary', None)
    """
    lowered = _lowered(word)
    return _SEX_OF.get(lowered, lowered) or None


def is_emotion(word: str) -> bool:
    """Whether a word names an emotion of `EMOTION_WORDS`."""
    return _lowered(word) in _EMOTION_OF


def changes(labels: Iterable[str]) -> list[str]:
    """Return a sentence that says which labels are read as others; none if each is its own name.

    Example:
        >>> changes(["Wut", "anger", "happy", "Wut"])
        ['Labels read by the table of synonyms: anger as angry, Wut as angry. data.synonyms=false keeps them as written.']
    """
    read = [
        f"{label} as {emotion_of(label)}" for label in sorted(set(labels), key=str.lower) if label != emotion_of(label)
    ]
    if not read:
        return []
    return [f"Labels read by the table of synonyms: {', '.join(read)}. data.synonyms=false keeps them as written."]


def _lowered(text: str) -> str:
    return " ".join(text.split()).lower()
