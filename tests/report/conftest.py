from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.evaluation.summary import summarise

CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")


@pytest.fixture
def table() -> pd.DataFrame:
    """12 speakers in 3 folds, 8 classes twice each, mostly right."""
    target = np.tile(np.repeat(np.arange(8), 2), 12)
    speaker = np.repeat(np.arange(12), 16)
    rng = np.random.default_rng(3)
    p = np.exp(rng.normal(size=(len(target), 8)) + 2.5 * np.eye(8)[target])
    about = {
        "utterance": [f"ravdess/{i}" for i in range(len(target))],
        "corpus": "ravdess",
        "speaker": [f"ravdess/{s:02}" for s in speaker],
        "sex": ["male" if s % 2 else "female" for s in speaker],
        "sentence": "ravdess/1",
        "fold": speaker // 4,
        "target": [CLASSES[t] for t in target],
    }
    return pd.DataFrame(about).assign(
        **{f"p_{c}": v for c, v in zip(CLASSES, (p / p.sum(axis=1, keepdims=True)).T, strict=True)}
    )


@pytest.fixture
def summary(table: pd.DataFrame) -> dict[str, Any]:
    return summarise(table)
