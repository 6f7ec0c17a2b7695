"""A bidirectional LSTM on log-mel, with attentive statistics over time."""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.features.mask import frame_mask
from ser.models.classifier import Config, SpeechClassifier
from ser.models.pooling import AttentiveStatistics


class BiLSTM(SpeechClassifier):
    """Recurrent classifier.

    Args:
        hidden: Units a direction.
        layers: How many.
        dropout: Between layers and before the last layer.
        attention: Width of the attention's hidden layer.
    """

    def __init__(
        self, task: Config, hidden: int = 96, layers: int = 2, dropout: float = 0.3, attention: int = 64
    ) -> None:
        super().__init__(task)
        inputs = [self.n_features, *[2 * hidden] * (layers - 1)]
        self.layers = nn.ModuleList(BothDirections(size, hidden) for size in inputs)
        self.between = nn.Dropout(dropout)
        self.pool = AttentiveStatistics(2 * hidden, attention)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * hidden, len(self.classes)))

    @override
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        states = features.mT
        for number, layer in enumerate(self.layers):
            states = layer(self.between(states) if number else states, lengths)
        logits: Tensor = self.head(self.pool(states, frame_mask(lengths, states.shape[1])))
        return logits


class BothDirections(nn.Module):
    """An LSTM from the start of each clip and one from its end, whose states are joined.

    The second one reads each clip reversed in place, so that padding stays at the end and never reaches a clip. The same with
    ``torch.nn.utils.rnn.pack_padded_sequence`` takes five times as long on a CPU, where a packed LSTM is not fused.

    Shapes:
        - x: ``(batch, frame, feature)``
        - lengths: ``(batch,)``, in frames
        - returns: ``(batch, frame, 2 * hidden)``, whatever beyond a clip's frames

    Example:
        >>> BothDirections(8, hidden=3)(torch.zeros(2, 5, 8), torch.tensor([5, 2])).shape
        torch.Size([2, 5, 6])
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.ahead = nn.LSTM(size, hidden, batch_first=True)
        self.back = nn.LSTM(size, hidden, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Return the states of both."""
        frame = torch.arange(x.shape[1], device=x.device)
        mirrored = torch.where(frame < lengths[:, None], lengths[:, None] - 1 - frame, frame)[..., None]
        # On a CPU in single precision: few processors have an LSTM in half precision, and without one torch raises.
        with torch.autocast(x.device.type, enabled=x.device.type != "cpu" and torch.is_autocast_enabled(x.device.type)):
            back, _ = self.back(_taken(x, mirrored))
            return torch.cat([self.ahead(x)[0], _taken(back, mirrored)], dim=-1)


def _taken(x: Tensor, frames: Tensor) -> Tensor:
    """Return frames of ``(batch, frame, feature)`` in another order, ``(batch, frame, 1)``."""
    return x.gather(1, frames.expand(-1, -1, x.shape[-1]))
