"""Several features of the same frames, one below the other."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.features.framing import Framing, OfPower, in_pieces
from ser.runtime.instantiate import find_class, instantiate


class Stack(nn.Module):
    """The rows of several features, in the order of the parts.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, n_features, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        parts: ``_target_`` and arguments of modules of `ser.features`, or such modules. On the command line, names of files
            of ``conf/features`` stand for them: ``features=stack features.parts=[mfcc,chroma]``.
        window_ms: Window of all parts in milliseconds; ``None`` leaves each part its own.
        hop_ms: Hop of all parts in milliseconds; ``None`` leaves each part its own.

    Raises:
        ConfigError: If there is no part, or rows of two parts have one name, or, once called, if parts have other frames.

    Example:
        >>> from ser.features.samples import RMS, ZeroCrossingRate
        >>> Stack([RMS(), ZeroCrossingRate()]).names
        ('rms', 'zcr')
    """

    def __init__(
        self,
        parts: Sequence[Mapping[str, Any] | nn.Module],
        window_ms: float | None = None,
        hop_ms: float | None = None,
    ) -> None:
        super().__init__()
        sizes = {name: value for name, value in (("window_ms", window_ms), ("hop_ms", hop_ms)) if value is not None}
        made: list[Any] = [part if isinstance(part, nn.Module) else _made(part, sizes) for part in parts]
        self.parts = nn.ModuleList(made)
        names = [name for part in made for name in part.names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(
                f"features.parts must have rows of different names; got {twice[0]} twice. Leave one part out."
            )
        if not names:
            raise ConfigError("features.parts must be a list of features, such as [mfcc,chroma]; got none.")
        self.names, self.n_features = tuple(names), len(names)
        self.one_frame = all(getattr(part, "one_frame", False) for part in made)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the rows of all parts and the number of frames of each clip."""
        shared: dict[Framing, list[OfPower]] = {}
        for part in self.parts:
            if isinstance(part, OfPower):
                shared.setdefault(part.framing, []).append(part)
        of_power = dict[nn.Module, tuple[Tensor, Tensor]]()
        for parts in shared.values():
            rows, counts = parts[0].framing.features(_together(parts), waveform, lengths)
            each = torch.split(rows, [part.n_features for part in parts], dim=1)
            of_power.update(zip(parts, zip(each, repeat(counts)), strict=True))
        made = [of_power[part] if part in of_power else part(waveform, lengths) for part in self.parts]
        features, frames = zip(*made, strict=True)
        for part, rows in zip(self.parts, features, strict=True):
            if rows.shape[-1] != features[0].shape[-1]:
                raise ConfigError(
                    f"features.parts must have the same frames; {type(self.parts[0]).__name__} has {features[0].shape[-1]}, "
                    f"{type(part).__name__} {rows.shape[-1]}. Set features.window_ms and features.hop_ms."
                )
        return torch.cat(features, dim=1), frames[0]


def _together(parts: Sequence[OfPower]) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what computes parts with the same frames from one power spectrum, one below the other."""

    def compute(samples: Tensor, frames: Tensor) -> Tensor:
        power = parts[0].spectrum(samples)
        return torch.cat([part.of_power(power, frames) for part in parts], dim=1)

    return partial(in_pieces, compute)


def _made(part: Mapping[str, Any], sizes: Mapping[str, float]) -> nn.Module:
    takes = inspect.signature(find_class(str(part.get("_target_", "")), nn.Module)).parameters
    return instantiate({**part, **{name: value for name, value in sizes.items() if name in takes}}, nn.Module)
