"""A bidirectional LSTM on log-mel, with attentive statistics over time."""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
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
        between = dropout if layers > 1 else 0.0
        self.lstm = nn.LSTM(self.n_features, hidden, layers, batch_first=True, bidirectional=True, dropout=between)
        self.pool = AttentiveStatistics(2 * hidden, attention)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * hidden, len(self.classes)))

    @override
    def classify(self, features: Tensor, lengths: Tensor) -> Tensor:
        frames = features.shape[-1]
        # Packed, the backward direction starts at each clip's own end rather than in the padding.
        packed = pack_padded_sequence(features.mT, lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=frames)
        logits: Tensor = self.head(self.pool(states, frame_mask(lengths, frames)))
        return logits
