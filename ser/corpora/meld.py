"""MELD: English speech from the series Friends, 13,708 utterances, 7 emotions, with the release's split.

Source: Poria et al., 2019, https://arxiv.org/abs/1810.02508 (GPL-3.0; the recordings belong to the series).

``train_splits/dia0_utt1.mp4`` is utterance 1 of dialogue 0 of the training side; ``train_sent_emo.csv`` and the like state
speaker, emotion and words. Layout, counts and columns: the release's README, https://github.com/declare-lab/MELD; the two
videos without sound: several users of the release.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.formats.released import released_rows
from ser.corpora.manifest import Utterance

SIDES = ("train", "dev", "test")
SEX_OF = {
    **dict.fromkeys(("Chandler", "Joey", "Ross"), "male"),
    **dict.fromkeys(("Monica", "Phoebe", "Rachel"), "female"),
}
"""Sex of the six leading characters; that of the others is not listed."""

_NAME = re.compile(r"dia(\d+)_utt(\d+)", re.IGNORECASE)
_FOLDER = re.compile(rf"(?:^|_)({'|'.join(SIDES)})(?:_|$)", re.IGNORECASE)


class Meld(Corpus):
    """The audio of MELD, extracted from its videos beside them. Names repeat from side to side, so ids have the side."""

    name = "meld"
    title = "MELD"
    citation = (
        "S. Poria, D. Hazarika, N. Majumder, G. Naik, E. Cambria and R. Mihalcea, 'MELD: A Multimodal Multi-Party Dataset "
        "for Emotion Recognition in Conversations', ACL, 2019."
    )
    doi = ""
    licence = "GPL-3.0 (the recordings belong to the series)"
    homepage = "https://affective-meld.github.io"
    language = "English"
    material = "television series"
    hours = 12.1
    aliases = ("MELD.Raw", "MELD Raw")
    emotions: ClassVar[Mapping[str, str]] = {
        "anger": "angry",
        "disgust": "disgust",
        "fear": "fear",
        "joy": "happy",
        "neutral": "neutral",
        "sadness": "sad",
        "surprise": "surprise",
    }
    expected_utterances = 13_708
    expected_per_emotion: ClassVar[Mapping[str, int]] = {
        "angry": 1109 + 153 + 345,
        "disgust": 271 + 22 + 68,
        "fear": 268 + 40 + 50,
        "happy": 1743 + 163 + 402,
        "neutral": 4710 + 470 + 1256,
        "sad": 683 + 111 + 208,
        "surprise": 1205 + 150 + 281,
    }
    how_to_get = (
        "MELD.Raw.tar.gz by the link at https://github.com/declare-lab/MELD; unpack it and the archives in it into that "
        """folder, and extract the audio there: find . -name 'dia*.mp4' -exec sh -c """
        """'ffmpeg -i "$1" -vn -ac 1 "${1%.mp4}.wav"' _ {} \\;"""
    )
    known_bad: ClassVar[Mapping[str, str]] = {
        "meld/train/dia125_utt3": "the released video is damaged",
        "meld/dev/dia110_utt7": "the release has no usable video of it",
    }
    notes = (
        "The sides of the release share the six leading speakers, who say most: results with protocol=meld are not "
        "speaker-independent.",
        "Laughter of an audience, music and other voices are in the recordings.",
        "The test folder also holds videos named final_videos_test..., which have no labels.",
    )

    @cached_property
    def _labels(self) -> Mapping[tuple[str, str, str], tuple[str, str, str]]:
        """Speaker, emotion and words of each utterance by side, dialogue and number."""
        columns = ("Dialogue_ID", "Utterance_ID", "Speaker", "Emotion", "Utterance")
        return {
            (side, dialogue, number): (speaker.strip(), emotion, words)
            for side in SIDES
            for dialogue, number, speaker, emotion, words in released_rows(
                self.labels_in(f"{side}_sent_emo.csv"), columns, self.title
            )
        }

    def parse(self, path: Path) -> Utterance | None:
        """Parse a path such as ``train_splits/dia0_utt1.wav``; ``None`` for one without a label or outside a side."""
        match = _NAME.fullmatch(path.stem)
        folders = path.relative_to(self.root).parts[-2::-1]
        side = next((found[1].lower() for folder in folders if (found := _FOLDER.search(folder))), None)
        if match is None or side is None:
            return None
        stated = self._labels.get((side, match[1], match[2]))
        if stated is None or stated[1] not in self.emotions:
            return None
        speaker, emotion, words = stated
        return Utterance(
            id=f"{self.name}/{side}/{path.stem.lower()}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex=SEX_OF.get(speaker),
            emotion=self.emotions[emotion],
            sentence=f"{self.name}/{' '.join(words.lower().split())}",
            further={"split": side},
        )
