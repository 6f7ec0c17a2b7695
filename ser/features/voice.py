"""Voice quality: jitter, shimmer and harmonics-to-noise ratio of voiced frames, as Praat defines them.

Source: Boersma, 1993, Accurate short-term analysis of the fundamental frequency and the harmonics-to-noise ratio of a sampled
sound; Praat's manual, "Voice 2. Jitter", "Voice 3. Shimmer" and "Sound: To PointProcess (periodic, cc)...".
"""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.framing import Framed
from ser.features.pitch import Pitch, vertex

CYCLES = 8
"""Most periods of a frame that are measured."""
REACH = 0.25
"""Share of the period by which one may differ from the frame's."""
DEPTH, FINE = 12, 8
"""Samples on each side, and points to a sample, of the interpolation of the autocorrelation."""
NOTHING = 1e-18
"""What energies of digital silence are divided by: far below one step of 16 bits, and with a finite slope."""
MOST_DB = 40.0
"""Highest ratio of harmonics to noise, as large as the interpolation allows; the lowest is its negative."""


class VoiceQuality(Framed):
    """Irregularity of the periods of the voice and noise between its harmonics.

    ``jitter`` is the mean difference of consecutive periods over the mean period; ``shimmer`` the mean difference of the
    peak-to-peak amplitudes of consecutive periods over the mean amplitude; ``hnr`` the harmonics-to-noise ratio in decibels.
    All are interpolated between voiced frames; a clip without any has zeros.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, 3, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate, window_ms, hop_ms, low_hz, high_hz, threshold, voiced: See `ser.features.pitch.Pitch`; the window has
            at least 4.5 periods of ``low_hz``.

    Raises:
        ConfigError: If the window is too short for ``low_hz``, or the range is empty or above a quarter of the rate.

    Example:
        >>> tone = torch.sin(2 * torch.pi * 200 * torch.arange(16000) / 16000)
        >>> features, _ = VoiceQuality()(tone[None], torch.tensor([16000]))
        >>> [name for name, value in zip(("jitter", "shimmer"), features[0, :2].mean(dim=1)) if value < 0.001]
        ['jitter', 'shimmer']
    """

    costly = True
    """Worth keeping on disk between runs; see `ser.models.classifier.SpeechClassifier.cache_key`."""

    sinc: Tensor
    window: Tensor

    def __init__(
        self,
        sample_rate: int = 16000,
        window_ms: float = 64.0,
        hop_ms: float = 16.0,
        low_hz: float = 75.0,
        high_hz: float = 600.0,
        threshold: float = 0.1,
        voiced: float = 0.6,
    ) -> None:
        super().__init__()
        self.pitch = Pitch(sample_rate, window_ms, hop_ms, low_hz, high_hz, threshold, voiced)
        self.framing = self.pitch.framing
        if self.framing.window < 4.5 * self.pitch.longest:
            raise ConfigError(
                f"features.low_hz must have 4.5 periods in a window of {window_ms:g} ms; got {low_hz:g} Hz. Set at least "
                f"{math.ceil(4500 / window_ms) + 1}, or a longer features.window_ms."
            )
        self.names = ("jitter", "shimmer", "hnr")
        self.register_buffer("window", torch.hann_window(self.framing.window), persistent=False)
        self.register_buffer("sinc", _sinc().float(), persistent=False)

    @override
    def compute(self, samples: Tensor, frames: Tensor) -> Tensor:
        period, voicing = self.pitch.periods(samples, frames)
        windows = self.framing.cut(samples)
        windows = windows - windows.mean(dim=-1, keepdim=True)
        rows = [*self._perturbation(windows, period.detach()), self._harmonics_to_noise(windows, period.detach())]
        return torch.stack([self.pitch.interpolated(row, voicing, frames, 0.0) for row in rows], dim=1)

    def _harmonics_to_noise(self, windows: Tensor, period: Tensor) -> Tensor:
        """Return the decibels of the periodic part over the rest, ``(batch, frame)``."""
        size = 2 * windows.shape[-1]
        found, own = (_autocorrelation(x, size) for x in (windows * self.window, self.window))
        lag = period.round().long()[..., None] + torch.arange(-DEPTH - 1, DEPTH + 2, device=period.device)
        near = found.gather(-1, lag.clamp(0, windows.shape[-1] - 1)) / own[lag.clamp(0, windows.shape[-1] - 1)]
        between = near.unfold(-1, 2 * DEPTH + 1, 1) @ self.sinc  # (batch, frame, 3, FINE)
        noise = 10 ** (-MOST_DB / 10)
        share = between.flatten(-2).amax(dim=-1).clamp(noise, 1 - noise)
        return 10 * (share / (1 - share)).log10()

    def _perturbation(self, windows: Tensor, period: Tensor) -> tuple[Tensor, Tensor]:
        """Return jitter and shimmer, ``(batch, frame)`` each, from periods that are measured one after the other."""
        time = torch.arange(windows.shape[-1], device=windows.device)
        second = (time - period[..., None]).abs() <= period[..., None] / 2
        peak = (windows.abs() * second).argmax(dim=-1)  # in the middle of each cycle, where it weighs most
        start = (peak - (period / 2).long()).clamp(min=0)
        lengths, heights, inside = [], [], []
        for _ in range(CYCLES):
            inside.append(start + (2 + REACH) * period + 2 <= windows.shape[-1])
            cycle, height = self._cycle(windows, start, period)
            lengths.append(cycle)
            heights.append(height)
            start = start + cycle.detach().round().long()
        known = torch.stack(inside)
        return _irregularity(torch.stack(lengths), known), _irregularity(torch.stack(heights), known)

    def _cycle(self, windows: Tensor, start: Tensor, period: Tensor) -> tuple[Tensor, Tensor]:
        """Return the length of the period that begins at ``start``, and its height, ``(batch, frame)`` each.

        The length is the lag at which the period is most like what follows it.
        """
        size = 1 << int((2 + REACH) * self.pitch.longest + 3).bit_length()  # a power of two, for the FFT
        time = torch.arange(size, device=windows.device)
        piece = windows.gather(-1, (start[..., None] + time).clamp(max=windows.shape[-1] - 1))
        within = time < period[..., None]
        whole = period.long()
        template = piece * within
        product = torch.fft.irfft(torch.fft.rfft(piece) * torch.fft.rfft(template).conj(), n=size)
        energy = nn.functional.pad(piece.square().cumsum(dim=-1), (1, 0))
        copy = energy.gather(-1, (time + whole[..., None] + 1).clamp(max=size)) - energy[..., :-1]
        alike = product / (template.square().sum(dim=-1, keepdim=True) * copy).clamp(min=NOTHING).sqrt()
        near = (time > (1 - REACH) * period[..., None]) & (time < (1 + REACH) * period[..., None])
        lag = alike.detach().masked_fill(~near, -torch.inf).argmax(dim=-1, keepdim=True)
        shift, _ = vertex(*(-alike.gather(-1, (lag + i).clamp(0, size - 1))[..., 0] for i in (-1, 0, 1)))
        height = piece.masked_fill(~within, -torch.inf).amax(-1) - piece.masked_fill(~within, torch.inf).amin(-1)
        return lag[..., 0] + shift, height


