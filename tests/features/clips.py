"""Clips that features are checked on: noise, speech of the demo, and real speech where there is some."""

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ser.audio.decode import read_audio, resample
from ser.corpora.demo import Demo

RATE = 16000
REAL = ("ravdess/Actor_01/03-01-05-01-01-01-01.*", "savee/JK_a01.*", "tess/*/OAF_back_fear.*")
CLIPS = ["noise", "demo", *(pytest.param(pattern, marks=pytest.mark.corpora) for pattern in REAL)]


@cache
def clip(name: str) -> np.ndarray:
    """Return a clip of `CLIPS` at `RATE`, float32."""
    if name == "noise":
        return np.random.default_rng(0).standard_normal(20001).astype(np.float32) * 0.1
    root = Path(os.environ.get("SER_CORPORA") or "missing")
    paths = [next(iter(Demo().utterances())).path] if name == "demo" else sorted(root.glob(name))
    if not paths:
        pytest.skip(f"no real recordings: SER_CORPORA names no folder with {name.partition('/')[0]}")
    return resample(*read_audio(paths[0]), RATE)
