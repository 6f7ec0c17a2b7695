"""EmoDB: acted German speech, 535 clips, 10 actors, 7 emotions (with boredom), 10 sentences.

Source: Burkhardt et al., 2005, https://doi.org/10.21437/Interspeech.2005-446 (CC BY 4.0 at Zenodo).

The file name is the annotation: ``03a01Fa.wav`` is ``<speaker><sentence><emotion><version>``; the letter of the emotion is
that of its German word. Codes, speakers, ages and sentences: the database's page, http://emodb.bilderbar.info, as repeated
in DagsHub/audio-datasets; counts per emotion: EmoBox, data/emodb.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus, Download
from ser.corpora.manifest import Utterance

SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
MALE = {"03": 31, "10": 32, "11": 26, "12": 30, "15": 25}
"""Ages of the male speakers in years."""
AGES = {**MALE, "08": 34, "09": 21, "13": 32, "14": 35, "16": 31}

_NAME = re.compile(rf"({'|'.join(AGES)})({'|'.join(SENTENCES)})([WLEAFTN])([a-z])", re.IGNORECASE)


class EmoDb(Corpus):
    """The clips that listeners recognised (above 80 %) and found natural (above 60 %): those that were published."""

    name = "emodb"
    title = "EmoDB"
    citation = (
        "F. Burkhardt, A. Paeschke, M. Rolfes, W. F. Sendlmeier and B. Weiss, 'A database of German emotional speech', "
        "Interspeech, pp. 1517-1520, 2005."
    )
    doi = "10.21437/Interspeech.2005-446"
    licence = "CC BY 4.0"
    homepage = "http://emodb.bilderbar.info"
    language = "German"
    hours = 0.4
    aliases = ("Emo-DB", "Berlin database of emotional speech", "berlin-database-of-emotional-speech-emodb")
    emotions: ClassVar[Mapping[str, str]] = {
        "W": "angry",
        "L": "bored",
        "E": "disgust",
        "A": "fear",
        "F": "happy",
        "N": "neutral",
        "T": "sad",
    }
    expected_utterances = 535
    expected_speakers = 10
    expected_per_emotion: ClassVar[Mapping[str, int]] = {
        "angry": 127,
        "bored": 81,
        "disgust": 46,
        "fear": 69,
        "happy": 71,
        "neutral": 79,
        "sad": 62,
    }
    downloads = (
        Download(
            url="https://zenodo.org/records/7447302/files/emodb.zip?download=1",
            checksum="md5:9d21362dbc5676ef3ab4745d83ced0db",
            bytes=39_981_818,
            source="Zenodo's record 7447302 (version 1.3.0), which publishes the MD5 and size; quoted by public projects.",
        ),
    )
    notes = ("Ten actors said about 800 clips; the 535 that listeners recognised and found natural were published.",)

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``03a01Fa.wav``."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        speaker, sentence, emotion, version = match[1], match[2].lower(), match[3].upper(), match[4].lower()
        return Utterance(
            id=f"{self.name}/{speaker}{sentence}{emotion}{version}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex="male" if speaker in MALE else "female",
            emotion=self.emotions[emotion],
            sentence=f"{self.name}/{sentence}",
            age=AGES[speaker],
        )
