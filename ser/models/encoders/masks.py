"""SpecAugment inside an encoder: mask random stretches of time and features of the frames that enter its transformer.

Sources: Park et al., 2019, https://doi.org/10.21437/Interspeech.2019-2680; within an encoder, by spans that may
overlap, Baevski et al., 2020, https://arxiv.org/abs/2006.11477.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.mask import frame_mask


class SpanMask(nn.Module):
    """Mask spans of frames and of features in training; each clip draws its own. In evaluation nothing changes.

    Spans start anywhere with equal probability, also across an edge, where they are cut, so that every frame of a clip
    is masked with the same probability, ``time_share``, however long the clip. The number of spans is random: a short
    clip often has none (transformers' ``mask_feature_min_masks`` masks a fixed number even then).

    The draws come from torch's generator of the frames' device, without synchronising with it.

    Shapes:
        - frames: ``(batch, frame, width)``
        - lengths: ``(batch,)`` in frames
        - fill: ``(width,)``, what a masked frame becomes (an encoder's ``masked_spec_embed``); zero if ``None``
        - returns: as ``frames``, and the same beyond a clip's frames

    Args:
        time_share: Expected share of a clip's frames that are masked.
        time_span: Length of a span in frames.
        feature_share: Expected share of the features that are zero throughout the clip.
        feature_span: Length of a span in features.

    Raises:
        ConfigError: If a share is not in [0, 1), or a span is below 1.

    Example:
        >>> masked = SpanMask(time_share=0.5, time_span=2)(torch.ones(1, 9000, 1), torch.tensor([9000]))
        >>> round(1 - masked.mean().item(), 1)
        0.5
    """

    def __init__(
        self, time_share: float = 0.05, time_span: int = 10, feature_share: float = 0.0, feature_span: int = 10
    ) -> None:
        super().__init__()
        for name, share, span in (("time", time_share, time_span), ("feature", feature_share, feature_span)):
            if not 0 <= share < 1:
                raise ConfigError(f"model.finetune.mask.{name}_share must be at least 0 and below 1; got {share}.")
            if span < 1:
                raise ConfigError(f"model.finetune.mask.{name}_span must be at least 1; got {span}.")
        self.time_share, self.time_span = time_share, time_span
        self.feature_share, self.feature_span = feature_share, feature_span

    @override
    def forward(self, frames: Tensor, lengths: Tensor, fill: Tensor | None = None) -> Tensor:
        if not self.training:
            return frames
        batch, n_frames, width = frames.shape
        real = frame_mask(lengths, n_frames)[..., None]
        if self.time_share:
            time = _spans((batch, n_frames), self.time_share, self.time_span, frames.device)
            masked = frames.new_zeros(()) if fill is None else fill.to(frames.dtype)
            frames = torch.where(time[..., None] & real, masked, frames)
        if self.feature_share:
            feature = _spans((batch, width), self.feature_share, self.feature_span, frames.device)
            frames = frames.masked_fill(feature[:, None] & real, 0.0)
        return frames


def _spans(shape: tuple[int, int], share: float, span: int, device: torch.device) -> Tensor:
    """Return a mask of ``shape``, true within random spans that may overlap; each place with probability ``share``."""
    batch, size = shape
    # A place is free if no span starts at any of the `span` places from which one would reach it.
    start = 1 - (1 - share) ** (1 / span)
    starts = torch.rand(batch, size + span - 1, device=device) < start
    reached: Tensor = starts.unfold(1, span, 1)  # (batch, size, span)
    return reached.any(dim=-1)
