"""URDU: Urdu speech from talk shows, 400 clips, 4 emotions.

Source: Latif et al., 2018, https://arxiv.org/abs/1812.10411 (for research only).

The file name is the annotation: ``SM5_F61_N089.wav`` is ``S<sex><speaker>_F<file>_<emotion><number>``. Names and counts:
EmoBox, EmoBox/preprocess/scripts/urdu.py and data/urdu; licence: the release's README,
https://github.com/siddiquelatif/URDU-Dataset.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

_NAME = re.compile(r"(S([FM])\d+)_F\d+_([AHNS])\d+", re.IGNORECASE)


class Urdu(Corpus):
    """URDU, in its folders ``Angry``, ``Happy``, ``Neutral`` and ``Sad`` or flat."""

    name = "urdu"
    title = "URDU"
    citation = (
        "S. Latif, A. Qayyum, M. Usman and J. Qadir, 'Cross Lingual Speech Emotion Recognition: Urdu vs. Western "
        "Languages', arXiv:1812.10411, 2018."
    )
    doi = ""
    licence = "for research only"
    homepage = "https://github.com/siddiquelatif/URDU-Dataset"
    language = "Urdu"
    material = "talk shows"
    hours = 0.3
    aliases = ("urdu-dataset", "urdu-dataset-master")
    emotions: ClassVar[Mapping[str, str]] = {"A": "angry", "H": "happy", "N": "neutral", "S": "sad"}
    expected_utterances = 400
    expected_speakers = 29
    expected_per_emotion: ClassVar[Mapping[str, int]] = dict.fromkeys(emotions.values(), 100)
    how_to_get = "git clone https://github.com/siddiquelatif/URDU-Dataset into that folder"
    notes = (
        "The names of the files hold 29 speakers; the release's README says 38 (27 male, 11 female).",
        "72 of the 100 neutral clips are of one speaker, SM5.",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``SM5_F61_N089.wav``."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        speaker, sex, emotion = (part.upper() for part in match.groups())
        return Utterance(
            id=f"{self.name}/{path.stem.upper()}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex="female" if sex == "F" else "male",
            emotion=self.emotions[emotion],
            sentence=None,
        )
