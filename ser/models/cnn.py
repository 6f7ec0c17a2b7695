"""A convolutional net on log-mel: blocks of 3x3 convolutions, then attentive statistics over time.

The frequency axis is folded into the features before pooling, since where in the spectrum something happens matters.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ser.features.mask import frame_mask
from ser.features.normalise import By
from ser.models.classifier import Config, SpeechClassifier
from ser.models.pooling import AttentiveStatistics


class CNN(SpeechClassifier):
    """Convolutional classifier.

    Args:
        channels: Of each block.
        time_pool: How many frames each block's pooling joins.
        dropout: Before the last layer.
        attention: Width of the attention's hidden layer.
        classes, audio, features, normalise, augment, optimizer, loss, stamps: See `SpeechClassifier`.
    """

    def __init__(
        self,
        classes: Sequence[str],
        audio: Config,
        features: Config,
        normalise: By,
        augment: Mapping[str, Config],
        optimizer: Config,
        loss: Config,
        stamps: Sequence[str] = (),
        channels: Sequence[int] = (32, 64, 96, 128),
        time_pool: Sequence[int] = (2, 2, 1, 1),
        dropout: float = 0.3,
        attention: int = 64,
    ) -> None:
        super().__init__(classes, audio, features, normalise, augment, optimizer, loss, stamps)
        self.save_hyperparameters()
        widths = [1, *channels]
        self.blocks = nn.ModuleList(
            Block(i, o, pool) for i, o, pool in zip(widths[:-1], widths[1:], time_pool, strict=True)
        )
        self.pool = AttentiveStatistics(channels[-1], attention)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(2 * channels[-1], len(self.classes)))

    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        """See `SpeechClassifier.classify`."""
        maps = features[:, None]  # (batch, 1, feature, frame)
        for block in self.blocks:
            maps, lengths = block(maps, lengths)
        frames = maps.mean(dim=2).transpose(1, 2)  # (batch, frame, channel)
        logits: Tensor = self.head(self.pool(frames, frame_mask(lengths, frames.shape[1])))
        return logits


class Block(nn.Module):
    """3x3 convolution, batch norm, ReLU, and max pooling that halves frequency.

    Shapes:
        - maps: ``(batch, channel, feature, frame)``, zero beyond a clip's frames, as is what it returns
        - lengths: ``(batch,)`` in frames
    """

    def __init__(self, inputs: int, outputs: int, time_pool: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.time_pool = time_pool

    def forward(self, maps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        mask = frame_mask(lengths, maps.shape[-1])[:, None, None]
        maps = torch.relu(self.norm(self.convolution(maps))) * mask
        # A last, incomplete pool takes in zeros of the padding where there is any: no ReLU output is below them.
        maps = nn.functional.max_pool2d(maps, (2, self.time_pool), ceil_mode=True)
        return maps, -(-lengths // self.time_pool)
