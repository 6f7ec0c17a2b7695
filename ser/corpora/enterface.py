"""eNTERFACE'05: acted English speech of non-native speakers, 1293 videos, 44 subjects, 6 emotions.

Source: Martin et al., 2006, https://doi.org/10.1109/ICDEW.2006.145 (for research only).

The name is the annotation: ``subject 1/anger/sentence 1/s1_an_1.avi`` is ``s<subject>_<emotion>_<sentence>``. Names, and
the errors in them that are read around here: nkululeko, data/enterface/process_database.py; counts: albanie/mcnDatasets,
enterface/README.md (the paper describes an earlier set of 42 subjects and 1166 videos). EmoBox has 1263 clips: those of
subjects 11 and 12 have the same names there. The sexes of the subjects are not listed (81 % are men).
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

_NAME = re.compile(r"s_?(\d{1,2})_(an|di|fe|ha|sa|su)(?:_([1-5]))?(?:avi)?", re.IGNORECASE)
_SUBJECTS = range(1, 45)
_FOLDER = re.compile(r"subject[ _-]?(\d{1,2})", re.IGNORECASE)


class Enterface(Corpus):
    """The audio of eNTERFACE'05, extracted from its videos beside them."""

    name = "enterface"
    title = "eNTERFACE'05"
    citation = (
        "O. Martin, I. Kotsia, B. Macq and I. Pitas, 'The eNTERFACE'05 Audio-Visual Emotion Database', 22nd International "
        "Conference on Data Engineering Workshops, p. 8, 2006."
    )
    doi = "10.1109/ICDEW.2006.145"
    licence = "for research only"
    homepage = "https://enterface.net/enterface05/main.php?frame=emotion"
    language = "English"
    hours = 1.1
    aliases = ("enterface05", "enterface database", "enterface_database", "enterface-05")
    emotions: ClassVar[Mapping[str, str]] = {
        "an": "angry",
        "di": "disgust",
        "fe": "fear",
        "ha": "happy",
        "sa": "sad",
        "su": "surprise",
    }
    expected_utterances = 1293
    expected_speakers = 44
    expected_per_emotion: ClassVar[Mapping[str, int]] = {**dict.fromkeys(emotions.values(), 216), "happy": 213}
    how_to_get = (
        "from the address above; unpack it into that folder, and extract the audio there: "
        """find . -name '*.avi' -exec sh -c 'ffmpeg -i "$1" -vn "${1%.avi}.wav"' _ {} \\;"""
    )
    notes = (
        "Keep the folders: the clips of subject 11 are named s12 in the release, and only the folder tells them apart.",
        "Subject 6 has one clip of each emotion, which is not divided into sentences; subject 23 has two of happiness.",
        "Each emotion has five sentences of its own: the words alone give the emotion away.",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a path such as ``subject 1/anger/sentence 1/s1_an_1.wav``; the folder of the subject is optional."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        folder = next(
            (found[1] for part in path.relative_to(self.root).parts[::-1] if (found := _FOLDER.fullmatch(part))),
            match[1],
        )
        if int(folder) not in _SUBJECTS:
            return None
        speaker, code, sentence = f"s{int(folder)}", match[2].lower(), match[3]
        return Utterance(
            id=f"{self.name}/{speaker}_{code}" + (f"_{sentence}" if sentence else ""),
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex=None,
            emotion=self.emotions[code],
            sentence=f"{self.name}/{code}{sentence}" if sentence else None,
        )
