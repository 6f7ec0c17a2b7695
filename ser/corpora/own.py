"""What corpora of a user's own have in common: a name that may be chosen, and labels that are read through synonyms."""

import re
from collections.abc import Iterable
from pathlib import Path

from ser.corpora.corpus import Corpus
from ser.corpora.synonyms import changes, emotion_of
from ser.errors import ConfigError

OLDEST = 150
"""An age in years; what is more is a year of birth, or another number."""


class OwnRecordings(Corpus):
    """Recordings that are no published corpus.

    Args:
        root: The file or folder that holds them or lists them.
        synonyms: Read labels through `ser.corpora.synonyms`; ``False`` keeps them as written.
        name: The corpus's name in ids, protocols and results; ``None`` is the name of the class.

    Raises:
        ConfigError: If the name cannot be used.
    """

    citation = ""
    doi = ""
    licence = "that of its recordings"
    material = "own recordings"
    homepage = ""

    def __init__(self, root: str | Path | None = None, synonyms: bool = True, name: str | None = None) -> None:
        self.asked = self.root = Path(root or "").expanduser()
        self.given, self.synonyms, self.name = root is not None, synonyms, name or self.name
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ConfigError(
                f"data.name must be letters, digits, '_', '-' and '.'; got {name!r}. Choose another name."
            )

    def check(self) -> None:
        """Check what describes the recordings, if it is there, before anything is decoded.

        Raises:
            BadCorpusError: If anything in it is wrong.
        """
        if self.given and self.root.exists():
            self.clips()

    def _emotion(self, label: str) -> str:
        return emotion_of(label) if self.synonyms else label

    def _synonyms_of(self, labels: Iterable[str]) -> list[str]:
        """Return a sentence that says which labels are read as others."""
        return changes(labels) if self.synonyms else []
