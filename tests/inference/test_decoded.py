"""`Decoded`: what one thread read gives the answers of the recording itself."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.audio.decode import open_recording
from ser.errors import AudioError
from ser.inference.decoded import read_decoded
from ser.inference.predictor import Predictor
from tests.inference.conftest import speech


def test_answers_are_those_of_the_recordings(model: Predictor, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("short.wav", "long.flac", "telephone.wav")]
    stereo = np.stack([speech(40.0, 44100), 0.5 * speech(40.0, 44100, seed=1)], axis=1)
    for file, samples, rate in zip(files, (speech(0.2), stereo, speech(1.0, 8000)), (16000, 44100, 8000), strict=True):
        soundfile.write(file, samples, rate)
    read = []
    for file in files:
        with open_recording(file) as recording:
            read.append(read_decoded(recording, model.scorer.audio))
    assert [round(one.seconds, 3) for one in read] == [0.2, 40.0, 1.0]
    expected, found = model.predict(files), model.predict(read)
    pd.testing.assert_frame_equal(found.drop(columns="audio"), expected.drop(columns="audio"), rtol=0, atol=0)
    expected_flags = [["too short"], ["windows"], ["band-limited"]]
    assert [[word for word in words if word != "no speech"] for words in found["flags"]] == expected_flags


def test_what_cannot_be_used_is_refused_when_it_is_read(model: Predictor, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    with (
        pytest.raises(AudioError, match=r"silent\.wav: silent"),
        open_recording(tmp_path / "silent.wav") as recording,
    ):
        read_decoded(recording, model.scorer.audio)
