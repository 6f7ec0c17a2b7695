"""How long a model takes for one short clip: what somebody who speaks to it waits, at least."""

import statistics
import time
from pathlib import Path

import torch

from ser.inference.load import load

SECONDS = 3.0
"""Of the clip: what an utterance of acted corpora has."""
REPEATS = 9


def latency(checkpoint: Path, seconds: float = SECONDS) -> float:
    """The median of several predictions on the CPU, one clip at a time, after one that does not count.

    Args:
        checkpoint: Of a trained model.
        seconds: Of the clip.

    Returns:
        Seconds.
    """
    model = load(checkpoint)
    rate = model.audio.sample_rate
    clip = torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(0)).mul(0.1).numpy()
    if model.normalise.by == "speaker":
        model.adapt(clip, rate)
    model.predict(clip, rate)
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        model.predict(clip, rate)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
