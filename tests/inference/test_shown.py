"""`Predictor.show`: a page of bars and players, without scripts, whose numbers are those of `predict`."""

import io
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.audio.decode import open_recording
from ser.errors import ConfigError
from ser.inference import shown
from ser.inference.predictor import Predictor
from ser.inference.windows import piece_of
from ser.protocols.limits import NOT_FOR
from tests.inference.conftest import speech
from tests.untrained import untrained

RATE = 16000
EVIL = '<script>alert(1)</script>"><img src=x onerror=alert(1)>'


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.words: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data: str) -> None:
        self.words += [data.strip()] if data.strip() else []


@pytest.fixture(scope="module")
def model() -> Predictor:
    """A small model, not trained."""
    return Predictor(untrained(stamps=("synthetic speech",)))


def test_numbers_and_sounds_are_those_of_the_recordings(model: Predictor, clips: list[Path], tmp_path: Path) -> None:
    (tmp_path / "torn.wav").write_bytes(b"RIFF" * 40)
    given = [clips[0], (speech(1.0, 8000), 8000), tmp_path / "torn.wav", (speech(31.0), RATE)]
    found = model.show(given)
    table = model.predict(given, on_error="row")
    pd.testing.assert_frame_equal(found.table, table)
    assert repr(found) == repr(table)
    page = Page(found._repr_html_())
    for row in table.to_dict("records"):
        assert row["audio"] in page.words
        if row["error"] is None:
            assert all(f"{100 * row[name]:.1f} %" in page.words for name in model.classes)
    assert table["error"][2].removeprefix(f"{tmp_path / 'torn.wav'}: ") in page.words
    assert "31 s; up to 30 s can be played here" in page.words
    assert "SYNTHETIC SPEECH" in page.words
    assert any(NOT_FOR in words for words in page.words)
    players = [attributes["src"] for tag, attributes in page.elements if tag == "audio"]
    assert len(players) == 2
    head, _, content = players[0].partition(",")
    assert head == "data:audio/flac;base64"
    samples, rate = soundfile.read(io.BytesIO(b64decode(content)), dtype="int16")
    with open_recording(clips[0]) as recording:
        expected = piece_of(recording, recording.whole(), model.scorer.audio).samples
    assert rate == model.scorer.audio.sample_rate
    np.testing.assert_array_equal(samples, expected)


def test_names_are_text(tmp_path: Path) -> None:
    model = Predictor(untrained((EVIL, "sad"), stamps=(EVIL,)))
    folder = tmp_path / 'a"><img src=x onerror=alert(1)>'
    folder.mkdir()
    soundfile.write(folder / "<b>.wav", speech(1.0), RATE)
    page = Page(model.show(folder).html)
    assert {tag for tag, _ in page.elements} == {"div", "b", "audio", "span"}
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert EVIL in page.words
    assert str(folder / "<b>.wav") in page.words


def test_rows_and_bytes_are_bounded(model: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    recordings = [(speech(1.0, seed=seed), RATE) for seed in range(5)]
    found = model.show(recordings, rows=3)
    page = Page(found.html)
    assert len(found.table) == 5
    assert sum(tag == "audio" for tag, _ in page.elements) == 3
    assert any("And 2 more in the table." in words for words in page.words)
    monkeypatch.setattr(shown, "BYTES", 50_000)
    page = Page(model.show(recordings).html)
    assert sum(tag == "audio" for tag, _ in page.elements) == 1
    assert page.words.count("no player: the others fill the page") == 4
    for rows in (0, True, 1.5):
        with pytest.raises(ConfigError, match="rows must be an integer of 1 or more; got"):
            model.show(recordings, rows=rows)  # type: ignore[arg-type]
