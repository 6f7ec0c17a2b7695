"""Recordings in folders: anyone's own clips, whose folders or file names say what they are.

Without a pattern, a folder is a class (``angry/1.wav``), or of two levels one is the speaker and the other the class
(``anna/angry/1.wav``). A pattern says it of any layout: ``{speaker}/{label}_*`` reads ``anna/angry_01.wav``.
"""

import logging
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ser.corpora.manifest import Utterance
from ser.corpora.own import OLDEST, OwnRecordings
from ser.corpora.synonyms import is_emotion, sex_of
from ser.errors import BadCorpusError, ConfigError, CorpusNotFoundError

log = logging.getLogger(__name__)

FIELDS = ("label", "speaker", "sentence", "sex", "age")
"""What a pattern may name in braces."""
WILD = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}


class Folders(OwnRecordings):
    """The recordings in a folder.

    Args:
        root: The folder; its name as ``data.root``.
        pattern: The path of a clip below it, without or with its suffix: fields in braces, ``*`` for any text without ``/``,
            ``**/`` for any folders; or a regular expression with groups ``(?P<label>...)``. ``None`` recognises a folder a
            class, or speaker and class.
        synonyms: Read labels through `ser.corpora.synonyms`; ``False`` keeps them as written.
        name: The corpus's name in ids, protocols and results.

    Raises:
        ConfigError: If the pattern or the name cannot be used.
    """

    name = "folders"
    title = "recordings in folders"
    notes: ClassVar[tuple[str, ...]] = ("Not a published corpus: its labels are the names of folders or files.",)

    def __init__(
        self,
        root: str | Path | None = None,
        pattern: str | None = None,
        synonyms: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(root, synonyms, name)
        self._given_pattern = pattern
        if pattern is not None:
            _compiled(pattern)  # raises at once

    def parse(self, path: Path) -> Utterance | None:
        """Read the path of a recording by the pattern; ``None`` if it does not match."""
        match = self._match(path)
        if match is None:
            return None
        below = path.relative_to(self.root)
        fields = {name: value for name, value in match.groupdict().items() if value}
        speaker, sentence, age = fields.get("speaker"), fields.get("sentence"), fields.get("age", "")
        return Utterance(
            id=f"{self.name}/{below.with_suffix('').as_posix()}",
            path=path,
            corpus=self.name,
            speaker=f"{self.name}/{speaker}" if speaker else None,
            sex=sex_of(fields.get("sex", "")),
            emotion=self._emotion(fields["label"]),
            sentence=f"{self.name}/{sentence}" if sentence else None,
            age=int(age) if age.isdecimal() and int(age) <= OLDEST else None,
        )

    def clips(self) -> list[Utterance]:
        """Return every recording that the pattern matches, sorted by id.

        Raises:
            CorpusNotFoundError: If the folder does not exist or is not given.
            BadCorpusError: If there is no pattern, and the folders are neither of classes nor of speakers and classes.
        """
        if not self.given or not self.root.is_dir():
            raise self.not_found()
        return super().clips()

    def strays(self) -> list[Path]:
        """Return the audio files that the pattern does not match."""
        return super().strays() if self.given and any(self._audio()) else []

    def layout(self) -> str:
        """Return the pattern of the names."""
        return f"folders and file names, data.pattern='{self._pattern_text}'"

    def remarks(self) -> list[str]:
        """Return how the labels were read."""
        return self._synonyms_of(match["label"] for match in map(self._match, self._audio()) if match)

    def not_found(self) -> CorpusNotFoundError:
        """Return the error for a folder that is missing or has no recording that matches."""
        if not self.given:
            return CorpusNotFoundError(
                "data.root must be a folder of recordings; got none. Set data.root=<folder>, or data=table data.file=my.csv."
            )
        if not self.root.is_dir():
            what = "which is no folder"
        elif strays := self.strays():
            what = f"where data.pattern matches none of {len(strays)} audio files, such as {strays[0].relative_to(self.root)}"
        else:
            what = "which holds no audio"
        return CorpusNotFoundError(
            f"data.root must be a folder of recordings; got {self.asked}, {what}. Correct data.root or data.pattern."
        )

    def _match(self, path: Path) -> re.Match[str] | None:
        """Match a path below the root, without its suffix or with it; ``None`` if it has no label."""
        below = path.relative_to(self.root)
        match = self._pattern.fullmatch(below.with_suffix("").as_posix()) or self._pattern.fullmatch(below.as_posix())
        return match if match and match["label"] else None

    @cached_property
    def _pattern_text(self) -> str:
        return self._given_pattern or self._recognised()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _compiled(self._pattern_text)

    def _recognised(self) -> str:
        """Return the pattern of the folders as they are, and log it.

        Raises:
            BadCorpusError: If recordings lie in more or fewer than one or two levels of folders.
        """
        folders = sorted({path.relative_to(self.root).parent.parts for path in self._audio()})
        depths = {len(parts) for parts in folders}
        if depths not in ({1}, {2}):
            odd = next(parts for parts in folders if len(parts) != 2)
            at = "/".join(odd) or "the folder itself"
            raise BadCorpusError(
                "data.root must hold a folder a class, or a folder a speaker with a folder a class in it; got "
                f"{self.asked} with recordings in {at}{' and deeper' if len(depths) > 1 else ''}. Say what the names mean "
                "with data.pattern, such as data.pattern='{speaker}/{label}_*'."
            )
        pattern = "{label}/*" if depths == {1} else "{speaker}/{label}/*"
        if depths == {2} and _emotions(folders, 0) > _emotions(folders, 1):
            pattern = "{label}/{speaker}/*"
        log.info("%s is read as data.pattern='%s': %s.", self.asked, pattern, " and ".join(_fields(pattern)))
        return pattern


def _emotions(folders: list[tuple[str, ...]], level: int) -> float:
    """Return the share of the names at a level that are words for emotions."""
    names = {parts[level] for parts in folders}
    return sum(map(is_emotion, names)) / len(names)


def _fields(pattern: str) -> list[str]:
    return re.findall(r"\{(\w*)\}", pattern)


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern as a regular expression of whole paths.

    Example:
        >>> _compiled("{speaker}/{label}_*").fullmatch("anna/angry_01").groupdict()
        {'speaker': 'anna', 'label': 'angry'}
    """
    try:
        compiled = re.compile(pattern if "(?P<" in pattern else "".join(_parts(pattern)))
    except re.error as error:
        raise ConfigError(
            f"data.pattern must be a path, each field in braces once, or a regular expression; got {pattern!r} ({error})."
        ) from error
    names = list(compiled.groupindex)
    if unknown := [name for name in names if name not in FIELDS]:
        near = get_close_matches(unknown[0], FIELDS, 1)
        hint = f" Did you mean {{{near[0]}}}?" if near else " Use * for other text."
        raise ConfigError(f"data.pattern must have fields among {', '.join(FIELDS)}; got {unknown[0]}.{hint}")
    if "label" not in names:
        raise ConfigError(f"data.pattern must have the field {{label}}; got {pattern!r}. Add it, as in '{{label}}/*'.")
    return compiled


def _parts(pattern: str) -> Iterator[str]:
    for part in re.split(r"(\{\w*\}|\*\*/|\*|\?)", pattern):
        if part in WILD:
            yield WILD[part]
        else:
            yield f"(?P<{part[1:-1]}>[^/]+?)" if re.fullmatch(r"\{\w*\}", part) else re.escape(part)
