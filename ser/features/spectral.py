"""The shape of the spectrum: centroid, bandwidth, roll-off, flatness, flux and contrast, as librosa defines them.

Sources: Peeters, 2004, A large set of audio features for sound description; contrast: Jiang et al., 2002,
https://doi.org/10.1109/ICME.2002.1035731.
"""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.framing import OfPower, PowerSpectrum

QUIETEST = 1e-10
"""Least power in flatness and least magnitude in contrast, as in librosa."""


class Spectral(OfPower):
    """Shape of the spectrum of each frame.

    ``centroid`` and ``bandwidth`` are mean and deviation of the frequency in Hz, weighted by magnitude; ``rolloff`` the
    frequency in Hz below which a share of the magnitude lies; ``flatness`` the geometric mean of power over the arithmetic
    one; ``flux`` the squared distance between the spectra of a frame and the one before, both of unit length; ``contrast``
    the decibels from the weakest to the strongest bins of each octave.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, 6 + bands, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate: In Hz.
        window_ms: Hann window length in milliseconds.
        hop_ms: Time from one frame to the next in milliseconds.
        rolloff: Share of the magnitude below the roll-off.
        low_hz: Upper edge of the lowest band of the contrast; each further band is an octave, the last goes to the top.
        bands: Octaves above ``low_hz``.
        quantile: Share of a band's bins that count as its weakest, and as its strongest.

    Raises:
        ConfigError: If a share is not between 0 and 1, or an octave begins above half the sampling rate or has no bin.

    Example:
        >>> tone = torch.sin(2 * torch.pi * 1000 * torch.arange(16000) / 16000)
        >>> features, _ = Spectral()(tone[None], torch.tensor([16000]))
        >>> round(float(features[0, 0, 0]), -1)
        1000.0
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        window_ms: float = 64.0,
        hop_ms: float = 16.0,
        rolloff: float = 0.85,
        low_hz: float = 200.0,
        bands: int = 6,
        quantile: float = 0.02,
    ) -> None:
        super().__init__()
        for name, share in (("rolloff", rolloff), ("quantile", quantile)):
            if not 0 < share < 1:
                raise ConfigError(f"features.{name} must be between 0 and 1; got {share}.")
        self.spectrum, self.rolloff = PowerSpectrum(sample_rate, window_ms, hop_ms), rolloff
        self.framing = self.spectrum.framing
        self.octaves = _octaves(self.spectrum.frequencies, low_hz, bands, quantile)
        contrast = [f"contrast_{i}" for i in range(len(self.octaves))]
        self.names = ("centroid", "bandwidth", "rolloff", "flatness", "flux", *contrast)

    @override
    def of_power(self, power: Tensor, frames: Tensor) -> Tensor:
        hz = self.spectrum.frequencies[:, None]  # (bin, 1)
        tiny = torch.finfo(power.dtype).tiny
        # The square root has no slope at zero: bins of digital silence are left out.
        magnitude = torch.where(power > 0, power.clamp(min=tiny).sqrt(), 0.0)
        total = magnitude.sum(dim=1, keepdim=True)
        share = magnitude / total.clamp(min=tiny)
        centroid = (share * hz).sum(dim=1)
        bandwidth = (share * (hz - centroid[:, None]).square()).sum(dim=1).clamp(min=tiny).sqrt()
        below = (magnitude.cumsum(dim=1) < self.rolloff * total).sum(dim=1)  # bins below the roll-off
        rolloff = self.spectrum.frequencies[below.clamp(max=len(hz) - 1)]
        audible = power.clamp(min=QUIETEST)
        flatness = audible.log().mean(dim=1).exp() / audible.mean(dim=1)
        unit = magnitude / power.sum(dim=1, keepdim=True).clamp(min=tiny).sqrt()
        flux = nn.functional.pad(unit.diff(dim=2).square().sum(dim=1), (1, 0))
        contrast = [octave.contrast(magnitude) for octave in self.octaves]
        return torch.stack([centroid, bandwidth, rolloff, flatness, flux, *contrast], dim=1)


class _Octave(NamedTuple):
    """The bins of a band of the contrast, and how many are its weakest and its strongest."""

    start: int
    stop: int
    extremes: int

    def contrast(self, magnitude: Tensor) -> Tensor:
        """Return the decibels between the mean of the strongest and of the weakest bins, ``(batch, frame)``."""
        ordered = magnitude[:, self.start : self.stop].sort(dim=1).values
        strong, weak = ordered[:, -self.extremes :].mean(dim=1), ordered[:, : self.extremes].mean(dim=1)
        return 10 * (strong.clamp(min=QUIETEST).log10() - weak.clamp(min=QUIETEST).log10())


def _octaves(hz: Tensor, low: float, bands: int, quantile: float) -> list[_Octave]:
    """Return the bands of the contrast; all but the last leave their topmost bin to the next, as librosa has it."""
    edges = [0.0, *(low * 2.0**i for i in range(bands + 1))]
    found = []
    for i, (bottom, top) in enumerate(pairwise(edges)):
        bins = ((hz >= bottom) & (hz <= top)).nonzero().flatten().tolist()
        start, stop = (bins[0] - (i > 0), bins[-1] + 1) if bins else (0, 0)
        stop = len(hz) if bins and i == bands else stop
        last = stop if i == bands else stop - 1
        if last <= start:
            raise ConfigError(
                f"features.bands must be octaves with bins of the spectrum; got {bands}, of which the one from {bottom:g} Hz "
                f"has none up to {float(hz[-1]):g} Hz. Set fewer features.bands, or a longer features.window_ms."
            )
        found.append(_Octave(start, last, max(1, round(quantile * (stop - start)))))
    return found
