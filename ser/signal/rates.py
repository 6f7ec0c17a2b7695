"""Changes of the sampling rate, of speed, tempo and pitch."""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import partial

import torch
import torchaudio
from torch import Tensor, nn

from ser.signal.padding import cut

WINDOW_S = 0.032
"""Length of the phase vocoder's windows in seconds, which is rounded to a power of 2 in samples."""


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


def faster(waveform: Tensor, lengths: Tensor, factor: Fraction) -> tuple[Tensor, Tensor]:
    """Return clips that are shorter by a factor, with a pitch that is higher by it, and their lengths.

    Example:
        >>> _, lengths = faster(torch.zeros(1, 1000), torch.tensor([1000]), Fraction(5, 4))
        >>> lengths.tolist()
        [800]
    """
    played = torchaudio.functional.resample(waveform, factor.numerator, factor.denominator)
    return cut(played, -(-lengths * factor.denominator // factor.numerator))  # rounded up, as resampling does


def stretched(waveform: Tensor, lengths: Tensor, factor: float, rate: int) -> tuple[Tensor, Tensor]:
    """Return clips that are shorter by a factor, at the same pitch, and their lengths, by a phase vocoder."""
    size = 2 ** round(math.log2(WINDOW_S * rate))
    hop, window = size // 4, torch.hann_window(size, device=waveform.device)
    # A window of silence more, so that the last frames are those of a clip in a batch of longer ones.
    longer = nn.functional.pad(waveform, (0, size))
    spectrum = torch.stft(longer, size, hop, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, math.pi * hop, size // 2 + 1, device=waveform.device)[:, None]
    moved = torchaudio.functional.phase_vocoder(spectrum, factor, advance)
    counts = (lengths / factor).round().long().clamp(min=1)
    return cut(torch.istft(moved, size, hop, window=window, length=int(counts.max())), counts)


def shifted(waveform: Tensor, lengths: Tensor, speed: Fraction, rate: int) -> tuple[Tensor, Tensor]:
    """Return clips whose pitch is higher by a factor, with the lengths that they had."""
    played, _ = faster(*stretched(waveform, lengths, float(1 / speed), rate), speed)
    missing = max(0, waveform.shape[1] - played.shape[1])
    back = nn.functional.pad(played, (0, missing))[:, : waveform.shape[1]]
    return cut(back, lengths)[0], lengths
