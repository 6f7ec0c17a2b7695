"""The demo corpus: 480 clips of synthetic speech, 10 voices, 6 emotions, 4 sentences, shipped with the package.

Source: eSpeak NG's formant voices with prosody scripted in Praat, made by ``scripts/make_demo.py`` (audio: CC0 1.0).

It lets everything run without a download. Nobody felt or acted anything in it: its results show that the pipeline
works and say nothing about human emotions.

The file name is the annotation: ``f01_s2_ang_1.ogg`` is ``<speaker>_<sentence>_<emotion>_<take>``; the speaker's first
letter is the sex of the voice.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from ser.corpora.corpus import Corpus
from ser.corpora.manifest import Utterance

FOLDER = Path(__file__).parent / "assets" / "demo"

_NAME = re.compile(r"((f|m)0[1-5])_(s[1-4])_(ang|dis|fea|hap|neu|sad)_([12])")


class Demo(Corpus):
    """The demo corpus.

    Args:
        root: The folder that holds it; ``None`` uses the one inside the package.

    Example:
        >>> next(iter(Demo().utterances())).id
        'demo/f01_s1_ang_1'
    """

    name = "demo"
    title = "synthetic demo speech"
    citation = (
        "Synthetic speech made for this package: eSpeak NG voices with prosody scripted in Praat. Not a recording."
    )
    doi = ""
    licence = "CC0 1.0"
    homepage = "scripts/make_demo.py"
    language = "English"
    material = "synthetic"
    emotions: ClassVar[Mapping[str, str]] = {
        "ang": "angry",
        "dis": "disgust",
        "fea": "fear",
        "hap": "happy",
        "neu": "neutral",
        "sad": "sad",
    }
    expected_utterances = 480
    expected_speakers = 10
    expected_per_emotion: ClassVar[Mapping[str, int]] = dict.fromkeys(emotions.values(), 80)
    how_to_get = "it comes with the package: install it again, or run python scripts/make_demo.py in a clone"
    notes = (
        "Synthetic: the emotions are scripted pitch, rate and timbre; results are about the pipeline, not people.",
    )
    synthetic = True

    def __init__(self, root: str | Path | None = None) -> None:
        super().__init__(FOLDER if root is None else root)

    def parse(self, path: Path) -> Utterance | None:
        """Parse a name such as ``f01_s2_ang_1.ogg``."""
        match = _NAME.fullmatch(path.stem)
        if match is None:
            return None
        speaker, sex, sentence, code, take = match.groups()
        return Utterance(
            id=f"{self.name}/{path.stem}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            sex="female" if sex == "f" else "male",
            emotion=self.emotions[code],
            sentence=f"{self.name}/{sentence}",
            repetition=int(take),
        )
