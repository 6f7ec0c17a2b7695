"""EMOVO: acted Italian speech, 588 clips, 6 actors, 7 emotions, 14 sentences.

Source: Costantini et al., 2014, https://aclanthology.org/L14-1478 (free of charge; no licence is stated).

The file name is the annotation: ``gio-m1-b1.wav`` is ``<emotion>-<actor>-<sentence>``; the emotion is the beginning of its
Italian word. Names, ages and sentences: EmoBox, EmoBox/preprocess/scripts/emovo.py; counts: its data/emovo.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna: nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato...ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}
AGES = {"f1": 28, "f2": 23, "f3": 25, "m1": 30, "m2": 27, "m3": 30}
"""Ages of the actors in years."""

_NAME = re.compile(rf"(neu|dis|gio|pau|rab|sor|tri)-({'|'.join(AGES)})-({'|'.join(SENTENCES)})", re.IGNORECASE)


class Emovo(Corpus):
    """EMOVO, with a folder for each actor or flat."""

    name = "emovo"
    title = "EMOVO"
    citation = (
        "G. Costantini, I. Iaderola, A. Paoloni and M. Todisco, 'EMOVO Corpus: an Italian Emotional Speech Database', "
        "LREC, 2014."
    )
    doi = ""
    licence = "free of charge; no licence is stated"
    homepage = "http://voice.fub.it/activities/corpora/emovo/index.html"
    language = "Italian"
    hours = 0.5
    aliases = ("emovo corpus",)
    emotions: ClassVar[Mapping[str, str]] = {
        "dis": "disgust",
        "gio": "happy",
        "neu": "neutral",
        "pau": "fear",
        "rab": "angry",
        "sor": "surprise",
        "tri": "sad",
    }
    expected_utterances = 588
    expected_speakers = 6
    expected_per_emotion: ClassVar[Mapping[str, int]] = dict.fromkeys(emotions.values(), 84)
    how_to_get = "from the address above; unpack it into that folder (it cannot be downloaded automatically)"
    notes = ("Five of the 14 sentences make no sense (n1 to n5), so that their words hint at no emotion.",)

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``gio-m1-b1.wav``."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        emotion, speaker, sentence = (part.lower() for part in match.groups())
        return Utterance(
            id=f"{self.name}/{emotion}-{speaker}-{sentence}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex="male" if speaker[0] == "m" else "female",
            emotion=self.emotions[emotion],
            sentence=f"{self.name}/{sentence}",
            age=AGES[speaker],
        )
