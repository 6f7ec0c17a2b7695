"""Long recordings are scored in windows, batches are bounded in seconds, and no answer depends on either."""

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.audio.decode import AudioSettings, OpenFile, Recording, standardise
from ser.errors import AudioError
from ser.inference.predictor import Predictor
from ser.inference.recordings import opened_source, sources
from ser.inference.windows import BATCH_S, LONG_S, POOL_S, WINDOW_S, Piece, batches, pieces
from tests.inference.conftest import probabilities, speech


def test_answer_of_a_long_recording_is_the_mean_of_its_windows(model: Predictor, tmp_path: Path) -> None:
    samples = speech(61.0, 8000)
    samples[: 3 * 8000] *= 0.01
    soundfile.write(tmp_path / "long.wav", samples, 8000)
    count = 16
    assert 61 / count <= WINDOW_S < 61 / (count - 1)
    edges = np.linspace(0, len(samples), count + 1).round().astype(int)
    parts = [samples[first:last] for first, last in pairwise(edges)]
    table = model.predict([tmp_path / "long.wav", (samples, 8000), (samples[: 8000 * 30], 8000)])
    assert ["windows" in words for words in table["flags"]] == [True, True, False]
    each = probabilities(model.predict(parts, rate=8000))
    sound = [len(standardise(part, 8000, model.scorer.audio)) for part in parts]
    assert len(set(sound)) > 1, "one has silence that is trimmed"
    np.testing.assert_allclose(probabilities(table)[1], np.average(each, axis=0, weights=sound), atol=1e-6)
    np.testing.assert_allclose(probabilities(table)[0], probabilities(table)[1], atol=1e-3)


def test_windows_of_silence_are_left_out(model: Predictor) -> None:
    clip = np.tile(speech(2.0), 2)
    silence = np.zeros(16000 * 4, np.float32)
    expected = probabilities(model.predict(clip, rate=16000))
    mixed = np.concatenate([silence, clip, silence, clip, *[silence] * 4])
    np.testing.assert_allclose(probabilities(model.predict(mixed, rate=16000)), expected, atol=1e-6)
    with pytest.raises(AudioError, match="array 0: silent"):
        model.predict(np.zeros(16000 * 40, np.float32), rate=16000)


def test_an_error_in_a_late_window_leaves_no_number(model: Predictor) -> None:
    samples = speech(40.0)
    samples[-7] = np.nan
    table = model.predict([samples, speech(1.0)], rate=16000, on_error="row", batch_size=1)
    assert "array 0: NaN: 1 sample not finite" in table["error"][0]
    assert np.isnan(probabilities(table)[0]).all()
    assert [set(words) <= {"no speech"} for words in table["flags"]] == [True, True]
    assert np.isfinite(probabilities(table)[1]).all()


def test_a_long_file_that_is_cut_short_is_refused(model: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    soundfile.write(path, speech(40.0), 16000)
    path.write_bytes(path.read_bytes()[: 2 * 16000 * 35])
    with pytest.raises(AudioError, match=r"cut.wav: cut short: its header promises 40\.00 s"):
        model.predict(path)


def test_a_long_file_is_never_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.flac"
    soundfile.write(path, speech(300.0, 8000), 8000)
    asked: list[int] = []
    read = OpenFile.read

    def recorded(self: OpenFile, first: int, last: int) -> Recording:
        asked.append(last - first)
        return read(self, first, last)

    monkeypatch.setattr(OpenFile, "read", recorded)
    (source,) = sources(path)
    with opened_source(source) as recording:
        held = [len(piece.samples) for piece in pieces(recording, 0, AudioSettings())]
    assert len(asked) == len(held) == 75
    assert max(asked) <= WINDOW_S * 8000 + 1
    assert sum(held) == pytest.approx(300 * 16000, abs=75)


def test_batches_are_bounded_in_seconds_and_number() -> None:
    rate = 1000
    rng = np.random.default_rng(0)
    seconds = [*rng.uniform(0.1, LONG_S, 200), *np.full(200, 0.5)]
    given = [Piece(row, np.ones(round(s * rate), np.int16), 1, ()) for row, s in enumerate(rng.permutation(seconds))]
    read = 0
    rows: list[int] = []

    def reading() -> Iterator[Piece]:
        nonlocal read
        for piece in given:
            read += len(piece.samples)
            yield piece

    sizes = []
    scored = 0
    for batch, (waveform, lengths) in batches(reading(), rate, 32):
        assert read - scored <= (POOL_S + LONG_S) * rate
        assert waveform.size <= BATCH_S * rate
        assert lengths.tolist() == [len(piece.samples) for piece in batch]
        np.testing.assert_array_equal(waveform.sum(axis=1), lengths / 32768)
        rows += [piece.row for piece in batch]
        scored += int(lengths.sum())
        sizes.append(len(batch))
    assert sorted(rows) == list(range(len(given)))
    assert max(sizes) == 32


@pytest.mark.corpora
def test_windows_of_real_speech_are_scored_as_its_clips(model: Predictor) -> None:
    root = Path(os.environ.get("SER_CORPORA") or "missing")
    files = sorted(f for f in root.glob("ravdess/Actor_*/*") if f.suffix in (".wav", ".flac"))[::60][:12]
    if not files:
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    whole = [soundfile.read(f, dtype="float32", always_2d=True) for f in files]
    rate = whole[0][1]
    joined = np.concatenate([samples[:, :1] for samples, other in whole if other == rate])
    table = model.predict(joined, rate=rate)
    assert table["flags"].tolist() == [["windows"]]
    assert probabilities(table).sum() == pytest.approx(1)
    clips = probabilities(model.predict(files))
    assert np.abs(probabilities(table) - clips.mean(axis=0)).max() < 0.1
