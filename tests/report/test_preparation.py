"""What preparing a corpus prints."""

from pathlib import Path

import pytest
from rich.console import Console

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.savee import Savee
from ser.report.preparation import SHOWN, preparation_table


@pytest.fixture
def printed(tmp_path: Path) -> str:
    """A corpus with one good clip, 25 empty ones, and one file that is no clip."""
    import numpy as np
    import soundfile

    root = tmp_path / "savee"
    root.mkdir()
    soundfile.write(root / "DC_a01.wav", 0.1 * np.random.default_rng(0).standard_normal(16000), 16000)
    (root / "reading.wav").write_bytes(b"")
    for number in range(25):
        (root / f"{'DC' if number < 13 else 'JE'}_n{number % 13 + 1:02d}.wav").write_bytes(b"")
    console = Console(width=100, record=True, force_terminal=False)
    console.print(preparation_table(prepare(Savee(root), tmp_path / "stores", AudioSettings()).card, "the folder"))
    return console.export_text()


def test_counts_are_shown_beside_the_releases(printed: str) -> None:
    rows = {line.strip(" │").split("  ")[0]: line.split()[-2:] for line in printed.splitlines() if line.strip()}
    assert rows["clips found"] == ["26", "480"]
    assert rows["clips kept"] == ["1", "480"]
    assert rows["angry"] == ["1", "60"]
    assert rows["sad"] == ["0", "60"]


def test_every_kind_of_problem_is_counted_with_its_first_files(printed: str) -> None:
    assert "Problems: 25 empty" in printed
    assert f"empty: and {25 - SHOWN} more" in printed
    assert sum("empty:" in line and "left out" in line for line in printed.splitlines()) == SHOWN
    assert "1 audio file not of this corpus left out" in printed
    assert "reading.wav" in printed


def test_licence_is_printed(printed: str) -> None:
    assert f"Licence: {Savee.licence}" in printed
