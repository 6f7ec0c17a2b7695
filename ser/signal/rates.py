"""Changes of the sampling rate."""

from collections.abc import Callable
from functools import partial

import torchaudio
from torch import Tensor

from ser.signal.padding import cut


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
