"""Pretrained encoders in a form that can be exported: the same results, by steps that do not depend on values of lengths."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.features.mask import frame_mask
from ser.models.encoders.embedding import Embedding
from ser.models.encoders.waveform import ClipGroupNorm, WaveformEncoder
from ser.models.encoders.whisper import WhisperEncoder


class ExportableWhisper(nn.Module):
    """An encoder of Whisper on as many mel frames as the batch is long, without windows: for clips that it has positions for.

    Shapes:
        - as `WhisperEncoder`, with frames of padding more
    """

    def __init__(self, of: WhisperEncoder) -> None:
        super().__init__()
        self.encoder = of

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        mel_frames = waveform.shape[1] // self.encoder.hop + self.encoder.silence
        return self.encoder.states_of(waveform, lengths, mel_frames)


class ExportableWaveform(nn.Module):
    """An encoder of waveforms that are one frame long at least.

    Shapes:
        - as `WaveformEncoder`, with frames of padding more
    """

    def __init__(self, of: WaveformEncoder) -> None:
        super().__init__()
        self.encoder = of

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        waveform = self.encoder.front_end(waveform, lengths)
        return self.encoder.states_of(waveform, lengths.clamp(min=self.encoder.shortest))


class ExportableGroupNorm(ClipGroupNorm):
    """The same norm for all clips at once.

    Shapes:
        - features: ``(batch, channel, frame)``
        - returns: the same
    """

    @override
    def forward(self, features: Tensor) -> Tensor:
        frames = self.present.frames
        mask = frame_mask(frames, features.shape[-1])[:, None, None]  # (batch, 1, 1, frame)
        groups = torch.unflatten(features, 1, (self.num_groups, -1))  # (batch, group, channel, frame)
        count = frames[:, None, None, None] * groups.shape[2]
        centred = (groups - (groups * mask).sum(dim=(2, 3), keepdim=True) / count) * mask
        variance = centred.square().sum(dim=(2, 3), keepdim=True) / count
        scaled = (centred / (variance + self.eps).sqrt()).flatten(1, 2)
        return (scaled * self.weight[:, None] + self.bias[:, None]) * mask[:, 0]


def exportable_encoder(part: nn.Module) -> nn.Module | None:
    """Return what takes the place of a part of a model that is exported; ``None`` of a part that stays.

    Encoders whose padding changes their result stay, and cannot be exported.
    """
    if isinstance(part, Embedding):
        part.most = None  # a batch is encoded at once
    if isinstance(part, WhisperEncoder):
        return ExportableWhisper(part)
    if isinstance(part, WaveformEncoder) and part.padding_safe:
        return ExportableWaveform(part)
    return ExportableGroupNorm(part) if isinstance(part, ClipGroupNorm) else None
