"""Clips that start late, are cut tight, or end early."""

import numpy as np
import pytest
import torch

from ser.rescoring.robustness.timing import Shift, Trim, Truncation
from tests.rescoring.robustness.conftest import RATE, Batch, batch_of, hear


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0])
def test_shift_adds_leading_silence(seconds: float, speech: Batch) -> None:
    waveform, lengths = speech
    heard, later = hear(Shift([seconds]), speech)
    samples = int(seconds * RATE)
    assert later.tolist() == [n + samples for n in lengths.tolist()]
    assert not heard[:, :samples].any()
    torch.testing.assert_close(heard[:, samples:], waveform, rtol=0, atol=0)


def test_trim_keeps_the_sound_and_50_ms() -> None:
    """A second of noise between half seconds that are 25 dB quieter, and one second of noise alone."""
    random = np.random.default_rng(0)
    loud, quiet = random.standard_normal(RATE) * 0.1, random.standard_normal(RATE // 2) * 0.1 * 10 ** (-25 / 20)
    batch = batch_of([np.concatenate([quiet, loud, quiet]), loud])
    (kept, lengths), (_, all_of_them) = hear(Trim([20]), batch), hear(Trim([30]), batch)
    # Frames of 25 ms every 10 ms: the cut is at a frame's edge, so it may lie 25 ms beyond the margin, plus a hop.
    assert 1.1 * RATE <= int(lengths[0]) <= (1.1 + 2 * 0.035) * RATE
    assert int(lengths[1]) == RATE
    assert all_of_them.tolist() == batch[1].tolist()
    start = int(torch.nonzero(batch[0][0] == kept[0, 0])[0])
    torch.testing.assert_close(kept[0], batch[0][0, start : start + int(lengths[0])], rtol=0, atol=0)


@pytest.mark.parametrize("seconds", [2.0, 1.0, 0.5])
def test_truncation_keeps_the_beginning(seconds: float) -> None:
    random = np.random.default_rng(0)
    batch = batch_of([random.standard_normal(n) for n in (40000, 16000, 9000)])
    heard, lengths = hear(Truncation([seconds]), batch)
    most = int(seconds * RATE)
    assert lengths.tolist() == [min(n, most) for n in (40000, 16000, 9000)]
    assert heard.shape[1] == int(lengths.max())
    for row, clip, n in zip(heard, batch[0], lengths.tolist(), strict=True):
        torch.testing.assert_close(row[:n], clip[:n], rtol=0, atol=0)
