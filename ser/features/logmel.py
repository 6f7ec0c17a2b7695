"""Log-mel energies with torchaudio, on the device, without frames that extend beyond a clip's end."""

import math

import torch
import torchaudio
from torch import Tensor
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.framing import OfPower, PowerSpectrum

DECIBELS = 10 / math.log(10)
"""What a natural logarithm of power is multiplied by."""
GROUP = 16
"""Bands that are computed together on a CPU, from the bins that they touch: a quarter of the products of the whole matrix,
which is nearly all zeros. Fewer are slower, as the products are then too small."""


class LogMel(OfPower):
    """Log-mel energies of a padded batch of waveforms.

    Frames start every ``hop_ms`` and lie entirely within the clip (Kaldi's ``snip_edges``), so that padding cannot affect
    them; a clip shorter than one frame is padded with silence to one.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, n_mels, frame)`` in natural-log power, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate: In Hz.
        n_mels: Bands on the HTK mel scale.
        window_ms: Hann window length in milliseconds.
        hop_ms: Time from one frame to the next in milliseconds.
        low_hz: Lower edge of the lowest band.
        high_hz: Upper edge of the highest band; ``None`` is half the sampling rate.
        floor: Added to the power before the logarithm; digital silence gives ``log(floor)``.

    Raises:
        ConfigError: If a band would be empty because the FFT is too short for ``n_mels`` bands.

    Example:
        >>> import torch
        >>> features, frames = LogMel(n_mels=40)(torch.zeros(1, 16000), torch.tensor([16000]))
        >>> features.shape[1], int(frames)
        (40, 97)
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 64,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        low_hz: float = 20.0,
        high_hz: float | None = None,
        floor: float = 1e-6,
    ) -> None:
        super().__init__()
        self.names = tuple(f"mel_{band}" for band in range(n_mels))
        self.spectrum = PowerSpectrum(sample_rate, window_ms, hop_ms)
        self.framing = self.spectrum.framing
        self.fft, self.hop = self.framing.span, self.framing.hop
        self.floor = floor
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate, self.fft, self.framing.window, self.hop, low_hz, high_hz, n_mels=n_mels, center=False
        )
        if empty := int((self.mel.mel_scale.fb.sum(dim=0) == 0).sum()):
            raise ConfigError(
                f"features.n_mels must leave no band empty; got {n_mels}, which leaves {empty} bands without any of the "
                f"FFT's {self.fft // 2 + 1} bins. Set fewer bands, a longer features.window_ms, or a higher features.low_hz."
            )

        touched = self.mel.mel_scale.fb > 0  # (bin, band)
        self._groups = [(at, *_bounds(touched[:, at : at + GROUP])) for at in range(0, n_mels, GROUP)]

    @override
    def of_power(self, power: Tensor, frames: Tensor) -> Tensor:
        return self.energies(power).add_(self.floor).log_()

    def energies(self, power: Tensor) -> Tensor:
        """Return the energy of each band, ``(batch, n_mels, frame)``, of the power of each bin, ``(batch, bin, frame)``."""
        if power.device.type != "cpu":
            energies: Tensor = self.mel.mel_scale(power)
            return energies
        bins, filters = power.mT, self.mel.mel_scale.fb
        each = [bins[..., low:high] @ filters[low:high, at : at + GROUP] for at, low, high in self._groups]
        return torch.cat(each, dim=-1).mT


def _bounds(touched: Tensor) -> tuple[int, int]:
    """Return the first bin that any of some bands has, ``(bin, band)``, and the one after the last."""
    bins = touched.any(dim=1).nonzero()[:, 0]
    return int(bins[0]), int(bins[-1]) + 1
