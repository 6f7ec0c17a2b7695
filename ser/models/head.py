"""The head on an encoder: a mix of its layers, pooling over time, one or two linear layers."""

from itertools import pairwise

from torch import Tensor, nn
from typing_extensions import override

from ser.features.mask import frame_mask
from ser.models.pooling import AttentiveStatistics, LayerMix


class Head(nn.Module):
    """Mix layers, pool frames where there are several, and classify.

    Shapes:
        - layers: ``(batch, layer, size, frame)``, zero beyond a clip's frames
        - lengths: ``(batch,)`` in frames
        - returns: logits, ``(batch, class)``

    Args:
        size: Features of a frame.
        attend: Pool frames by attentive statistics; otherwise there is one frame, which is used.
        hidden: Units of a layer before the last; ``None`` omits that layer.
        dropout: Before each linear layer.
    """

    def __init__(
        self, n_layers: int, size: int, attend: bool, hidden: int | None, n_classes: int, dropout: float
    ) -> None:
        super().__init__()
        self.mix = LayerMix(n_layers)
        self.attend = AttentiveStatistics(size) if attend else None
        sizes = [2 * size if attend else size, *([] if hidden is None else [hidden]), n_classes]
        steps: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            steps += [nn.ReLU(), nn.Dropout(dropout), nn.Linear(inputs, outputs)]
        self.classify = nn.Sequential(*steps[1:])  # no ReLU before the first

    @override
    def forward(self, layers: Tensor, lengths: Tensor) -> Tensor:
        mixed = self.mix(layers)  # (batch, size, frame)
        pooled = mixed[..., 0] if self.attend is None else self.attend(mixed.mT, frame_mask(lengths, mixed.shape[2]))
        logits: Tensor = self.classify(pooled)
        return logits
