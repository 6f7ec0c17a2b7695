"""Pitch by YIN: the period whose shifted copy differs least from the frame.

Sources: de Cheveigné and Kawahara, 2002, https://doi.org/10.1121/1.1458024; the range of a clip's own pitches: De Looze and
Hirst, 2008, Detecting changes in key and range for the automatic modelling and coding of intonation.
"""

import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.framing import Framed, framing
from ser.features.mask import frame_mask
from ser.features.quantile import quantile

FAINT = 1e-7
"""Least power of a voiced frame: 70 dB below full scale."""
CLEAR = 0.7
"""Least voicing of the frames that a clip's own range is taken from."""
RANGE = ((0.35, 0.72), (0.65, 1.9))
"""Quantiles of a clip's pitches, and what they are multiplied by for its lowest and its highest pitch."""


class Pitch(Framed):
    """Fundamental frequency and how periodic a frame is.

    ``log_f0`` is the natural logarithm of Hz, interpolated between voiced frames; a clip without any has the logarithm of
    the middle of the range. ``voicing`` is between 0, for noise and silence, and 1, for a perfect period.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, 2, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate: In Hz.
        window_ms: In milliseconds; at least two periods of the lowest pitch.
        hop_ms: Time from one frame to the next in milliseconds.
        low_hz, high_hz: Range of pitches.
        threshold: A period counts as soon as its difference is below this share of the mean difference of shorter ones.
        voiced: Least voicing of the frames whose pitch is trusted.

    Raises:
        ConfigError: If the window is too short for ``low_hz``, or the range is empty or above a quarter of the rate.

    Example:
        >>> tone = torch.sin(2 * torch.pi * 200 * torch.arange(16000) / 16000)
        >>> features, _ = Pitch()(tone[None], torch.tensor([16000]))
        >>> round(float(features[0, 0].exp().mean()), 1)
        200.0
    """

    costly = True
    """Worth keeping on disk between runs; see `ser.models.classifier.SpeechClassifier.cache_key`."""

    def __init__(
        self,
        sample_rate: int = 16000,
        window_ms: float = 64.0,
        hop_ms: float = 16.0,
        low_hz: float = 60.0,
        high_hz: float = 600.0,
        threshold: float = 0.1,
        voiced: float = 0.6,
    ) -> None:
        super().__init__()
        if not 0 < low_hz < high_hz <= sample_rate / 4:
            raise ConfigError(
                f"features.low_hz must be above 0 and below features.high_hz, and that at most {sample_rate / 4:g}; got "
                f"{low_hz:g} and {high_hz:g}."
            )
        self.framing, self.sample_rate = framing(sample_rate, window_ms, hop_ms), sample_rate
        self.shortest, self.longest = int(sample_rate / high_hz), math.ceil(sample_rate / low_hz)
        if self.framing.window < 2 * self.longest:
            raise ConfigError(
                f"features.low_hz must have two periods in a window of {window_ms:g} ms; got {low_hz:g} Hz. Set at least "
                f"{math.ceil(2000 / window_ms) + 1}, or a longer features.window_ms."
            )
        self.threshold, self.voiced, self.middle = threshold, voiced, math.log(low_hz * high_hz) / 2
        self.names = ("log_f0", "voicing")

    @override
    def compute(self, samples: Tensor, frames: Tensor) -> Tensor:
        period, voicing = self.periods(samples, frames)
        log_f0 = self.interpolated((self.sample_rate / period).log(), voicing, frames, self.middle)
        return torch.stack([log_f0, voicing], dim=1)

    def interpolated(self, values: Tensor, voicing: Tensor, frames: Tensor, otherwise: float) -> Tensor:
        """Return values of the voiced frames with those between them interpolated; see `interpolated`."""
        known = (voicing > self.voiced) & frame_mask(frames, voicing.shape[1])
        return interpolated(values, known, otherwise)

    def periods(self, samples: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the period of each frame in samples, and its voicing, ``(batch, frame)`` each.

        Periods are looked for twice: over the whole range, then within that of the clip's own pitches, in which octave
        errors are rare.
        """
        windows = self.framing.cut(samples)
        difference = self._difference(windows)
        loud = windows.square().mean(dim=-1) > FAINT
        outside = self._outside(difference.detach(), loud & frame_mask(frames, loud.shape[1]))
        lag = self._first_dip(difference.detach().masked_fill(outside, torch.inf))
        shift, least = vertex(*(difference.gather(-1, lag + i)[..., 0] for i in (-1, 0, 1)))
        return lag[..., 0] + shift, torch.where(loud, 1 - least, 0.0).clamp(0, 1)

    def _outside(self, difference: Tensor, loud: Tensor) -> Tensor:
        """Return which lags are outside the range of a clip's own pitches, ``(batch, 1, lag)``."""
        lag = self._first_dip(difference)
        clear = loud & (difference.gather(-1, lag)[..., 0] < 1 - CLEAR)
        low, high = (quantile(1 / lag[..., 0], clear, q)[..., None] * times for q, times in RANGE)
        lags = torch.arange(difference.shape[-1], device=lag.device)
        return (lags * low > 1) | (
            lags * high < 1
        )  # none in a clip without a clear frame, whose quantiles are no numbers

    def _difference(self, windows: Tensor) -> Tensor:
        """Return YIN's normalised difference at lags from 0 to ``longest + 1``, ``(batch, frame, lag)``."""
        size, lags = windows.shape[-1], self.longest + 2
        windows = windows - windows.mean(dim=-1, keepdim=True)
        head = windows[..., : size - lags + 1]  # what is compared with its copies, all of which lie in the window
        spectrum = torch.fft.rfft(windows) * torch.fft.rfft(head, n=size).conj()
        product = torch.fft.irfft(spectrum, n=size)[..., :lags]
        energy = nn.functional.pad(windows.square().cumsum(dim=-1), (1, 0))
        energy = energy[..., head.shape[-1] :] - energy[..., :lags]  # of each copy
        difference = (energy[..., :1] + energy - 2 * product).clamp(min=0)
        mean = difference[..., 1:].cumsum(dim=-1) / torch.arange(1, lags, device=windows.device)
        tiny = torch.finfo(mean.dtype).tiny
        return nn.functional.pad(difference[..., 1:] / mean.clamp(min=tiny), (1, 0), value=1.0)

    def _first_dip(self, difference: Tensor) -> Tensor:
        """Return the lag of the first dip below the threshold, or of the lowest point, ``(batch, frame, 1)``."""
        before, here, after = (difference[..., self.shortest + i : self.longest + 1 + i] for i in (-1, 0, 1))
        dips = (here < self.threshold) & (here <= after) & (here < before)
        first = dips.to(torch.uint8).argmax(dim=-1, keepdim=True)
        return self.shortest + torch.where(dips.any(dim=-1, keepdim=True), first, here.argmin(dim=-1, keepdim=True))


def vertex(before: Tensor, here: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    """Return where the parabola through three neighbours has its lowest point, within half a step, and its value."""
    slope, bend = (after - before) / 2, before + after - 2 * here
    shift = (-slope / torch.where(bend > 0, bend, 1.0)).clamp(-0.5, 0.5) * (bend > 0)
    return shift, here + slope * shift + bend * shift.square() / 2


def interpolated(values: Tensor, known: Tensor, otherwise: float) -> Tensor:
    """Return known values, straight lines between them, the nearest beyond them, and ``otherwise`` where there are none.

    Shapes:
        - values, known: ``(batch, frame)``
        - returns: ``(batch, frame)``

    Example:
        >>> known = torch.tensor([[False, True, False, True]])
        >>> interpolated(torch.tensor([[9.0, 1.0, 9.0, 2.0]]), known, 0.0).tolist()
        [[1.0, 1.0, 1.5, 2.0]]
    """
    size = values.shape[-1]
    time = torch.arange(size, device=values.device)
    places = torch.where(known, time, size).sort(dim=-1).values  # of known values, then ``size``
    count = known.cumsum(dim=-1)  # of known values up to each
    before = nn.functional.pad(places, (1, 0), value=-1).gather(-1, count)
    after = nn.functional.pad(places, (0, 1), value=size).gather(-1, count - known.long())
    left, right = (values.gather(-1, index.clamp(0, size - 1)) for index in (before, after))
    left, right = torch.where(before < 0, right, left), torch.where(after == size, left, right)
    line = left + (right - left) * (time - before) / (after - before).clamp(min=1)
    return torch.where(known.any(dim=-1, keepdim=True), line, otherwise)
