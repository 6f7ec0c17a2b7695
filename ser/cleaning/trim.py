"""Silence trimming at both ends of a clip, on the device."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.features.mask import frame_mask

FRAME_MS, HOP_MS, MARGIN_MS = 25, 10, 50


class Trim(nn.Module):
    """Cut leading and trailing 25 ms frames that are far below the loudest one, except 50 ms at either end.

    It cuts what `ser.audio.decode.trim` cuts when a corpus is prepared (``audio.trim_db``), after the other cleaning. A clip
    of at most one frame is unchanged.

    Args:
        sample_rate: In Hz.
        below_db: Level under the loudest frame in dB, above 0.

    Raises:
        ConfigError: If the level is not above 0.
    """

    place: ClassVar[int] = 30

    def __init__(self, sample_rate: int = 16000, below_db: float = 30.0) -> None:
        super().__init__()
        if not below_db > 0:
            raise ConfigError(f"Trim.below_db must be above 0; got {below_db}.")
        self.below_db = below_db
        self.frame, self.hop, self.margin = (round(ms * sample_rate / 1000) for ms in (FRAME_MS, HOP_MS, MARGIN_MS))

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the trimmed batch with its lengths; see `ser.cleaning` for the shapes."""
        if waveform.shape[1] <= self.frame:
            return waveform, lengths
        energy = waveform.double().square().unfold(1, self.frame, self.hop).sum(dim=2)  # (batch, frame)
        starts = self.hop * torch.arange(energy.shape[1], device=waveform.device)
        own = starts + self.frame <= lengths[:, None]
        power = energy.masked_fill(~own, -1.0)
        loud = (power >= power.amax(dim=1, keepdim=True) * 10 ** (-self.below_db / 10)) & own
        first, last = loud.int().argmax(dim=1), loud.shape[1] - 1 - loud.flip(1).int().argmax(dim=1)
        long = lengths > self.frame
        begin = torch.where(long, (starts[first] - self.margin).clamp(min=0), 0)
        end = torch.where(long, torch.minimum(starts[last] + self.frame + self.margin, lengths), lengths)
        counts = end - begin
        at = torch.arange(int(counts.max()), device=waveform.device)
        kept = waveform.gather(1, (begin[:, None] + at).clamp(max=waveform.shape[1] - 1))
        return kept * frame_mask(counts, len(at)), counts
