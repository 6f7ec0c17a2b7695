"""A data folder of Kaldi and ESPnet: ``wav.scp``, ``utt2emo`` and, where they exist, ``utt2spk``, ``segments`` and more.

A line is a key, a space and a value. Folders of splits below one folder (``train``, ``dev``, ``test``) are read together.

Source: https://kaldi-asr.org/doc/data_prep.html.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ser.corpora.formats.plain import decoded
from ser.corpora.formats.rows import Place, Problem, Rows, one_table

RECORDINGS, LABELS = "wav.scp", ("utt2emo", "utt2emotion", "utt2label")
OF_UTTERANCES = {
    "utt2spk": "speaker",
    "utt2gender": "sex",
    "utt2sex": "sex",
    "text": "sentence",
    "utt2lang": "language",
}
"""Column of each file by utterance."""
OF_SPEAKERS = {"spk2gender": "sex", "spk2age": "age"}
"""Column of each file by speaker."""
COLUMNS = ("path", "label", "speaker", "sex", "age", "sentence", "language", "start", "end", "split")
Lines = dict[str, tuple[int, str]]
"""The line and the value of each key."""


def kaldi_rows(path: Path) -> Rows | None:
    """Read a data folder, one of its files, or a folder of data folders."""
    root = path if path.is_dir() else path.parent
    if not path.is_dir() and path.name not in (RECORDINGS, *LABELS):
        return None
    here = (root / RECORDINGS).is_file()
    folders = [root] if here else sorted(file.parent for file in root.glob(f"*/{RECORDINGS}"))
    if not folders:
        return None
    found = one_table(
        "Kaldi data folder", root, [_Folder(folder, "" if here else folder.name).rows() for folder in folders]
    )
    stated = {column for _, row in found.rows for column, value in row.items() if value}
    found.columns = tuple(column for column in found.columns if column in stated or column in COLUMNS[:2])
    return found


class _Folder:
    """One data folder; ``split`` is its name among several."""

    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self.found = Rows("", folder, COLUMNS)
        self.lines: dict[str, Lines] = {}

    def rows(self) -> Rows:
        """Return a row for each line of the file of labels."""
        labels = next((name for name in LABELS if (self.folder / name).is_file()), None)
        if labels is None:
            told = f"{RECORDINGS} is there, but no {LABELS[0]}; write one, with an utterance and its emotion a line"
            self.found.problems.append((Place(self.split, 0), told))
            return self.found
        by_speaker = {name: self._read(name) for name in OF_SPEAKERS}
        by_utterance = {name: self._read(name) for name in OF_UTTERANCES}
        for key, (line, label) in self._read(labels).items():
            row = dict.fromkeys(COLUMNS, "") | {"label": label, "split": self.split}
            row |= _values(by_utterance, OF_UTTERANCES, key)
            row |= _values(by_speaker, OF_SPEAKERS, row["speaker"])
            place = Place(self._name(labels), line)
            if wrong := self._add_recording(row, key):
                self.found.problems.append((place, wrong))
            else:
                self.found.rows.append((place, row))
        self.found.problems += self._unlabelled(labels)
        return self.found

    def _add_recording(self, row: dict[str, str], key: str) -> str | None:
        """Put path and piece into a row; return what is wrong if there are none."""
        segments, recordings = self._read("segments"), self._read(RECORDINGS)
        if segments:
            parts = segments[key][1].split() if key in segments else []
            if len(parts) != 3:
                return f"{key} needs a line in segments: utterance, recording, start, end"
            key, row["start"], row["end"] = parts
            row["end"] = "" if row["end"] == "-1" else row["end"]  # the end of the recording
        if key not in recordings:
            return f"{key} is not in {RECORDINGS}"
        row["path"] = recordings[key][1]
        if row["path"].endswith("|"):
            return f"{RECORDINGS} has a command for {key}, which is not run; write the file, and give its path"
        return None

    def _unlabelled(self, labels: str) -> Iterator[Problem]:
        name = "segments" if self._read("segments") else RECORDINGS
        for key, (line, _) in self._read(name).items():
            if key not in self._read(labels):
                yield Place(self._name(name), line), f"{key} has no line in {labels}"

    def _name(self, file: str) -> str:
        return f"{self.split}/{file}" if self.split else file

    def _read(self, name: str) -> Lines:
        """Return the lines of a file by key, read once; none if it does not exist."""
        if name not in self.lines:
            self.lines[name] = {}
            file = self.folder / name
            text = decoded(file.read_bytes(), self._name(name), self.found) if file.is_file() else None
            for number, line in enumerate((text or "").splitlines(), start=1):
                key, _, value = line.strip().partition(" ") if " " in line.strip() else line.strip().partition("\t")
                if not key:
                    continue
                if key in self.lines[name]:
                    self.found.problems.append((Place(self._name(name), number), f"{key} is there twice"))
                self.lines[name][key] = (number, value.strip())
        return self.lines[name]


def _values(files: Mapping[str, Lines], columns: Mapping[str, str], key: str) -> dict[str, str]:
    """Return what files state of a key, by column."""
    return {columns[name]: lines[key][1] for name, lines in files.items() if key in lines}
