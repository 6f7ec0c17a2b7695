"""CREMA-D: acted American English, 7442 clips, 91 actors, 6 emotions, 12 sentences, with listeners' votes.

Source: Cao et al., 2014, https://doi.org/10.1109/TAFFC.2014.2336244 (ODbL 1.0).

The file name is the annotation: ``1001_DFA_ANG_XX.wav`` is ``<actor>_<sentence>_<emotion>_<intensity>``. Age, race
and ethnicity come from the released ``VideoDemographics.csv`` and the votes from ``tabulatedVotes.csv``, which may lie
anywhere under the folder; many copies contain the audio only.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus, Download
from ser.corpora.formats.released import released_rows
from ser.corpora.manifest import Utterance
from ser.errors import BadCorpusError

SENTENCES = {
    "DFA": "Don't forget a jacket.",
    "IEO": "It's eleven o'clock.",
    "IOM": "I'm on my way to the meeting.",
    "ITH": "I think I have a doctor's appointment.",
    "ITS": "I think I've seen this before.",
    "IWL": "I would like a new alarm clock.",
    "IWW": "I wonder what this is about.",
    "MTI": "Maybe tomorrow it will be cold.",
    "TAI": "The airplane is almost full.",
    "TIE": "That is exactly what happened.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}
INTENSITIES = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
# Many copies have no table of actors, but their sex must be known. From VideoDemographics.csv of CREMA-D, made
# available under the Open Database License 1.0, http://opendatacommons.org/licenses/odbl/1.0/. The others are female.
_MALE = """
1001 1005 1011 1014 1015 1016 1017 1019 1022 1023 1026 1027 1031 1032 1033 1034 1035 1036 1038 1039 1040 1041 1042 1044
1045 1048 1050 1051 1057 1059 1062 1064 1065 1066 1067 1068 1069 1070 1071 1077 1080 1081 1083 1085 1086 1087 1088 1090
"""
MALE = frozenset(_MALE.split())
VOTE_COLUMNS = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}

_NAME = re.compile(rf"(10\d\d)_({'|'.join(SENTENCES)})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX)", re.IGNORECASE)
_ACTORS = range(1001, 1092)


class Crema(Corpus):
    """CREMA-D's audio, in ``AudioWAV/`` or flat; the MP3s that listeners heard are used only if there is no WAV."""

    name = "crema"
    title = "CREMA-D"
    citation = (
        "H. Cao, D. G. Cooper, M. K. Keutmann, R. C. Gur, A. Nenkova and R. Verma, 'CREMA-D: Crowd-sourced Emotional "
        "Multimodal Actors Dataset', IEEE Transactions on Affective Computing 5(4), pp. 377-390, 2014."
    )
    doi = "10.1109/TAFFC.2014.2336244"
    licence = "ODbL 1.0 (contents: DbCL 1.0)"
    homepage = "https://github.com/CheyneyComputerScience/CREMA-D"
    language = "English"
    hours = 5.3
    aliases = ("CREMA-D", "cremad", "crema-d-master", "crema-d-mirror", "crema-d-mirror-main", "crema-d-mirror-master")
    emotions: ClassVar[Mapping[str, str]] = {
        "ANG": "angry",
        "DIS": "disgust",
        "FEA": "fear",
        "HAP": "happy",
        "NEU": "neutral",
        "SAD": "sad",
    }
    expected_utterances = 7442
    expected_speakers = 91
    expected_per_emotion: ClassVar[Mapping[str, int]] = {**dict.fromkeys(emotions.values(), 1271), "neutral": 1087}
    # GitHub packs the repository again for every request and publishes no checksum of that zip. The clips in it are
    # git-LFS pointers with the publisher's SHA-256 and size, which are verified.
    downloads = (
        Download(
            url="https://github.com/CheyneyComputerScience/CREMA-D/archive/refs/heads/master.zip",
            checksum=None,
            bytes=None,
            source="The repository's README ('zip download': CSV files and stubs of the audio, 24 MB); the address "
            "of large files as in TensorFlow Datasets' crema_d; the mirror as in the README.",
            kind="git-lfs",
            keep=(
                "AudioWAV/*.wav",
                "processedResults/*.csv",
                "VideoDemographics.csv",
                "SentenceFilenames.csv",
                "README.md",
                "LICENSE.txt",
            ),
            media=(
                "https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master/{path}",
                "https://gitlab.com/cs-cooper-lab/crema-d-mirror/-/raw/main/{path}",
            ),
        ),
    )
    known_bad: ClassVar[Mapping[str, str]] = {
        "crema/1076_MTI_SAD_XX": "no sound (the release's README: no audio, very short)"
    }
    known_bad_mp3: ClassVar[Mapping[str, str]] = {
        "crema/1064_IEO_DIS_MD": "the MP3 holds every emotion, in a minute (the release's README); the WAV is fine",
        "crema/1064_TIE_SAD_XX": "the MP3 has no duration (the release's README); the WAV is fine",
        "crema/1076_MTI_NEU_XX": "the MP3 has no sound (the release's README); the WAV is fine",
    }
    notes = (
        "Its makers ask those who use it to fill in the form that the README of the release links to.",
        "Copies made without git-LFS hold pointers of about 130 bytes instead of audio.",
        "Only sentence IEO was asked for at low, medium and high intensity.",
        "Listeners' plurality (voice only) is the intended emotion on under half of the untied clips; 644 tie.",
    )

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``1001_DFA_ANG_XX.wav``."""
        match = _NAME.fullmatch(path.stem)
        if match is None or int(match[1]) not in _ACTORS:
            return None
        actor, sentence, emotion, intensity = (part.upper() for part in match.groups())
        return Utterance(
            id=f"{self.name}/{actor}_{sentence}_{emotion}_{intensity}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{actor}",
            sex="male" if actor in MALE else "female",
            emotion=self.emotions[emotion],
            sentence=f"{self.name}/{sentence}",
            intensity=INTENSITIES[intensity],
        )

    def describe(self, clips: list[Utterance]) -> list[Utterance]:
        """Add age, race, ethnicity and voice-only votes from the released tables under ``root``."""
        actors = _demographics(self.table("VideoDemographics.csv"))
        votes = _votes(self.table("tabulatedVotes.csv"))
        described = []
        for clip in clips:
            age, race, ethnicity = actors.get(str(clip.speaker), (None, None, None))
            described.append(replace(clip, age=age, race=race, ethnicity=ethnicity, votes=votes.get(clip.id)))
        return described

    def wrong_with(self, utterance: Utterance) -> str | None:
        """Return why a clip cannot be used, or ``None``; three clips are damaged in the released MP3 only."""
        if utterance.path.suffix.lower() == ".mp3" and utterance.id in self.known_bad_mp3:
            return self.known_bad_mp3[utterance.id]
        return super().wrong_with(utterance)

    def complete(self) -> bool:
        """Whether every clip exists as audio, with the tables of actors and votes."""
        tables = ("VideoDemographics.csv", "tabulatedVotes.csv")
        return all(self.table(name) for name in tables) and super().complete()


def _demographics(table: Path | None) -> dict[str, tuple[int, str | None, str | None]]:
    """Return the age, race and ethnicity of each speaker; the release's race "Unknown" becomes ``None``."""
    rows = released_rows(table, ("ActorID", "Age", "Race", "Ethnicity"), Crema.title)
    return {
        f"crema/{actor}": (int(age), None if race == "Unknown" else race, ethnicity)
        for actor, age, race, ethnicity in rows
    }


def _votes(table: Path | None) -> dict[str, dict[str, float]]:
    """Return the votes per emotion of each utterance id, from the voice-only rows (their number starts with 1)."""
    votes: dict[str, dict[str, float]] = {}
    for number, name, *counts in released_rows(table, ("", "fileName", *VOTE_COLUMNS), Crema.title):
        if not number.startswith("1"):
            continue
        if (id_ := f"crema/{name}") in votes:
            raise BadCorpusError(
                f"{table} must have one voice-only row per clip; got two voice-only rows for {name}. Replace it with the "
                "table that CREMA-D publishes."
            )
        votes[id_] = {e: float(n) for e, n in zip(VOTE_COLUMNS.values(), counts, strict=True)}
    return votes
