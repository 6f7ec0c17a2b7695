"""ShEMO: Persian speech from radio plays, 3000 clips, 87 speakers, 6 emotions.

Source: Mohamad Nezami et al., 2019, https://doi.org/10.1007/s10579-018-9427-x (free for academic purposes).

The file name is the annotation: ``F03S02.wav`` is ``<sex><speaker><emotion><number>``. Codes, clips and speakers: the
release's README, https://github.com/pariajm/sharif-emotional-speech-dataset. It states no clips per emotion.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

_NAME = re.compile(r"([FM])(\d\d)([ASHWFN])(\d\d)", re.IGNORECASE)


class Shemo(Corpus):
    """ShEMO's two folders, ``female`` and ``male``, or flat."""

    name = "shemo"
    title = "ShEMO"
    citation = (
        "O. Mohamad Nezami, P. Jamshid Lou and M. Karami, 'ShEMO: a large-scale validated database for Persian speech "
        "emotion detection', Language Resources and Evaluation 53(1), pp. 1-16, 2019."
    )
    doi = "10.1007/s10579-018-9427-x"
    licence = "free for academic purposes"
    homepage = "https://github.com/pariajm/sharif-emotional-speech-dataset"
    language = "Persian"
    material = "radio plays"
    hours = 3.4
    aliases = ("sharif-emotional-speech-dataset", "sharif-emotional-speech-database")
    emotions: ClassVar[Mapping[str, str]] = {
        "A": "angry",
        "F": "fear",
        "H": "happy",
        "N": "neutral",
        "S": "sad",
        "W": "surprise",
    }
    expected_utterances = 3000
    expected_speakers = 87
    how_to_get = "female.zip and male.zip by the links in the README of the address above; unpack both into that folder"
    notes = (
        "The emotion is the majority of twelve listeners.",
        "The release's shemo.json lists 2838 of the 3000 clips: EmoBox and others use those.",
        "What is said is not read: the sentences of a radio play are said once.",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``F03S02.wav``."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        sex, number, emotion, _ = (part.upper() for part in match.groups())
        return Utterance(
            id=f"{self.name}/{path.stem.upper()}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{sex}{number}",
            sex="female" if sex == "F" else "male",
            emotion=self.emotions[emotion],
            sentence=None,
        )
