"""Features of the samples themselves: how often they change sign, and how large they are."""

from torch import Tensor, nn
from typing_extensions import override

from ser.features.framing import Framed, framing

SILENT = 1e-10
"""Samples up to this size count as zero, as in librosa."""


class ZeroCrossingRate(Framed):
    """Share of the samples under a frame's window whose sign differs from the one before.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, 1, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate: In Hz.
        window_ms: In milliseconds.
        hop_ms: Time from one frame to the next in milliseconds.

    Example:
        >>> import torch
        >>> tone = torch.cos(2 * torch.pi * 1000 * torch.arange(16000) / 16000 + 0.1)
        >>> features, _ = ZeroCrossingRate(window_ms=32.0)(tone[None], torch.tensor([16000]))
        >>> round(float(features[0, 0, 0]), 2)  # 1000 periods a second cross zero 2000 times in 16000 samples
        0.12
    """

    def __init__(self, sample_rate: int = 16000, window_ms: float = 64.0, hop_ms: float = 16.0) -> None:
        super().__init__()
        self.framing = framing(sample_rate, window_ms, hop_ms)
        self.names = ("zcr",)

    @override
    def compute(self, samples: Tensor, frames: Tensor) -> Tensor:
        negative = samples < -SILENT
        changes = nn.functional.pad(negative[:, 1:] != negative[:, :-1], (1, 0))  # at a sample, from the one before
        inside = self.framing.cut(changes.to(samples.dtype))[..., 1:]
        return inside.sum(dim=-1)[:, None] / self.framing.window


class RMS(Framed):
    """Root mean square of the samples under a frame's window.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, 1, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate: In Hz.
        window_ms: In milliseconds.
        hop_ms: Time from one frame to the next in milliseconds.
        decibels: Return decibels re full scale in place of the root mean square.

    Example:
        >>> import torch
        >>> features, _ = RMS()(torch.full((1, 16000), 0.5), torch.tensor([16000]))
        >>> float(features[0, 0, 0])
        0.5
    """

    def __init__(
        self, sample_rate: int = 16000, window_ms: float = 64.0, hop_ms: float = 16.0, decibels: bool = False
    ) -> None:
        super().__init__()
        self.framing, self.decibels = framing(sample_rate, window_ms, hop_ms), decibels
        self.names = ("rms_db" if decibels else "rms",)

    @override
    def compute(self, samples: Tensor, frames: Tensor) -> Tensor:
        power = self.framing.cut(samples).square().mean(dim=-1)[:, None].clamp(min=SILENT**2)  # (batch, 1, frame)
        return 10 * power.log10() if self.decibels else power.sqrt()
