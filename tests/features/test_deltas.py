"""Slopes are those of torchaudio, clip by clip."""

import pytest
import torch
from torchaudio.functional import compute_deltas

from ser.features.deltas import deltas


@pytest.mark.parametrize("width", [3, 9])
def test_slopes_are_those_of_torchaudio(width: int) -> None:
    features = torch.randn(3, 5, 20, generator=torch.Generator().manual_seed(0))
    frames = torch.tensor([20, 13, 1])
    found = deltas(features, frames, width)
    for clip, slopes, count in zip(features, found, frames.tolist(), strict=True):
        torch.testing.assert_close(slopes[:, :count], compute_deltas(clip[:, :count], width))
        assert not slopes[:, count:].any()
