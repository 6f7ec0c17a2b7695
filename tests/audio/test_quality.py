"""Each flag is found in a signal made for it, and rarely in real clips; see docs/predicting.md."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from ser.audio.decode import read_recording, resample
from ser.audio.quality import FLAGS
from ser.inference.predictor import Predictor
from tests.audio.test_broken_input import speech
from tests.untrained import untrained

RATE = 16000
PAUSES = np.concatenate([speech(), np.zeros(RATE // 2, np.float32), speech(seed=1)])


@pytest.fixture(scope="module")
def model() -> Predictor:
    """A small model, not trained."""
    return Predictor(untrained())


def with_noise(samples: np.ndarray, snr: float) -> np.ndarray:
    """Add white noise at an SNR in dB, over the whole clip."""
    noise = np.random.default_rng(0).standard_normal(len(samples))
    noise *= np.sqrt(np.square(samples).mean() * 10 ** (-snr / 10))
    return (0.5 * (samples + noise)).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "rate", "flags"),
    [
        (PAUSES, RATE, []),
        (np.tile(PAUSES, 16), RATE, ["windows"]),
        (speech(0.2), RATE, ["too short"]),
        (np.pad(speech(), (3 * RATE, 3 * RATE)), RATE, ["mostly silence"]),
        (np.pad(speech(), (35 * RATE, 4 * RATE)), RATE, ["windows", "mostly silence"]),
        (np.clip(4 * PAUSES, -0.9, 0.9), RATE, ["clipped"]),
        (resample(resample(PAUSES, RATE, 8000), 8000, RATE), RATE, ["band-limited"]),
        (resample(PAUSES, RATE, 8000), 8000, ["band-limited"]),
        (with_noise(PAUSES, 40), RATE, []),
        (with_noise(PAUSES, 0), RATE, ["noisy"]),
        (np.tile(with_noise(PAUSES, 0), 16), RATE, ["windows", "noisy"]),
    ],
)
def test_each_flag_is_found(model: Predictor, samples: np.ndarray, rate: int, flags: list[str]) -> None:
    (found,) = model.predict(samples, rate=rate)["flags"]
    assert [word for word in found if word != "no speech"] == flags, "the signals are none, where that is looked for"


def test_the_page_lists_every_flag() -> None:
    page = (Path(__file__).parents[2] / "docs" / "predicting.md").read_text()
    assert dict(re.findall(r"^\| `([a-z -]+)` \| ([A-Z].*\.) \|$", page, flags=re.MULTILINE)) == FLAGS


@pytest.mark.corpora
@pytest.mark.parametrize("corpus", ["ravdess", "savee", "tess"])
def test_flags_of_real_clips(model: Predictor, corpus: str) -> None:
    root = Path(os.environ.get("SER_CORPORA") or "missing", corpus)
    files = sorted(f for f in root.rglob("*") if f.suffix in (".wav", ".flac"))
    files = files[:: max(1, len(files) // 40)]
    if not files:
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    clean = [
        word for words in model.predict(files)["flags"] for word in words if word != "clipped"
    ]  # SAVEE's are clipped
    assert len(clean) <= 0.05 * len(files), clean
    loud = [read_recording(file) for file in files]
    noisy = [(with_noise(samples, 3), rate) for samples, rate, _ in loud]
    found = sum("noisy" in words for words in model.predict(noisy)["flags"])
    assert found >= 0.9 * len(files)
