"""Files whose bytes were changed at random: decoded to finite samples, or refused by name, and never with much memory."""

import io
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from ser.audio.decode import read_recording
from ser.errors import AudioError
from tests.fuzz import cases

FORMATS = {
    "WAV": ".wav",
    "FLAC": ".flac",
    "AIFF": ".aiff",
    "AU": ".au",
    "W64": ".w64",
    "CAF": ".caf",
    "OGG": ".ogg",
    "MP3": ".mp3",
}


def content_of(kind: str) -> bytes:
    """Return a file of 0.1 s of noise."""
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal(1600), 16000, format=kind)
    return file.getvalue()


CONTENT = {kind: content_of(kind) for kind in FORMATS}


@pytest.mark.slow
@given(data=st.data(), kind=st.sampled_from(list(FORMATS)))
@cases(2500)
def test_a_changed_file_is_decoded_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str
) -> None:
    content = bytearray(CONTENT[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(99, len(content) - 1)))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
    path = Path(tmp_path_factory.getbasetemp(), f"changed{FORMATS[kind]}")
    path.write_bytes(content)
    try:
        samples, rate, _ = read_recording(path)
    except AudioError as error:
        assert str(error).startswith(f"{path}: {error.kind}: ")  # noqa: PT017  # either is right
    else:
        assert len(samples)
        assert np.isfinite(samples).all()
        assert 1000 <= rate <= 1_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 6 * 2**20, "more than 6 GiB"
