"""Where a recording starts and ends: late, tight, or too early."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ser.audio.decode import trim
from ser.rescoring.robustness.conditions import Effect, Scene


class Shift(Effect):
    """Digital silence before the speech."""

    family: ClassVar[str] = "shift"
    quantity: ClassVar[str] = "silence before"
    unit: ClassVar[str] = "s"
    between: ClassVar[tuple[float, float]] = (0.0, 60.0)

    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        """See `Effect.apply`."""
        samples = round(level * scene.rate)
        return nn.functional.pad(waveform, (samples, 0)), lengths + samples


class Trim(Effect):
    """Silence cut away at both ends, by the function that prepares a corpus, at another threshold."""

    family: ClassVar[str] = "trim"
    quantity: ClassVar[str] = "cut below the loudest frame"
    unit: ClassVar[str] = "dB"

    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        """See `Effect.apply`."""
        clips = [row[:n].numpy() for row, n in zip(waveform.cpu(), lengths.tolist(), strict=True)]
        kept = [torch.from_numpy(trim(clip, scene.rate, level)) for clip in clips]
        new_lengths = torch.tensor([len(clip) for clip in kept], device=lengths.device)
        return nn.utils.rnn.pad_sequence(kept, batch_first=True).to(waveform.device), new_lengths


class Truncation(Effect):
    """Only the beginning is heard; a clip that is shorter stays as it is."""

    family: ClassVar[str] = "truncation"
    quantity: ClassVar[str] = "only the first"
    unit: ClassVar[str] = "s"

    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        """See `Effect.apply`."""
        return waveform, lengths.clamp(max=max(1, round(level * scene.rate)))
