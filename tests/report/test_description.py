"""What `ser.describe` prints."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from ser.corpora.manifest import to_table
from ser.corpora.table import Table
from ser.report.description import corpus_facts, next_steps
from tests.composed import composed


@pytest.fixture
def described(tmp_path: Path) -> Callable[..., str]:
    """Describe a table of a row for each of some recordings of half a second."""

    def describe(header: str, *rows: str, overrides: tuple[str, ...] = (), labels: tuple[str, ...] = ()) -> str:
        for i, _ in enumerate(rows):
            soundfile.write(tmp_path / f"{i}.wav", np.zeros(4000), 8000)
        (tmp_path / "my.csv").write_text("\n".join([f"path,{header}", *(f"{i}.wav,{r}" for i, r in enumerate(rows))]))
        table = Table(tmp_path / "my.csv")
        clips = list(table.utterances())
        console = Console(width=200, record=True, force_terminal=False)
        console.print(corpus_facts(table, clips, to_table(clips), None))
        for part in next_steps(to_table(clips), composed(*labels)["labels"], overrides):
            console.print(part)
        return " ".join(console.export_text().split())

    return describe


def test_facts_are_counted_and_what_is_missing_is_told(described: Callable[..., str]) -> None:
    rows = [f"{label},s{i},{'fm'[i % 2]},{'de' if i else ''}" for i in range(6) for label in ("Wut", "joy", "joy")]
    text = described("label,speaker,gender,language", *rows)
    assert "my.csv: CSV, separated by commas" in text
    assert "clips 18 hours 0.00 classes angry 6, happy 12 speakers 6 sex female 3, male 3 speakers" in text
    assert "language de 15, unknown 3" in text
    assert "joy as happy, Wut as angry" in text
    assert "Missing: sentence: whether test sentences also train cannot be checked." in text
    assert "Missing: speaker" not in text


def test_next_commands_are_ready_to_paste(described: Callable[..., str]) -> None:
    rows = [f"{label},s{i}" for i in range(5) for label in ("sad", "angry")]
    text = described("label,speaker", *rows, overrides=("data=table", "data.file='it\\'s mine.csv'", "headers=0"))
    assert "python -m ser.prepare data=table 'data.file=it'\"'\"'s mine.csv'" in text
    assert text.endswith("'data.file=it'\"'\"'s mine.csv' protocol=speaker_cv fold=all")


def test_unknown_speakers_are_told_with_what_follows(described: Callable[..., str]) -> None:
    text = described("label", *["sad", "angry", "joy"] * 5)
    assert "speakers unknown sex unknown sentences unknown" in text
    assert "Missing: speaker: clips of one folder or recording stay on one side of a split" in text
    assert "speakers unknown (split by recording)" in text


def test_too_few_clips_have_no_protocol(described: Callable[..., str]) -> None:
    assert "No protocol divides these clips: " in described("label,speaker", "sad,a", "angry,a")


def test_labels_that_are_not_used_are_counted(described: Callable[..., str]) -> None:
    rows = [f"{label},s{i}" for i in range(3) for label in ("sad", "angry", "bored")]
    text = described("label,speaker", *rows, labels=("labels=four", "+labels.merge.bored=null"))
    assert "3 clips of a label that is not used (bored)." in text
