"""TESS: acted Canadian English, 2800 clips, 2 women, 7 emotions, 200 words in "Say the word ...".

Source: Pichora-Fuller and Dupuis, 2020, https://doi.org/10.5683/SP2/E8H2MF (CC BY-NC-ND 4.0).

The file name is the annotation: ``OAF_back_ps.wav`` is ``<speaker>_<word>_<emotion>``; ``ps`` is pleasant surprise. The
names of the folders differ in case and wording and are ignored.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus, Download
from ser.corpora.manifest import Utterance

_NAME = re.compile(r"(OAF|OA|YAF)_([a-z]+)_([a-z]+)", re.IGNORECASE)

AGES = {"OAF": 64, "YAF": 26}
"""Ages in years of the older and the younger actress, as the release states them."""


class Tess(Corpus):
    """TESS, also in the widely used copy that nests the set inside itself and so contains every clip twice."""

    name = "tess"
    title = "TESS"
    citation = "M. K. Pichora-Fuller and K. Dupuis, 'Toronto emotional speech set (TESS)', Borealis, V1, 2020."
    doi = "10.5683/SP2/E8H2MF"
    licence = "CC BY-NC-ND 4.0 (not for commercial use, no changed copies)"
    homepage = "https://borealisdata.ca/dataset.xhtml?persistentId=doi:10.5683/SP2/E8H2MF"
    language = "English"
    hours = 1.6
    aliases = (
        "TESS Toronto emotional speech set data",
        "TESS Toronto emotional speech set",
        "toronto-emotional-speech-set-tess",
        "toronto-emotional-speech-set",
    )
    emotions: ClassVar[Mapping[str, str]] = {
        "angry": "angry",
        "disgust": "disgust",
        "fear": "fear",
        "happy": "happy",
        "neutral": "neutral",
        "ps": "surprise",
        "sad": "sad",
    }
    expected_utterances = 2800
    expected_speakers = 2
    expected_per_emotion: ClassVar[Mapping[str, int]] = dict.fromkeys(emotions.values(), 400)
    # The archive publishes no checksum of the whole; its list of files gives the MD5 and the size of each, which are
    # verified. No other source of those MD5s was found, so none is stored here.
    downloads = (
        Download(
            url="https://borealisdata.ca/api/datasets/:persistentId/versions/:latest-published/files"
            "?persistentId=doi:10.5683/SP2/E8H2MF",
            checksum=None,
            bytes=None,
            source="The DOI's landing page at Borealis; the form of the address from the Dataverse guides (Native API, "
            "'List Files in a Dataset'; Data Access API).",
            kind="dataverse",
            keep=("*.wav", "*.zip"),
        ),
    )
    known_problems = ("clipping",)
    notes = (
        "OA_bite_neutral is a clip of the older actress (OAF); its id here is tess/OAF_bite_neutral.",
        "OAF_food_fear is sampled at 96 kHz, the others at 24.414 kHz.",
        "YAF_germ_angry and YAF_neat_fear are AIFF files with the suffix .wav.",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``OAF_back_ps.wav``."""
        match = _NAME.fullmatch(path.stem)
        if match is None or match[3].lower() not in self.emotions:
            return None
        speaker = "YAF" if match[1].upper() == "YAF" else "OAF"
        word, code = match[2].lower(), match[3].lower()
        return Utterance(
            id=f"{self.name}/{speaker}_{word}_{code}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex="female",
            emotion=self.emotions[code],
            sentence=f"{self.name}/{word}",
            age=AGES[speaker],
        )
