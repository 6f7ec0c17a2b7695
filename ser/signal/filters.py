"""Filters with linear phase, whose delay is removed."""

import torch
import torchaudio
from torch import Tensor

from ser.signal.padding import cut

FILTER_S = 0.064
"""Length of a filter in seconds; with a Hamming window its transition bands are about 50 Hz wide."""


def band_pass(waveform: Tensor, lengths: Tensor, low_hz: Tensor, high_hz: Tensor, rate: int) -> Tensor:
    """Return each clip within its own band, by a windowed sinc with a gain of 1 at the middle of the band.

    Shapes:
        - waveform: ``(batch, sample)``, zero beyond a clip's length
        - lengths, low_hz, high_hz: ``(batch,)``
    """
    taps = band_pass_taps(low_hz, high_hz, rate)
    filtered = torchaudio.functional.fftconvolve(waveform, taps.to(waveform.dtype), mode="same")
    return cut(filtered, lengths)[0]


def band_pass_taps(low_hz: Tensor, high_hz: Tensor, rate: int) -> Tensor:
    """Return the impulse responses, ``(batch, tap)`` float64, that scipy's ``firwin`` designs."""
    count = 2 * round(FILTER_S * rate / 2) + 1
    at = torch.arange(count, device=low_hz.device, dtype=torch.float64) - count // 2
    low, high = (2 * edge.double()[:, None] / rate for edge in (low_hz, high_hz))  # 1 is half the sampling rate
    window = torch.hamming_window(count, periodic=False, device=low_hz.device, dtype=torch.float64)
    taps = (high * torch.sinc(high * at) - low * torch.sinc(low * at)) * window
    middle = torch.cos(torch.pi * at * (low + high) / 2)
    return taps / (taps * middle).sum(dim=1, keepdim=True)
