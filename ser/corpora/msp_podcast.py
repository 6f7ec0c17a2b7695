"""MSP-Podcast: spontaneous English speech from podcasts, 8 emotions, with the release's split.

Source: Lotfian and Busso, 2019, https://doi.org/10.1109/TAFFC.2017.2736999 (by a licence agreement).

``Audios/MSP-PODCAST_0001_0008.wav`` is a turn of podcast 1; ``labels_consensus.csv`` states its emotion, arousal, valence,
dominance, speaker, sex and side. Its columns and codes are quoted by many public projects, EmoBox among them. The releases
(1.0 to 2.0) differ in clips, so no counts are checked.
"""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.formats.released import released_rows
from ser.corpora.manifest import Utterance

LABELS = "labels_consensus.csv"
DIMENSIONS = ("arousal", "valence", "dominance")
"""What listeners rated from 1 to 7."""
UNKNOWN = ("Unknown", "")


class MspPodcast(Corpus):
    """The turns of MSP-Podcast that are in the table.

    Args:
        root: The folder that holds the corpus.
        test: The part of the release that is the test side of ``protocol=given_split``: ``Test1``, ``Test2`` or ``Test3``;
            its other test parts are then on no side.
    """

    name = "msp_podcast"
    title = "MSP-Podcast"
    citation = (
        "R. Lotfian and C. Busso, 'Building Naturalistic Emotionally Balanced Speech Corpus by Retrieving Emotional Speech "
        "From Existing Podcast Recordings', IEEE Transactions on Affective Computing 10(4), pp. 471-483, 2019."
    )
    doi = "10.1109/TAFFC.2017.2736999"
    licence = "by a licence agreement, academic or commercial"
    homepage = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html"
    language = "English"
    material = "podcasts"
    aliases = ("MSP-PODCAST-Publish-2.0", "MSP-PODCAST-Publish-1.12", "MSP-PODCAST-Publish-1.11")
    emotions: ClassVar[Mapping[str, str]] = {
        "A": "angry",
        "C": "contempt",
        "D": "disgust",
        "F": "fear",
        "H": "happy",
        "N": "neutral",
        "O": "other",
        "S": "sad",
        "U": "surprise",
        "X": "undecided",
    }
    how_to_get = "by the agreement at the address above; unpack it into that folder"
    notes = (
        "The emotion is that of most listeners; on some turns they did not agree (undecided).",
        "labels=agreed drops these, and those that are none of the eight emotions (other).",
        "The sides of the release share no known speaker; many speakers are unknown.",
    )

    def __init__(self, root: str | Path, test: str = "Test1") -> None:
        super().__init__(root)
        self.sides = {"Train": "train", "Development": "dev", "Validation": "dev", test: "test"}

    @cached_property
    def _labels(self) -> Mapping[str, list[str]]:
        """Emotion, speaker, sex, side, arousal, valence and dominance of each file."""
        columns = ("FileName", "EmoClass", "SpkrID", "Gender", "Split_Set", "EmoAct", "EmoVal", "EmoDom")
        return {Path(name).stem: stated for name, *stated in released_rows(self.labels_in(LABELS), columns, self.title)}

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``MSP-PODCAST_0001_0008.wav``; ``None`` for one without a label."""
        stated = self._labels.get(path.stem)
        if stated is None or stated[0] not in self.emotions:
            return None
        code, speaker, sex, side, *numbers = stated
        split = {"split": self.sides[side]} if side in self.sides else {}
        return Utterance(
            id=f"{self.name}/{path.stem}",
            path=path,
            corpus=self.name,
            speaker=None if speaker in UNKNOWN else f"{self.name}/{speaker}",
            sex=None if sex in UNKNOWN else sex.lower(),
            emotion=self.emotions[code],
            sentence=None,
            further=split | dict(zip(DIMENSIONS, numbers, strict=True)),
        )
