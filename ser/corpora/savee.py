"""SAVEE: acted British English, 480 clips, 4 men, 7 emotions.

Source: Haq and Jackson, 2010, https://doi.org/10.4018/978-1-61520-919-4.ch017 (by registration, for research).

The file name is the annotation: ``DC/a01.wav``, or ``DC_a01.wav`` in flat copies, is ``<speaker>``, ``<emotion>`` and a
number. The release's ``Info.txt`` does not define the number ("d03 is the 3rd disgust sentence"). The database's page
gives the design: for each emotion 3 sentences common to all, 2 specific to that emotion and 10 that occur nowhere
else; the 3 + 12 of the first two kinds are also said as neutral. The numbers were identified by aligning the
recordings (dynamic time warping of MFCCs; the four speakers agree, and a test repeats it): 01 to 03 are common; 04 and
05 are specific to the emotion; neutral 16 to 18 repeat the common ones, and neutral 19 to 30 those of anger, disgust,
fear, surprise, sadness and happiness, two each. Nobody checked the numbers by ear: single clips may be out of order.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

_NAME = re.compile(r"(?:(DC|JE|JK|KL)_)?(sa|su|a|d|f|h|n)(0[1-9]|[12]\d|30)", re.IGNORECASE)

SPEAKERS = ("DC", "JE", "JK", "KL")
_SAID_AS_NEUTRAL = ("a", "d", "f", "su", "sa", "h")
"""Emotions whose sentences 04 and 05 are said as neutral 19 and 20, 21 and 22, ..., in this order."""


def sentence_of(code: str, number: int) -> str:
    """Return the name of a sentence: ``common1`` to ``common3``, or the emotion and number that identify it.

    Example:
        >>> sentence_of("a", 1), sentence_of("n", 16), sentence_of("a", 4), sentence_of("n", 19), sentence_of("n", 4)
        ('common1', 'common1', 'a04', 'a04', 'n04')
    """
    if code == "n" and number > 18:
        pair, second = divmod(number - 19, 2)
        return f"{_SAID_AS_NEUTRAL[pair]}{4 + second:02d}"
    if code == "n" and number > 15:
        number -= 15
    return f"common{number}" if number <= 3 else f"{code}{number:02d}"


class Savee(Corpus):
    """SAVEE's audio, as released (``AudioData/DC/a01.wav``) or flat (``DC_a01.wav``)."""

    name = "savee"
    title = "SAVEE"
    citation = (
        "S. Haq and P. J. B. Jackson, 'Multimodal Emotion Recognition', in W. Wang (ed.), Machine Audition: "
        "Principles, Algorithms and Systems, IGI Global, pp. 398-423, 2010."
    )
    doi = "10.4018/978-1-61520-919-4.ch017"
    licence = "free for research, after registration"
    homepage = "http://kahlan.eps.surrey.ac.uk/savee/"
    language = "English"
    hours = 0.5
    aliases = ("savee database", "surrey-audiovisual-expressed-emotion-savee", "AudioData")
    emotions: ClassVar[Mapping[str, str]] = {
        "a": "angry",
        "d": "disgust",
        "f": "fear",
        "h": "happy",
        "n": "neutral",
        "sa": "sad",
        "su": "surprise",
    }
    expected_utterances = 480
    expected_speakers = 4
    expected_per_emotion: ClassVar[Mapping[str, int]] = {**dict.fromkeys(emotions.values(), 60), "neutral": 120}
    # The download address is sent by mail after registration; no checksum is published.
    how_to_get = (
        "by registering, free of charge, at http://kahlan.eps.surrey.ac.uk/savee/Register.html; unpack the "
        "AudioData.zip that you receive into that folder (it cannot be downloaded automatically)"
    )
    known_problems = ("DC offset", "clipping")
    notes = (
        "Neutral has twice the clips of the others.",
        "160 of the 480 clips hold runs of clipped samples.",
        "All speakers are men, aged 27 to 31; who is how old is not stated.",
        "Sentences are shared between emotions: a split by sentence must go by sentence id, not by number.",
        "72 of the 87 sentences are said with one emotion only, by all four speakers: under loso the sentence id alone, "
        "without audio, has a UAR of 77.1 (chance 14.3).",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``DC_a01.wav``, or ``a01.wav`` in a folder ``DC``."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        speaker, code, number = (match[1] or path.parent.name).upper(), match[2].lower(), int(match[3])
        if speaker not in SPEAKERS or (number > 15 and code != "n"):
            return None
        return Utterance(
            id=f"{self.name}/{speaker}_{code}{number:02d}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex="male",
            emotion=self.emotions[code],
            sentence=f"{self.name}/{sentence_of(code, number)}",
            repetition=2 if code == "n" and 16 <= number <= 18 else 1,
        )
