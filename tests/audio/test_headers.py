from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.audio.headers import lengths
from ser.corpora.manifest import Piece, Utterance


def clip(path: Path, piece: Piece | None = None) -> Utterance:
    return Utterance(f"x/{path.name}{piece}", path, "x", None, None, "sad", None, piece=piece)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Ten recordings of 0.9 s."""
    paths = [tmp_path / f"{i}.wav" for i in range(10)]
    for path in paths:
        soundfile.write(path, np.zeros(7200), 8000)
    return paths


def test_hours_are_those_of_all_headers(files: list[Path]) -> None:
    found = lengths([clip(path) for path in files])
    assert found.hours == pytest.approx(9 / 3600)
    assert (found.files, found.read, found.unreadable) == (10, 10, {})


def test_pieces_count_with_their_own_length(files: list[Path]) -> None:
    found = lengths([clip(files[0], (0.1, 0.4)), clip(files[0], (0.5, None)), clip(files[1], (0.0, 0.2))])
    assert found.hours == pytest.approx((0.3 + 0.4 + 0.2) / 3600)
    assert (found.files, found.read) == (1, 1)


def test_sample_of_the_headers_estimates_the_hours(files: list[Path]) -> None:
    found = lengths([clip(path) for path in files], most=4)
    assert found.hours == pytest.approx(9 / 3600)
    assert (found.files, found.read) == (10, 4)


def test_file_that_is_no_audio_is_named(files: list[Path]) -> None:
    files[3].write_text("no audio")
    found = lengths([clip(path) for path in files])
    assert list(found.unreadable) == [str(files[3])]
    assert "not recogni" in found.unreadable[str(files[3])]
    assert lengths([clip(files[3])]).hours is None
