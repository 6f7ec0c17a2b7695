from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from ser.errors import AudioError, ConfigError
from ser.pictures import recordings
from ser.pictures.views import draw_columns, views_of
from ser.plot import files_setting
from tests.composed import composed

RATE = 16000
Plot = Callable[..., list[Path]]


def tone(hz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.25 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def plot(tmp_path: Path) -> Plot:
    def plot(files: list[str], *overrides: str) -> list[Path]:
        config = composed(f"out={tmp_path / 'plot'}", "device=cpu", *files_setting(files), *overrides, config="plot")
        return recordings.draw_recordings(OmegaConf.create(config))

    return plot


def test_views_show_a_tone_at_its_frequency_level_and_time() -> None:
    views = {view.name: view for view in views_of(tone(1000.0), RATE)}
    assert list(views) == ["waveform", "spectrogram", "log-mel", "MFCC", "pitch", "energy"]
    spectrogram, energy = views["spectrogram"], views["energy"]
    assert spectrogram.values.mean(axis=1).argmax() / (len(spectrogram.values) - 1) * 8 == pytest.approx(1.0, abs=0.05)
    assert energy.values.mean() == pytest.approx(20 * np.log10(0.25 / np.sqrt(2)), abs=0.01)
    low = {view.name: view for view in views_of(tone(200.0), RATE)}["pitch"]
    np.testing.assert_allclose(low.values, 200.0, atol=1.0)
    for view in views.values():
        end = view.start + view.step * view.values.shape[-1]
        assert 0.95 <= end <= 1.0 + view.step


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(3, 0.1, np.float32), np.zeros(1, np.float32)])
def test_silent_and_very_short_recordings_are_drawn(samples: np.ndarray, tmp_path: Path) -> None:
    from ser.pictures.album import Album

    views = views_of(samples, RATE)
    assert np.isnan(views[4].values).all()  # nothing is voiced
    with Album(tmp_path).drawing("x", (3.5, 4.0)) as figure:
        draw_columns(figure, [views], ["x"], [1.0] * len(views))
    assert (tmp_path / "x.png").stat().st_size > 1000


def test_a_single_name_is_one_recording() -> None:
    config = composed("files=missing.wav", "device=cpu", config="plot")
    with pytest.raises(AudioError, match=r"^missing\.wav: unreadable"):
        recordings.draw_recordings(OmegaConf.create(config))


def test_recordings_of_one_name_have_a_picture_each_and_vectors(plot: Plot, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "x y.wav", tone(300.0), RATE)
    drawn = plot([str(tmp_path / folder / "x y.wav") for folder in ("a", "b")], "vector=pdf")
    assert [path.name for path in drawn] == ["x y.png", "x y_2.png"]
    assert all(path.is_file() and path.with_suffix(".pdf").read_bytes().startswith(b"%PDF") for path in drawn)


def test_a_recording_that_cannot_be_read_leaves_no_picture(plot: Plot, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "good.wav", tone(300.0), RATE)
    (tmp_path / "bad.wav").write_text("no sound")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        plot([str(tmp_path / "good.wav"), str(tmp_path / "bad.wav")])
    assert not (tmp_path / "plot").exists()
    with pytest.raises(ConfigError, match="files must be recordings; got none"):
        plot([])


def test_a_picture_has_the_probabilities_of_a_model(
    plot: Plot, tmp_path: Path, version_0_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ser

    soundfile.write(tmp_path / "a.wav", tone(300.0), RATE)
    asked = []
    original = recordings._draw_with_answers
    monkeypatch.setattr(recordings, "_draw_with_answers", lambda *a: (asked.append(a[-1]), original(*a)))
    (drawn,) = plot([str(tmp_path / "a.wav")], f"run={version_0_1 / 'transformer'}")
    expected = ser.load(version_0_1 / "transformer").predict(str(tmp_path / "a.wav")).iloc[0]
    assert asked[0].to_dict() == expected.to_dict()
    assert drawn.is_file()
