"""PCEN: mel energies with automatic gain control and a root in place of the logarithm.

Source: Wang et al., 2017, https://doi.org/10.1109/ICASSP.2017.7953242.
"""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.framing import OfPower
from ser.features.logmel import LogMel

NEGLIGIBLE = 2**-53
"""A weight that no sum in double precision notices."""


class PCEN(OfPower):
    """Per-channel energy normalisation: ``(E / (eps + M)**gain + bias)**power - bias**power``.

    ``M`` is the energy ``E`` of a band, smoothed over the frames before; it begins at the first frame's.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, n_mels, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate, n_mels, window_ms, hop_ms, low_hz, high_hz: See `ser.features.logmel.LogMel`.
        time_ms: Time constant of the smoothing in milliseconds.
        gain: Exponent of the smoothed energy; 0 turns the gain control off.
        bias, power: Of the root.
        eps: Least smoothed energy.

    Raises:
        ConfigError: If a band would be empty, or a setting is out of its range.

    Example:
        >>> features, frames = PCEN(n_mels=40)(torch.zeros(1, 16000), torch.tensor([16000]))
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
        time_ms: float = 400.0,
        gain: float = 0.98,
        bias: float = 2.0,
        power: float = 0.5,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        settings = {"time_ms": time_ms, "bias": bias, "power": power, "eps": eps}
        for name, value in settings.items():
            if value <= 0:
                raise ConfigError(f"features.{name} must be above 0; got {value}.")
        if not 0 <= gain <= 1:
            raise ConfigError(f"features.gain must be between 0 and 1; got {gain}.")
        self.log_mel = LogMel(sample_rate, n_mels, window_ms, hop_ms, low_hz, high_hz)
        self.spectrum, self.framing = self.log_mel.spectrum, self.log_mel.framing
        self.names = tuple(f"pcen_{band}" for band in range(n_mels))
        self.gain, self.bias, self.root, self.eps = gain, bias, power, eps
        frames = time_ms / 1000 * sample_rate / self.log_mel.hop
        # The share of a new frame whose low-pass has its half-power bandwidth at the time constant, as in librosa.
        self.share = (math.sqrt(1 + 4 * frames**2) - 1) / (2 * frames**2)

    @override
    def of_power(self, power: Tensor, frames: Tensor) -> Tensor:
        energy = self.log_mel.energies(power)
        level = smoothed(energy, self.share)
        # As logarithms: for the small energies of quiet speech, the difference of two roots would be lost.
        controlled = energy * torch.exp(-self.gain * (math.log(self.eps) + torch.log1p(level / self.eps)))
        rooted: Tensor = self.bias**self.root * torch.expm1(self.root * torch.log1p(controlled / self.bias))
        return rooted


def smoothed(values: Tensor, share: float) -> Tensor:
    """Return ``y[t] = share * x[t] + (1 - share) * y[t - 1]`` over the last dimension, beginning at the first value.

    Each step adds what lies twice as far back as the step before, until its weight is below the precision of a float64.

    Example:
        >>> smoothed(torch.tensor([1.0, 0.0, 0.0]), 0.5).tolist()
        [1.0, 0.5, 0.25]
    """
    first, size = values[..., :1], values.shape[-1]
    kept, back, result = 1 - share, 1, share * (values - first)
    while (weight := kept**back) > NEGLIGIBLE:
        result = result + weight * nn.functional.pad(result, (back, 0))[..., :size]
        back *= 2
    return result + first
