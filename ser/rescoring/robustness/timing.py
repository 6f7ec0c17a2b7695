"""Effects of timing: leading silence, tighter trimming, truncation."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.audio.decode import trim
from ser.rescoring.robustness.conditions import Effect, Scene


class Shift(Effect):
    """Digital silence before the speech."""

    family, quantity, unit, between = "shift", "silence before", "s", (0.0, 60.0)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        samples = round(level * scene.rate)
        return nn.functional.pad(waveform, (samples, 0)), lengths + samples


class Trim(Effect):
    """Removal of silence at both ends, as in the preparation of a corpus, with another threshold."""

    family, quantity, unit = "trim", "cut below the loudest frame", "dB"

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        clips = [row[:n].numpy() for row, n in zip(waveform.cpu(), lengths.tolist(), strict=True)]
        kept = [torch.from_numpy(trim(clip, scene.rate, level)) for clip in clips]
        new_lengths = torch.tensor([len(clip) for clip in kept], device=lengths.device)
        return nn.utils.rnn.pad_sequence(kept, batch_first=True).to(waveform.device), new_lengths


class Truncation(Effect):
    """Truncation to the first seconds; a shorter clip is unchanged."""

    family, quantity, unit = "truncation", "only the first", "s"

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        return waveform, lengths.clamp(max=max(1, round(level * scene.rate)))
