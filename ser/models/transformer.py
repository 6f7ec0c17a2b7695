"""A small transformer on log-mel: two strided convolutions, pre-norm layers, attentive statistics over time."""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.features.mask import frame_mask
from ser.models.classifier import Config, SpeechClassifier
from ser.models.pooling import AttentiveStatistics


class Transformer(SpeechClassifier):
    """Self-attention classifier.

    Args:
        width: Features per position, a multiple of ``heads`` and of 2.
        heads: Attention heads of each layer.
        layers: Number of layers.
        channels: Channels of the two convolutions, each with stride 2.
        dropout: Before the last layer; half of it within the layers.
        attention: Width of the pooling attention's hidden layer.
    """

    def __init__(
        self,
        task: Config,
        width: int = 128,
        heads: int = 4,
        layers: int = 3,
        channels: int = 32,
        dropout: float = 0.3,
        attention: int = 64,
    ) -> None:
        super().__init__(task)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inputs, channels, 3, stride=2, padding=1) for inputs in (1, channels)
        )
        bands = math.ceil(self.n_features / 4)
        self.project = nn.Linear(channels * bands, width)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout / 2, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.pool = AttentiveStatistics(width, attention)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * width, len(self.classes)))

    @override
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        maps = features[:, None]  # (batch, 1, feature, frame)
        for convolution in self.convolutions:
            lengths = (lengths + 1) // 2
            maps = torch.relu(convolution(maps))
            maps = maps * frame_mask(lengths, maps.shape[-1])[:, None, None]
        frames = self.project(maps.flatten(1, 2).mT)  # (batch, frame, width)
        mask = frame_mask(lengths, frames.shape[1])
        frames = self.encoder(frames + positions(frames), src_key_padding_mask=~mask)
        logits: Tensor = self.head(self.pool(frames, mask))
        return logits


def positions(frames: Tensor) -> Tensor:
    """Return the sinusoidal positions of Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, for any length.

    Shapes:
        - frames: ``(batch, frame, width)``, used for its size, type and device only
        - returns: ``(frame, width)``
    """
    _, count, width = frames.shape
    half = torch.arange(0, width, 2, device=frames.device)
    angle = torch.arange(count, device=frames.device)[:, None] / 10000 ** (half / width)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1).to(frames.dtype)