def _autocorrelation(values: Tensor, size: int) -> Tensor:
    """Return the autocorrelation at half of ``size`` lags, that at lag 0 being 1."""
    found: Tensor = torch.fft.irfft(torch.fft.rfft(values, n=size).abs().square(), n=size)[..., : size // 2]
    return found / found[..., :1].clamp(min=NOTHING)


def _irregularity(values: Tensor, known: Tensor) -> Tensor:
    """Return the mean difference of consecutive values over their mean, ``(cycle, ...)`` to ``(...)``."""
    pairs = known[1:]
    difference = (values.diff(dim=0).abs() * pairs).sum(dim=0) / pairs.sum(dim=0).clamp(min=1)
    mean = (values * known).sum(dim=0) / known.sum(dim=0).clamp(min=1)
    return difference / mean.clamp(min=NOTHING)


def _sinc() -> Tensor:
    """Return weights of ``2 * DEPTH + 1`` neighbours for values at ``FINE`` points from each sample on, float64."""
    sample = torch.arange(-DEPTH, DEPTH + 1, dtype=torch.float64)[:, None]
    off = sample - torch.arange(FINE, dtype=torch.float64) / FINE
    taper = 0.5 + 0.5 * torch.cos(torch.pi * (off / (DEPTH + 1)).clamp(-1, 1))
    weights: Tensor = torch.sinc(off) * taper
    return weights
