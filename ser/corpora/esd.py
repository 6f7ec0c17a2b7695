"""ESD: acted English and Chinese speech, 35,000 clips, 20 speakers, 5 emotions, 350 sentences in each language.

Source: Zhou et al., 2022, https://doi.org/10.1016/j.specom.2021.11.006 (for research only).

The layout is the annotation: ``0011/Angry/0011_000351.wav`` is ``<speaker>/<emotion>/<speaker>_<number>``; in one copy of
the release a folder ``train``, ``test`` or ``evaluation`` is in between. A speaker says the same 350 sentences with each
emotion, numbered on from emotion to emotion. Speakers and licence: the release's ReadMe.txt; layout and counts: EmoBox,
EmoBox/preprocess/scripts/esd.py and data/esd.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

SENTENCES = 350
"""Sentences of a language; each is said with every emotion."""
FIRST_ENGLISH = "0011"
FEMALE = ("0001", "0002", "0003", "0007", "0009", "0015", "0016", "0017", "0018", "0019")

_NAME = re.compile(r"(00(?:0[1-9]|1\d|20))_(\d{6})")


class Esd(Corpus):
    """ESD, Chinese (speakers 0001 to 0010) and English (0011 to 0020)."""

    name = "esd"
    title = "ESD"
    citation = (
        "K. Zhou, B. Sisman, R. Liu and H. Li, 'Emotional voice conversion: Theory, databases and ESD', Speech "
        "Communication 137, pp. 1-18, 2022."
    )
    doi = "10.1016/j.specom.2021.11.006"
    licence = "for research only"
    homepage = "https://hltsingapore.github.io/ESD/"
    language = "English, Chinese"
    hours = 29.1
    aliases = ("Emotional Speech Dataset (ESD)", "Emotion Speech Dataset", "Emotional Speech Dataset")
    emotions: ClassVar[Mapping[str, str]] = {
        "Angry": "angry",
        "Happy": "happy",
        "Neutral": "neutral",
        "Sad": "sad",
        "Surprise": "surprise",
    }
    expected_utterances = 35_000
    expected_speakers = 20
    expected_per_emotion: ClassVar[Mapping[str, int]] = dict.fromkeys(emotions.values(), 7000)
    how_to_get = "by the link at https://hltsingapore.github.io/ESD/; unpack it into that folder"
    notes = (
        "Half of the speakers speak Chinese (0001 to 0010), half English; to use one half, move the other away.",
        "The release's folders train, test and evaluation share all speakers and are not used as a split.",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a path such as ``0011/Angry/0011_000351.wav``."""
        match = _NAME.fullmatch(path.stem)
        folder = next((p.name.title() for p in path.parents[:2] if p.name.title() in self.emotions), None)
        if match is None or folder is None:
            return None
        speaker, number = match.groups()
        language = "English" if speaker >= FIRST_ENGLISH else "Chinese"
        return Utterance(
            id=f"{self.name}/{path.stem}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex="female" if speaker in FEMALE else "male",
            emotion=self.emotions[folder],
            sentence=f"{self.name}/{language}{(int(number) - 1) % SENTENCES + 1:03d}",
            further={"language": language},
        )
