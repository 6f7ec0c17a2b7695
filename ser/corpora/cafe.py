"""CaFE: acted Canadian French speech, 936 clips, 12 actors, 7 emotions, 6 sentences.

Source: Gournay, Lahaie and Lefebvre, 2018, https://zenodo.org/records/1478765 (CC BY-NC-SA 4.0).

The file name is the annotation: ``01-C-1-1.wav`` is ``<actor>-<emotion>-<intensity>-<sentence>``; the letter of the emotion
is that of its French word. Codes, ages and sentences: the release's Readme.txt, as repeated in EmoBox,
EmoBox/preprocess/scripts/cafe.py; counts: its data/cafe; licence: SuperKogito/SER-datasets.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

SENTENCES = {
    "1": "Un cheval fou dans mon jardin",
    "2": "Deux ânes aigris au pelage brun",
    "3": "Trois cygnes aveugles au bord du lac",
    "4": "Quatre vieilles truies éléphantesques",
    "5": "Cinq pumas fiers et passionnés",
    "6": "Six ours aimants domestiqués",
}
INTENSITIES = {"1": "mild", "2": "strong"}
AGES = dict(zip((f"{i:02d}" for i in range(1, 13)), (46, 64, 18, 50, 22, 34, 15, 25, 42, 20, 35, 37), strict=True))
"""Ages of the actors in years; odd numbers are male."""

_NAME = re.compile(r"(0[1-9]|1[0-2])-(?:([CDJPST])-([12])|(N)-1)-([1-6])", re.IGNORECASE)


class Cafe(Corpus):
    """CaFE at either of its sampling rates (48 or 192 kHz): the names are the same."""

    name = "cafe"
    title = "CaFE"
    citation = (
        "P. Gournay, O. Lahaie and R. Lefebvre, 'A Canadian French emotional speech dataset', Proceedings of the 9th ACM "
        "Multimedia Systems Conference, pp. 399-402, 2018."
    )
    doi = "10.5281/zenodo.1478765"
    licence = "CC BY-NC-SA 4.0 (not for commercial use)"
    homepage = "https://zenodo.org/records/1478765"
    language = "French"
    hours = 1.2
    aliases = ("CaFE_48k", "CaFE_192k")
    emotions: ClassVar[Mapping[str, str]] = {
        "C": "angry",
        "D": "disgust",
        "J": "happy",
        "N": "neutral",
        "P": "fear",
        "S": "surprise",
        "T": "sad",
    }
    expected_utterances = 936
    expected_speakers = 12
    expected_per_emotion: ClassVar[Mapping[str, int]] = {**dict.fromkeys(emotions.values(), 144), "neutral": 72}
    how_to_get = "CaFE_48k.zip from https://zenodo.org/records/1478765; unpack it into that folder"
    notes = ("Neutral has half the clips of the others: it has one intensity.",)

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``01-C-1-1.wav``."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        actor, emotion, intensity, neutral, sentence = match.groups()
        return Utterance(
            id=f"{self.name}/{path.stem.upper()}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{actor}",
            sex="male" if int(actor) % 2 else "female",
            emotion=self.emotions[(emotion or neutral).upper()],
            sentence=f"{self.name}/{sentence}",
            intensity=INTENSITIES.get(intensity),
            age=AGES[actor],
        )
