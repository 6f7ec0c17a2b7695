"""IEMOCAP: English dialogues of actors, scripted and improvised, 10,039 utterances, 10 speakers in 5 sessions.

Source: Busso et al., 2008, https://doi.org/10.1007/s10579-008-9076-6 (by a signed release form, for research).

``Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav`` is an utterance of the man of session 1; the first F says
that the woman wore the markers. ``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt`` states for each utterance the emotion
that most listeners heard, their votes (``C-E2`` and the like), and ``dialog/transcriptions`` the words. Layout: the
release's README.txt and torchaudio.datasets.IEMOCAP; the counts of each label are quoted by many public projects.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus, files_under
from ser.corpora.manifest import Utterance
from ser.corpora.synonyms import emotion_of
from ser.errors import BadCorpusError

DIMENSIONS = ("valence", "arousal", "dominance")
"""What listeners rated from 1 to 5, in the order of the release, which calls arousal activation."""
Label = tuple[str, Mapping[str, float], Mapping[str, str]]
"""The code of the emotion, the votes, and the numbers of `DIMENSIONS`."""

_NAME = re.compile(r"Ses(0[1-5])[FM]_(impro|script)\w+_([FM])\d{3}")
_KINDS = {"impro": "improvised", "script": "scripted"}
_LABEL = re.compile(r"\[[\d. -]+\]\t(\w+)\t(\w{3})\t\[([\d.]+), ([\d.]+), ([\d.]+)\]")
_VOTE = re.compile(r"C-E\d+:\t([^\t]*)\t")
_WORDS = re.compile(r"(\w+) \[[\d.-]+\]: (.*)")


class Iemocap(Corpus):
    """The utterances of IEMOCAP; its whole dialogues (``dialog/wav``) are left out."""

    name = "iemocap"
    title = "IEMOCAP"
    citation = (
        "C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee and S. S. Narayanan, "
        "'IEMOCAP: Interactive emotional dyadic motion capture database', Language Resources and Evaluation 42(4), "
        "pp. 335-359, 2008."
    )
    doi = "10.1007/s10579-008-9076-6"
    licence = "by a signed release form, for research"
    homepage = "https://sail.usc.edu/iemocap/"
    language = "English"
    material = "acted dialogues"
    hours = 12.0
    aliases = ("IEMOCAP_full_release", "IEMOCAP full release")
    emotions: ClassVar[Mapping[str, str]] = {
        "ang": "angry",
        "dis": "disgust",
        "exc": "excited",
        "fea": "fear",
        "fru": "frustrated",
        "hap": "happy",
        "neu": "neutral",
        "oth": "other",
        "sad": "sad",
        "sur": "surprise",
        "xxx": "undecided",
    }
    expected_utterances = 10_039
    expected_speakers = 10
    expected_per_emotion: ClassVar[Mapping[str, int]] = {
        "angry": 1103,
        "disgust": 2,
        "excited": 1041,
        "fear": 40,
        "frustrated": 1849,
        "happy": 595,
        "neutral": 1708,
        "other": 3,
        "sad": 1084,
        "surprise": 107,
        "undecided": 2507,
    }
    how_to_get = "by the release form at https://sail.usc.edu/iemocap/iemocap_release.htm; unpack it into that folder"
    notes = (
        "The emotion is that of most listeners, who also saw the faces; on 2507 utterances they did not agree (undecided).",
        "labels=iemocap is the usual four: excited counts as happy, all others are dropped.",
        "The two speakers of a session talk to each other: split by session (protocol=emobox).",
    )

    @cached_property
    def _labels(self) -> Mapping[str, Label]:
        """The label of each utterance."""
        found = dict(label for file in self._texts("EmoEvaluation") for label in _labels_of(file))
        if not found:
            raise BadCorpusError(
                f"{self.title} must have its labels, Session*/dialog/EmoEvaluation/*.txt, under {self.root}; got none. Put "
                "them there."
            )
        return found

    @cached_property
    def _words(self) -> Mapping[str, str]:
        lines = (line for file in self._texts("transcriptions") for line in _lines(file))
        return {match[1]: match[2] for line in lines if (match := _WORDS.fullmatch(line))}

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``Ses01F_impro01_M000.wav``; ``None`` for one without a label."""
        match = _NAME.fullmatch(path.stem)
        if match is None or (stated := self._labels.get(path.stem)) is None or stated[0] not in self.emotions:
            return None
        (session, kind, sex), (code, votes, numbers) = match.groups(), stated
        words = self._words.get(path.stem)
        return Utterance(
            id=f"{self.name}/{path.stem}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{session}{sex}",
            sex="female" if sex == "F" else "male",
            emotion=self.emotions[code],
            sentence=f"{self.name}/{' '.join(words.lower().split())}" if words else None,
            votes=votes or None,
            further={"kind": _KINDS[kind], **numbers},
        )

    def _texts(self, folder: str) -> list[Path]:
        """Return the text files right in folders of this name; those of single listeners are in folders below."""
        return sorted(p for p in files_under(self.root) if p.parent.name == folder and p.suffix.lower() == ".txt")


def _labels_of(file: Path) -> Iterator[tuple[str, Label]]:
    """Yield each utterance of an evaluation with its label; every emotion that a listener named is a vote."""
    blocks = re.split(r"^(?=\[)", "\n".join(_lines(file)), flags=re.MULTILINE)
    for block in blocks:
        if match := _LABEL.match(block):
            named = (word.strip() for votes in _VOTE.findall(block) for word in votes.split(";"))
            name, code, *numbers = match.groups()
            votes = dict(Counter(emotion_of(word) for word in named if word))
            yield name, (code, votes, dict(zip(DIMENSIONS, numbers, strict=True)))


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="latin-1").splitlines()
