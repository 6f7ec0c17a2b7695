"""RAVDESS: acted North American English, speech part: 1440 clips, 24 actors, 8 emotions, 2 sentences.

Source: Livingstone and Russo, 2018, https://doi.org/10.1371/journal.pone.0196391 (CC BY-NC-SA 4.0).

The file name is the annotation: ``03-01-06-01-02-01-12.wav`` is
``<modality>-<channel>-<emotion>-<intensity>-<statement>-<repetition>-<actor>``. Modality 03 is audio only (01 and 02
are video), channel 01 is speech (02 is song). Actors with odd numbers are male.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus, Download
from ser.corpora.manifest import Utterance

_NAME = re.compile(r"03-01-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")

INTENSITIES = {"01": "normal", "02": "strong"}
SENTENCES = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}


class Ravdess(Corpus):
    """The speech recordings of RAVDESS; its songs and videos are named alike and are excluded."""

    name = "ravdess"
    title = "RAVDESS"
    citation = (
        "S. R. Livingstone and F. A. Russo, 'The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS): "
        "A dynamic, multimodal set of facial and vocal expressions in North American English', PLoS ONE 13(5), "
        "e0196391, 2018."
    )
    doi = "10.5281/zenodo.1188976"
    licence = "CC BY-NC-SA 4.0 (not for commercial use)"
    homepage = "https://zenodo.org/records/1188976"
    language = "English"
    hours = 1.5
    aliases = ("ravdess speech", "ravdess-emotional-speech-audio", "Audio_Speech_Actors_01-24")
    emotions: ClassVar[Mapping[str, str]] = {
        "01": "neutral",
        "02": "calm",
        "03": "happy",
        "04": "sad",
        "05": "angry",
        "06": "fear",
        "07": "disgust",
        "08": "surprise",
    }
    expected_utterances = 1440
    expected_speakers = 24
    # Neutral has no strong intensity, hence half as many clips.
    expected_per_emotion: ClassVar[Mapping[str, int]] = {
        **dict.fromkeys(("angry", "calm", "disgust", "fear", "happy", "sad", "surprise"), 192),
        "neutral": 96,
    }
    downloads = (
        Download(
            url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
            checksum="md5:bc696df654c87fed845eb13823edef8a",
            bytes=208_468_073,
            source="Zenodo's record 1188976, which publishes the MD5 and size; quoted by many public projects.",
        ),
    )
    identical = (("ravdess/03-01-03-01-02-01-07", "ravdess/03-01-03-01-02-02-07"),)
    known_problems = ("duplicate",)
    notes = (
        "03-01-03-01-02-01-07 and 03-01-03-01-02-02-07 are the same bytes: actor 07 said it once.",
        "Neutral has half the clips of the others (no strong intensity); calm exists in no other corpus here.",
        "Clips start with about a second of silence; five files are stereo with equal channels.",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``03-01-06-01-02-01-12.wav``; ``None`` for songs, videos and unused numbers."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        emotion, intensity, sentence, repetition, actor = match.groups()
        if self.emotions[emotion] == "neutral" and INTENSITIES[intensity] == "strong":
            return None
        return Utterance(
            id=f"{self.name}/{path.stem}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{actor}",
            sex="male" if int(actor) % 2 else "female",
            emotion=self.emotions[emotion],
            sentence=f"{self.name}/{sentence}",
            intensity=INTENSITIES[intensity],
            repetition=int(repetition),
        )
