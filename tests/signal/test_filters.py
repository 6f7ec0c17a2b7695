"""The band-pass filter against scipy's design."""

import numpy as np
import pytest
import torch
from scipy.signal import firwin

from ser.signal.filters import band_pass, band_pass_taps


@pytest.mark.parametrize(("low", "high"), [(50.0, 7000.0), (300.0, 3400.0), (1000.0, 1100.0)])
@pytest.mark.parametrize("rate", [16000, 22050])
def test_taps_are_those_of_firwin(low: float, high: float, rate: int) -> None:
    taps = band_pass_taps(torch.tensor([low]), torch.tensor([high]), rate)[0].numpy()
    np.testing.assert_allclose(taps, firwin(len(taps), [low, high], pass_zero=False, fs=rate), atol=1e-12)


def test_each_clip_has_its_own_band_and_no_delay() -> None:
    click = torch.zeros(2, 2001)
    click[:, 1000] = 1.0
    low, high = torch.tensor([100.0, 2000.0]), torch.tensor([1000.0, 7000.0])
    out = band_pass(click, torch.tensor([2001, 2001]), low, high, 16000)
    assert out.argmax(dim=1).tolist() == [1000, 1000]
    torch.testing.assert_close(out, out.flip(1), atol=1e-6, rtol=0)
    assert not torch.allclose(out[0], out[1], atol=1e-2)
