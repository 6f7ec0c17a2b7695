"""Functionals: statistics over time of any features, so that a clip becomes one vector, on the device."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.mask import frame_mask
from ser.features.precision import at_least_float32
from ser.runtime.instantiate import instantiate

NAMES = ("mean", "std", "skewness", "kurtosis", "min", "max", "slope")
DEFAULT = ("mean", "std", "p10", "p50", "p90", "slope")
PERCENTILE = re.compile(r"p(\d{1,2}|100)")
CONSTANT = 1e-6
"""Deviation below which a feature of a clip is constant: its skewness and kurtosis are 0 instead of rounding errors."""


class Functionals(nn.Module):
    """Statistics of each feature over the true frames of a clip.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, len(functionals) * of.n_features, 1)``, and ones, ``(batch,)``, as each clip has one frame. All
          features come with the first functional, then all with the second, and so on.

    Args:
        of: ``_target_`` and arguments of a module of `ser.features`, or such a module.
        functionals: Any of ``mean``, ``std``, ``skewness``, ``kurtosis`` (0 for a normal distribution), ``min``, ``max``,
            ``slope`` (of the least-squares line, per frame), and percentiles such as ``p10`` or ``p50``.

    Attributes:
        names: Names such as ``mel_0_mean``.

    Raises:
        ConfigError: If a functional is unknown, or there is none.

    Example:
        >>> from ser.features.logmel import LogMel
        >>> made = Functionals(LogMel(n_mels=40), ["mean", "p50"])
        >>> vector, frames = made(torch.zeros(2, 16000), torch.tensor([16000, 9000]))
        >>> tuple(vector.shape), frames.tolist(), made.names[40]
        ((2, 80, 1), [1, 1], 'mel_0_p50')
    """

    one_frame = True
    """Each clip has exactly one frame."""
    costly = True
    """Worth keeping on disk between runs, since they take little room."""

    def __init__(self, of: Mapping[str, Any] | nn.Module, functionals: Sequence[str] = DEFAULT) -> None:
        super().__init__()
        self.of = of if isinstance(of, nn.Module) else instantiate(of, nn.Module)
        if not functionals or not all(name in NAMES or PERCENTILE.fullmatch(name) for name in functionals):
            raise ConfigError(
                f"functionals must be among {', '.join(NAMES)} and percentiles p0 to p100; got {list(functionals)}."
            )
        self.functionals = tuple(functionals)
        inner = names_of(self.of)
        self.names = tuple(f"{name}_{functional}" for functional in self.functionals for name in inner)
        self.n_features = len(self.names)
        if hasattr(self.of, "rebuilt_from"):  # without the files that it was first made from
            own = {"_target_": f"{__name__}.Functionals", "functionals": list(self.functionals)}
            self.rebuilt_from = {**own, "of": self.of.rebuilt_from}

    @override
    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        features, frames = self.of(waveform, lengths)
        with torch.autocast(waveform.device.type, enabled=False):
            # In double precision, so that a tree's threshold is on the same side whatever the padding of the batch.
            found = statistics_of(features.double(), frames, self.functionals)
        return found.to(at_least_float32(features).dtype)[..., None], frames.clamp(1, 1)


def as_vector(features: nn.Module, functionals: Sequence[str] = DEFAULT) -> nn.Module:
    """Return features that are one vector a clip: themselves if they are, else functionals of them."""
    return features if getattr(features, "one_frame", False) else Functionals(features, functionals)


def names_of(features: nn.Module) -> tuple[str, ...]:
    """Return the name of each row of some features; features without names get numbers."""
    names = getattr(features, "names", None)
    return tuple(names) if names is not None else tuple(f"feature_{i}" for i in range(int(features.n_features)))  # type: ignore[arg-type]


def statistics_of(features: Tensor, frames: Tensor, functionals: Sequence[str]) -> Tensor:
    """Return statistics over the true frames.

    Shapes:
        - features: ``(batch, feature, frame)``
        - frames: ``(batch,)``
        - returns: ``(batch, functional * feature)``
    """
    mask = frame_mask(frames, features.shape[-1])[:, None]
    count = frames[:, None].clamp(min=1).to(features.dtype)
    mean = (features * mask).sum(dim=-1) / count
    centred = (features - mean[..., None]) * mask
    deviation = (centred.square().sum(dim=-1) / count).clamp(min=1e-30).sqrt()  # the root of 0 has no gradient
    ordered = features.masked_fill(~mask, torch.inf).sort(dim=-1).values if _needs_order(functionals) else features

    def standardised_moment(power: int) -> Tensor:
        moment = (centred / deviation.clamp(min=CONSTANT)[..., None]).pow(power).sum(dim=-1) / count
        return moment * (deviation > CONSTANT)

    def one(name: str) -> Tensor:
        match name:
            case "mean":
                return mean
            case "std":
                return deviation * (deviation > 1e-15)
            case "skewness":
                return standardised_moment(3)
            case "kurtosis":
                return (standardised_moment(4) - 3) * (deviation > CONSTANT)
            case "slope":
                return _slope(centred, mask, count)
            case "min" | "max":
                return _percentile(ordered, frames, 0 if name == "min" else 100)
        return _percentile(ordered, frames, int(name[1:]))

    return torch.cat([one(name) for name in functionals], dim=1)


def _needs_order(functionals: Sequence[str]) -> bool:
    return any(name in ("min", "max") or PERCENTILE.fullmatch(name) for name in functionals)


def _slope(centred: Tensor, mask: Tensor, count: Tensor) -> Tensor:
    """Return the slopes of the least-squares lines per frame; 0 for a single frame."""
    time = torch.arange(centred.shape[-1], device=centred.device, dtype=centred.dtype)
    time = (time - (count[..., None] - 1) / 2) * mask  # (batch, 1, frame), centred in each clip
    return (time * centred).sum(dim=-1) / time.square().sum(dim=-1).clamp(min=0.5)


def _percentile(ordered: Tensor, frames: Tensor, percent: int) -> Tensor:
    """Return a percentile of values in ascending order, interpolated as NumPy does."""
    position = (
        (frames.clamp(min=1) - 1)[:, None, None].expand(-1, ordered.shape[1], 1).to(ordered.dtype) * percent / 100
    )
    low = position.floor()
    below, above = (ordered.gather(-1, at.long())[..., 0] for at in (low, position.ceil()))
    return below + (above - below) * (position - low)[..., 0]
