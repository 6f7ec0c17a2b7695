"""Effects of the recording channel: room, level, clipping, bandwidth, telephone line.

Sources: Polack, 1988, La transmission de l'énergie sonore dans les salles (thesis, Université du Maine), for the decaying
noise; ITU-T G.711, https://www.itu.int/rec/T-REC-G.711, for 8-bit mu-law at 8 kHz.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torchaudio
from torch import Tensor
from typing_extensions import override

from ser.errors import ConfigError
from ser.rescoring.robustness.conditions import Effect, Scene, cut, power

TELEPHONE_HZ = 8000
BAND_HZ = (300.0, 3400.0)
TAPS = 257
"""Length of the telephone's filter at 8 kHz, whose transition bands are 100 Hz wide."""
MU = 255.0


class Gain(Effect):
    """A gain. Nothing is clipped at full scale: `Clipping` does that."""

    family, quantity, unit, between = "gain", "gain", "dB", (-100.0, 100.0)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        return waveform * 10 ** (level / 20), lengths


class Clipping(Effect):
    """Clipping of the largest samples, a given share, to the smallest among them; the lost level is not restored."""

    family, quantity, unit, between = "clipping", "samples clipped", "%", (0.0, 100.0)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        falling = waveform.abs().sort(dim=1, descending=True).values  # the padding's zeros come last
        clipped = (lengths.double() * level / 100).ceil().long()
        ceiling = falling.gather(1, clipped[:, None] - 1)
        return waveform.clamp(-ceiling, ceiling), lengths


@dataclass(frozen=True)
class Reverberation(Effect):
    """A room's impulse response: the direct sound, then noise that decays by 60 dB in the reverberation time.

    Each utterance has its own room. The direct sound keeps its position, and the clip its RMS and its length: the decay after
    the end is cut off.

    Args:
        levels: Reverberation times in seconds.
        direct_db: Ratio of the energies of the direct sound and the decay in dB; 0 is the distance where they are equal.
    """

    direct_db: float

    family, quantity, unit, between = "reverberation", "reverberation time", "s", (0.01, 10.0)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        drawn = [self.response(random, level, scene.rate) for random in scene.draws]
        responses = torch.from_numpy(np.stack(drawn).astype(np.float32)).to(waveform.device)
        received, _ = cut(torchaudio.functional.fftconvolve(waveform, responses)[:, : waveform.shape[1]], lengths)
        floor = torch.finfo(torch.float64).tiny
        louder = (power(waveform, lengths) / power(received, lengths).clamp(min=floor)).sqrt()
        return received * louder.float()[:, None], lengths

    def response(self, random: np.random.Generator, t60: float, rate: int) -> np.ndarray:
        """Return an impulse response of ``t60`` seconds at ``rate`` Hz, ``(tap,)``; the first tap is the direct sound, 1."""
        seconds = np.arange(1, round(t60 * rate)) / rate
        decay = random.standard_normal(len(seconds)) * 10 ** (-3 * seconds / t60)
        decay *= np.sqrt(10 ** (-self.direct_db / 10) / np.square(decay).sum())
        return np.concatenate([[1.0], decay])


class Resampling(Effect):
    """A recording at a lower rate, resampled back, without the upper band."""

    family, quantity, unit, between = "resampling", "recorded at", "Hz", (999.0, math.inf)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        if level >= scene.rate:
            raise ConfigError(
                f"Resampling.levels must be below the model's {scene.rate} Hz; got {level:g}. Give lower rates, or leave the "
                "effect out."
            )
        return at_rate(waveform, lengths, scene.rate, round(level), lambda low, _: low), lengths


class Telephone(Effect):
    """A telephone line: 300 to 3400 Hz, 8000 mu-law samples a second, whose bits follow from the bit rate (64 kbit/s: 8)."""

    family, quantity, unit, between = "codec", "bit rate", "kbit/s", (15.0, 129.0)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        from scipy.signal import firwin  # late: scipy.signal takes half a second to import

        taps = torch.from_numpy(firwin(TAPS, BAND_HZ, pass_zero=False, fs=TELEPHONE_HZ))[None].to(waveform.device)

        def line(low: Tensor, _: Tensor) -> Tensor:
            # In double precision, where few samples round to another step.
            banded = torchaudio.functional.fftconvolve(low.double(), taps, mode="same")
            return mu_law(banded, bits=round(1000 * level / TELEPHONE_HZ)).float()

        return at_rate(waveform, lengths, scene.rate, TELEPHONE_HZ, line), lengths


def mu_law(samples: Tensor, bits: int) -> Tensor:
    """Round samples to mu-law steps, symmetric about an exact zero; samples beyond full scale are clipped.

    torchaudio's mu-law has no zero, and would turn silence into a constant.

    Example:
        >>> mu_law(torch.tensor([0.0, 0.5, -2.0]), bits=8).double().round(decimals=3).tolist()
        [0.0, 0.495, -1.0]
    """
    steps = 2 ** (bits - 1) - 1
    squeezed = samples.clamp(-1, 1).abs().mul(MU).log1p() / math.log1p(MU)
    rounded: Tensor = (squeezed * steps).round() / steps
    return (rounded * math.log1p(MU)).expm1() / MU * samples.sign()


def at_rate(
    waveform: Tensor, lengths: Tensor, rate: int, low_rate: int, change: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Return a batch that was resampled to another rate, changed there, and resampled back.

    The resampling filter is a windowed sinc with 64 zero crossings on each side; it runs on the batch's device.

    Args:
        waveform: ``(batch, sample)``, zero beyond a clip's length.
        lengths: ``(batch,)`` in samples.
        rate: Sampling rate of the waveform in Hz.
        low_rate: Sampling rate of the change in Hz.
        change: Takes the waveform and the lengths at that rate, and returns a waveform of the same lengths.
    """
    resample = partial(torchaudio.functional.resample, lowpass_filter_width=64)
    low_lengths = -(-lengths * low_rate // rate)  # rounded up, as resampling does
    # Cut before each step: filter ringing after a clip's end would otherwise depend on the other clips of the batch.
    low, _ = cut(resample(waveform, rate, low_rate), low_lengths)
    changed, _ = cut(change(low, low_lengths), low_lengths)
    back: Tensor = resample(changed, low_rate, rate)[:, : waveform.shape[1]]
    return back
