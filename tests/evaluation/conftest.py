import numpy as np
import pandas as pd
import pytest

CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fear", "disgust", "surprise")


@pytest.fixture
def table() -> pd.DataFrame:
    """A table shaped as RAVDESS's: 24 actors in 4 folds, 8 classes not in alphabetical order, mostly right."""
    rng = np.random.default_rng(7)
    rows = []
    for actor in range(1, 25):
        for emotion, name in enumerate(CLASSES):
            for take in range(2 if emotion == 0 else 4):
                logits = rng.normal(size=len(CLASSES))
                logits[emotion] += 2.2
                p = np.exp(logits) / np.exp(logits).sum()
                sentence = take % 2 + 1
                rows.append(
                    {
                        "utterance": f"ravdess/03-01-{emotion + 1:02}-01-{sentence:02}-{take // 2 + 1:02}-{actor:02}",
                        "corpus": "ravdess",
                        "speaker": f"ravdess/{actor:02}",
                        "sex": "male" if actor % 2 else "female",
                        "sentence": f"ravdess/{sentence:02}",
                        "fold": (actor - 1) // 6,
                        "target": name,
                        **{f"p_{c}": float(v) for c, v in zip(CLASSES, p, strict=True)},
                    }
                )
    return pd.DataFrame(rows)
