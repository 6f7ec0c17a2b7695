"""Loudness of each clip of a batch in LUFS.

Source: ITU-R BS.1770-4, https://www.itu.int/rec/R-REC-BS.1770, with the filters of torchaudio.
"""

import math

import torch
import torchaudio
from torch import Tensor, nn

from ser.signal.padding import cut

BLOCK_S, STEP_S = 0.4, 0.1
OFFSET_DB = -0.691
GATE_LUFS, GATE_LU = -70.0, -10.0
HEADROOM = 64.0
"""torchaudio's filters clip at full scale: they get the waveform this much lower."""


def loudness(waveform: Tensor, lengths: Tensor, rate: int) -> Tensor:
    """Return the gated loudness of each clip, ``(batch,)`` float64 in LUFS; minus infinity where all is below -70.

    A clip shorter than a block of 0.4 s is one block of its own length.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero beyond a clip's length
        - lengths: ``(batch,)`` in samples
    """
    block, step = round(BLOCK_S * rate), round(STEP_S * rate)
    weighted = nn.functional.pad(_weighted(waveform, lengths, rate), (0, max(0, block - waveform.shape[1])))
    energy = weighted.square().unfold(1, block, step).sum(dim=2)  # (batch, block)
    starts = step * torch.arange(energy.shape[1], device=waveform.device)
    whole = (starts + block <= lengths[:, None]) | (starts == 0)
    power = energy / lengths.clamp(max=block)[:, None]
    level = OFFSET_DB + 10 * torch.log10(power)
    gated = whole & (level > GATE_LUFS)
    relative = OFFSET_DB + 10 * torch.log10(_mean(power, gated)) + GATE_LU
    return OFFSET_DB + 10 * torch.log10(_mean(power, gated & (level > relative[:, None])))


def _weighted(waveform: Tensor, lengths: Tensor, rate: int) -> Tensor:
    """Return the batch after the K-weighting filter, float64, zero beyond each clip's length."""
    low = waveform.double() / HEADROOM
    head = torchaudio.functional.treble_biquad(low, rate, 4.0, 1500.0, 1 / math.sqrt(2))
    return cut(HEADROOM * torchaudio.functional.highpass_biquad(head, rate, 38.0, 0.5), lengths)[0]


def _mean(power: Tensor, blocks: Tensor) -> Tensor:
    """Return the mean power of some blocks of each clip; 0 if there are none."""
    return (power * blocks).sum(dim=1) / blocks.sum(dim=1).clamp(min=1)
