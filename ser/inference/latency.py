"""The time that a model takes for one short clip: the least that a speaker has to wait."""

import statistics
import time
from pathlib import Path

import torch

from ser.inference.load import load

SECONDS = 3.0
"""Length of the clip: that of a typical utterance of acted corpora."""
REPEATS = 9


def latency(checkpoint: Path, seconds: float = SECONDS) -> float:
    """Measure the median time of several predictions on the CPU, one clip at a time, after a warm-up."""
    model = load(checkpoint)
    rate = model.scorer.audio.sample_rate
    clip = torch.randn(round(seconds * rate), generator=torch.Generator().manual_seed(0)).mul(0.1).numpy()
    if model.scorer.adapts_to:
        model.adapt(clip, rate)
    model.predict(clip, rate)
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        model.predict(clip, rate)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)
