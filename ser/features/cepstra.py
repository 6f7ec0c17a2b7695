"""Cepstral coefficients: the cosine transform of log energies on a mel scale (MFCC) or a linear one (LFCC)."""

import torch
from torch import Tensor, nn
from torchaudio.functional import create_dct, linear_fbanks
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.deltas import deltas
from ser.features.framing import OfPower, PowerSpectrum
from ser.features.logmel import LogMel


class MFCC(OfPower):
    """Mel-frequency cepstral coefficients with their deltas.

    Source: Davis and Mermelstein, 1980, https://doi.org/10.1109/TASSP.1980.1163420.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, (1 + deltas) * n_mfcc, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        n_mfcc: Coefficients, the zeroth (the level) included.
        deltas: 0 for none, 1 for slopes, 2 for slopes of slopes too.
        delta_width: Frames that a slope is fitted to, odd.
        sample_rate, n_mels, window_ms, hop_ms, low_hz, high_hz, floor: See `ser.features.logmel.LogMel`.

    Raises:
        ConfigError: If there are more coefficients than bands, or a band would be empty.

    Example:
        >>> features, frames = MFCC(n_mfcc=13, window_ms=64.0)(torch.zeros(1, 16000), torch.tensor([16000]))
        >>> features.shape[1]
        39
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mfcc: int = 20,
        deltas: int = 2,
        delta_width: int = 9,
        n_mels: int = 64,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        low_hz: float = 20.0,
        high_hz: float | None = None,
        floor: float = 1e-6,
    ) -> None:
        super().__init__()
        self.log_mel = LogMel(sample_rate, n_mels, window_ms, hop_ms, low_hz, high_hz, floor)
        self.cepstrum = _Cepstrum("mfcc", n_mfcc, n_mels, "n_mels", deltas, delta_width)
        self.spectrum, self.framing, self.names = self.log_mel.spectrum, self.log_mel.framing, self.cepstrum.names

    @override
    def of_power(self, power: Tensor, frames: Tensor) -> Tensor:
        coefficients: Tensor = self.cepstrum(self.log_mel.of_power(power, frames), frames)
        return coefficients


class LFCC(OfPower):
    """Linear-frequency cepstral coefficients with their deltas: as `MFCC`, with bands of one width.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, (1 + deltas) * n_lfcc, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        n_lfcc: Coefficients, the zeroth included.
        n_bands: Bands on the linear scale.
        deltas, delta_width: See `MFCC`.
        sample_rate, window_ms, hop_ms, low_hz, high_hz, floor: See `ser.features.logmel.LogMel`.

    Raises:
        ConfigError: If there are more coefficients than bands, or a band would be empty.

    Example:
        >>> features, frames = LFCC(n_lfcc=13, deltas=0)(torch.zeros(1, 16000), torch.tensor([16000]))
        >>> features.shape[1]
        13
    """

    filters: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        n_lfcc: int = 20,
        deltas: int = 2,
        delta_width: int = 9,
        n_bands: int = 64,
        window_ms: float = 25.0,
        hop_ms: float = 10.0,
        low_hz: float = 0.0,
        high_hz: float | None = None,
        floor: float = 1e-6,
    ) -> None:
        super().__init__()
        self.spectrum, self.floor = PowerSpectrum(sample_rate, window_ms, hop_ms), floor
        bins, high = self.spectrum.framing.span // 2 + 1, sample_rate / 2 if high_hz is None else high_hz
        filters = linear_fbanks(bins, low_hz, high, n_bands, sample_rate)  # (bin, band)
        if empty := int((filters.sum(dim=0) == 0).sum()):
            raise ConfigError(
                f"features.n_bands must leave no band empty; got {n_bands}, which leaves {empty} bands without any of the "
                f"FFT's {bins} bins. Set fewer bands, or a longer features.window_ms."
            )
        self.register_buffer("filters", filters, persistent=False)
        self.cepstrum = _Cepstrum("lfcc", n_lfcc, n_bands, "n_bands", deltas, delta_width)
        self.framing, self.names = self.spectrum.framing, self.cepstrum.names

    @override
    def of_power(self, power: Tensor, frames: Tensor) -> Tensor:
        logs = torch.log(self.filters.T @ power + self.floor)
        coefficients: Tensor = self.cepstrum(logs, frames)
        return coefficients


class _Cepstrum(nn.Module):
    """The orthonormal DCT-II of log energies ``(batch, band, frame)``, and its slopes, one below the other."""

    dct: Tensor

    def __init__(self, name: str, count: int, bands: int, of: str, order: int, width: int) -> None:
        super().__init__()
        for setting, value, right, allowed in (
            (f"n_{name}", count, 1 <= count <= bands, f"between 1 and features.{of}, {bands}"),
            ("deltas", order, order in (0, 1, 2), "0, 1 or 2"),
            ("delta_width", width, width >= 3 and width % 2 == 1, "odd and at least 3"),
        ):
            if not right:
                raise ConfigError(f"features.{setting} must be {allowed}; got {value}.")
        self.order, self.width = order, width
        self.names = tuple(f"{d}{name}_{i}" for d in ("", "delta_", "delta2_")[: order + 1] for i in range(count))
        self.register_buffer("dct", create_dct(count, bands, "ortho"), persistent=False)  # (band, coefficient)

    def forward(self, logs: Tensor, frames: Tensor) -> Tensor:
        rows = [self.dct.T @ logs]
        for _ in range(self.order):
            rows.append(deltas(rows[-1], frames, self.width))
        return torch.cat(rows, dim=1)
