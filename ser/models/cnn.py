"""A convolutional net on log-mel: a strided stem, blocks of 3x3 convolutions, attentive statistics over time.

The remaining frequency axis is folded into the features of a frame, since the position in the spectrum matters:
averaging over it loses the tilt and the formants.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.features.mask import frame_mask
from ser.models.classifier import Config, SpeechClassifier
from ser.models.norm import BatchNorm
from ser.models.pooling import AttentiveStatistics


class CNN(SpeechClassifier):
    """Convolutional classifier.

    Args:
        channels: Channels of the stem, which has stride 2, then of each block.
        time_pool: Number of frames that the max pooling after each block merges; every block halves the bands.
        width: Features of a frame once the frequency axis is folded in.
        dropout: Before the last layer.
        attention: Width of the attention's hidden layer.
    """

    def __init__(
        self,
        task: Config,
        channels: Sequence[int] = (32, 64, 96, 128),
        time_pool: Sequence[int] = (2, 1, 1),
        width: int = 160,
        dropout: float = 0.3,
        attention: int = 64,
    ) -> None:
        super().__init__(task)
        self.stem = Block(1, channels[0], kernel=5, stride=2)
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, pool=(2, pool))
            for inputs, outputs, pool in zip(channels[:-1], channels[1:], time_pool, strict=True)
        )
        bands = math.ceil(self.n_features / 2 ** len(channels))
        self.fold = nn.Linear(channels[-1] * bands, width)
        self.pool = AttentiveStatistics(width, attention)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, len(self.classes)))

    @override
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        # (batch, 1, feature, frame), channels last in memory, in which convolutions on a CPU are faster
        maps = features[:, None].contiguous(memory_format=torch.channels_last)
        for block in (self.stem, *self.blocks):
            maps, lengths = block(maps, lengths)
        frames = torch.relu(self.fold(maps.flatten(1, 2).mT))  # (batch, frame, width)
        logits: Tensor = self.head(self.pool(frames, frame_mask(lengths, frames.shape[1])))
        return logits


class Block(nn.Module):
    """Convolution, batch norm, ReLU and max pooling.

    Shapes:
        - maps: ``(batch, channel, feature, frame)``, zero beyond a clip's frames, as is what it returns
        - lengths: ``(batch,)`` in frames

    Args:
        inputs, outputs: Channels.
        kernel: Its side, odd.
        stride: In both directions.
        pool: Number of bands and frames that the pooling merges.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, pool: tuple[int, int] = (1, 1)
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = BatchNorm(outputs)
        self.stride, self.pool = stride, pool
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing from its signature

    def forward(self, maps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pooled maps and their lengths."""
        lengths = -(-lengths // self.stride)
        maps = self.norm(self.convolution(maps))
        maps = torch.relu(maps) * frame_mask(lengths, maps.shape[-1])[:, None, None]
        # An incomplete last pool may include zeros of the padding: no ReLU output is below them.
        maps = nn.functional.max_pool2d(maps, self.pool, ceil_mode=True)
        return maps, -(-lengths // self.pool[1])
