"""`Encoder`: what every pretrained speech encoder shares, from padded waveforms to the states of all its layers."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ser.errors import ConfigError
from ser.features.mask import frame_mask
from ser.features.precision import at_least_float32
from ser.runtime.packages import of_extra


class Encoder(nn.Module, ABC):
    """A pretrained speech encoder whose result for a clip depends on that clip alone.

    Layer 0 of the states is the input of the first transformer layer, layer ``i`` the output of the ``i``-th; the last
    one includes the encoder's final norm, where it has one (``last_hidden_state`` of transformers).

    Shapes:
        - waveform: ``(batch, sample)`` float32 at ``sample_rate``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)`` in samples
        - returns: ``(batch, n_states, frame, width)`` float32, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        net: The encoder as transformers builds it; its weights are the whole state.
        sample_rate: In Hz.
        width: Features of a frame.

    Attributes:
        mask: A module such as `ser.models.encoders.masks.SpanMask`, called in training on the input of the net's
            layers, with frames ``(batch, frame, feature)`` and lengths ``(batch,)`` in frames; returns the frames.
            ``None`` masks nothing.
        norm_is_last: Whether ``layer_norm`` follows the blocks.
        prefixes: What the names of the encoder's weights may start with in a checkpoint of a larger model.
    """

    mask: nn.Module | None
    norm_is_last = True
    prefixes: tuple[str, ...]

    def __init__(self, net: nn.Module, sample_rate: int, width: int) -> None:
        super().__init__()
        # Transformers' classes are untyped here, since they are imported late.
        self.net: Any = net
        self.sample_rate, self.width = sample_rate, width
        self.mask = None

    @abstractmethod
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states of all layers, and their lengths in frames."""

    @property
    @abstractmethod
    def transformer(self) -> Any:
        """The part of the net that holds its ``layers`` and its ``layer_norm``."""

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer layers, lowest first."""
        layers: nn.ModuleList = self.transformer.layers
        return layers

    @property
    @abstractmethod
    def stem(self) -> list[nn.Module]:
        """The modules below the transformer layers."""

    @property
    @abstractmethod
    def feature_extractor(self) -> nn.Module:
        """The part of the stem that is purely convolutional."""

    @property
    def n_states(self) -> int:
        """The number of states: one per block, and the input of the first."""
        return len(self.blocks) + 1

    def keep(self, layers: int) -> None:
        """Drop the blocks above the first ``layers``, and the final norm, which was fitted to the last one's output.

        Raises:
            ConfigError: If there are fewer.
        """
        if not 1 <= layers <= len(self.blocks):
            raise ConfigError(
                f"layers must be from 1 to {len(self.blocks)}, the transformer layers of the encoder; got {layers}."
            )
        if layers < len(self.blocks):
            self.transformer.layers = self.blocks[:layers]
            if self.norm_is_last:
                self.transformer.layer_norm = nn.Identity()

    def gradient_checkpointing(self, on: bool) -> None:
        """Recompute each block in the backward pass instead of storing its activations: less memory, a third more time."""
        block: Any  # a layer of transformers
        for block in self.blocks:
            block.gradient_checkpointing = on
            # The reentrant kind gives no gradient to a block whose input needs none, as above a frozen stem.
            block._gradient_checkpointing_func = partial(checkpoint, use_reentrant=False)


def stack_states(states: list[Tensor], frames: Tensor) -> Tensor:
    """Stack the states of all layers, zero beyond a clip's frames, in at least float32, as pooling needs.

    Shapes:
        - states: each ``(batch, frame, width)``
        - frames: ``(batch,)``
        - returns: ``(batch, layer, frame, width)``

    Example:
        >>> stack_states([torch.ones(2, 3, 1)], torch.tensor([3, 1]))[:, 0, :, 0].tolist()
        [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]
    """
    stacked = torch.stack([at_least_float32(layer) for layer in states], dim=1)
    return stacked.masked_fill(~frame_mask(frames, stacked.shape[2])[:, None, :, None], 0.0)


def rejoined(rows: list[Tensor], parts: list[Tensor], frames: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Join the parts of a batch that was encoded in parts, in the order of the batch.

    Shapes:
        - rows: positions in the batch, each ``(part,)``
        - parts: each ``(part, feature, frame)``, or ``(part, layer, frame, width)``
        - frames: each ``(part,)``

    Example:
        >>> whole, frames = rejoined([torch.tensor([1]), torch.tensor([0])], [torch.ones(1, 1, 2)] * 2, [torch.ones(1)] * 2)
        >>> tuple(whole.shape)
        (2, 1, 2)
    """
    longest = max(part.shape[2] for part in parts)
    behind = [0, 0] * (parts[0].dim() - 3)  # padding of the dimensions after the frames
    padded = [nn.functional.pad(part, [*behind, 0, longest - part.shape[2]]) for part in parts]
    order = torch.cat(rows).argsort()
    return torch.cat(padded)[order], torch.cat(frames)[order]


def attention_of(net: Any, attention: str) -> str:
    """Return the attention that a class of transformers uses: ``sdpa`` (fused) or ``eager`` (plain).

    Raises:
        ConfigError: If it is not auto, sdpa or eager, or the class does not support sdpa.
    """
    if attention not in ("auto", "sdpa", "eager"):
        raise ConfigError(f"model.encoder.attention must be auto, sdpa or eager; got {attention!r}.")
    if attention == "sdpa" and not net._supports_sdpa:
        raise ConfigError(
            f"model.encoder.attention must be auto or eager for {net.__name__}, which does not support sdpa."
        )
    if attention == "auto":
        return "sdpa" if net._supports_sdpa else "eager"
    return attention


def library(name: str) -> Any:
    """Import a package of the optional extra, when an encoder needs it.

    Raises:
        ConfigError: If it is not installed.
    """
    return of_extra(name, "pretrained", "Pretrained encoders")
