"""`Embedding`: a pretrained encoder as the features of a model, all frames of its layers or their statistics over time."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from typing_extensions import override

from ser.features.mask import frame_mask
from ser.models.encoders.encoder import Encoder, rejoined

Summary = Literal["frames", "mean", "statistics"]


class Embedding(nn.Module):
    """The states of an encoder as features: those of one layer, or of all layers, stacked.

    Shapes:
        - waveform: ``(batch, sample)``, zero-padded on the right
        - lengths: ``(batch,)`` in samples
        - returns: ``(batch, n_layers * size, frame)`` and ``(batch,)`` in frames, zero beyond a clip's frames; ``size``
          is the encoder's width, twice that for ``statistics``. A summary over time is one frame.

    Args:
        encoder: The encoder, trained or frozen.
        layer: The layer to use; ``None`` uses all.
        summary: ``frames`` keeps them; ``mean`` is over time; ``statistics`` is the mean, then the deviation.
        batch_seconds: The most audio, padding included, that is encoded at a time. A longer batch is encoded in parts,
            of which training stores only the result: each is recomputed in the backward pass. ``None`` sets no limit.
    """

    def __init__(
        self,
        encoder: Encoder,
        layer: int | None = None,
        summary: Summary = "statistics",
        batch_seconds: float | None = None,
    ) -> None:
        super().__init__()
        if layer is not None:
            encoder.keep(max(1, layer))
        self.encoder, self.layer, self.summary = encoder, layer, summary
        self.n_layers = encoder.n_states if layer is None else 1
        self.size = encoder.width * (2 if summary == "statistics" else 1)
        self.n_features = self.n_layers * self.size
        self.most = None if batch_seconds is None else round(batch_seconds * encoder.sample_rate)

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        parts = [] if self.most is None else [part.to(lengths.device) for part in parts_of(lengths, self.most)]
        if len(parts) < 2:
            return self._part(waveform, lengths)
        learns = torch.is_grad_enabled() and any(p.requires_grad for p in self.parameters())
        features, frames = [], []
        for rows in parts:
            inputs = waveform[rows, : int(lengths[rows].max())], lengths[rows]
            some, count = checkpoint(self._part, *inputs, use_reentrant=False) if learns else self._part(*inputs)
            features.append(some)
            frames.append(count)
        return rejoined(parts, features, frames)

    def _part(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        states, frames = self.encoder(waveform, lengths)  # (batch, layer, frame, width)
        if self.layer is not None:
            states = states[:, self.layer, None]
        if self.summary != "frames":
            mask = frame_mask(frames, states.shape[2])[:, None, :, None]
            count = frames[:, None, None]
            mean = states.sum(dim=2) / count
            if self.summary == "statistics":
                variance = ((states - mean[:, :, None]) * mask).square().sum(dim=2) / count
                mean = torch.cat([mean, (variance + 1e-8).sqrt()], dim=2)  # the root of 0 has no gradient
            states, frames = mean[:, :, None], torch.ones_like(frames)
        return states.transpose(2, 3).flatten(1, 2), frames


def parts_of(lengths: Tensor, most: int) -> Iterator[Tensor]:
    """Yield positions of a batch in parts of similar length, each of at most ``most`` samples with padding, or one clip.

    Example:
        >>> [part.tolist() for part in parts_of(torch.tensor([3, 9, 4]), most=8)]
        [[1], [2, 0]]
    """
    order = lengths.cpu().argsort(descending=True, stable=True)
    while len(order):
        count = max(1, most // max(1, int(lengths[order[0]])))
        yield order[:count]
        order = order[count:]
