"""What can be wrong with a recording's samples, found while it is decoded: in a store and in a prediction by the same rule.

`KINDS` has the rule of every kind of problem. A recording that is left out raises `AudioError`; the problems of one that
is kept are returned, to be listed.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ser.errors import AudioError
from ser.runtime.words import counted

SILENCE_PEAK = 1e-3
"""-60 dB of full scale: a clip whose samples are never further from their mean has no speech in it."""
SILENCE_S = 0.1
"""Seconds from which a clip's mean is that of its recorder, and not of the sound."""
RATES = (1000, 1_000_000)
"""Lowest and highest sampling rate in Hz; what is outside is a slip, such as a rate in kHz."""
INTEGER_SCALE = 16.0
"""A peak of float samples, whose full scale is 1, that only samples at the scale of integers reach."""
CLIPPED_RUN, CLIPPED_SHARE = 3, 1e-3
"""Samples in a row at the peak that count as cut off, and the share of such samples from which a clip is listed."""
DC_OFFSET = 0.02
"""Mean of a clip, of full scale, from which it is listed."""
BAND_DB = -55.0
"""Power of the upper half of the band, relative to all of it, below which there is nothing: 4,700 clips of acted speech have
-47 dB or more, and speech from a telephone has about -70."""
FRAMES, FRAME = 32, 1024
"""Frames that the power is averaged over, and their samples at 16 kHz."""
CANCELLED = 0.01
"""Power of the mean of the channels, relative to that of a channel, below which channels cancel."""
LONG_S, LONG_FACTOR = 30.0, 10.0
"""A clip of more seconds than this, and than so many times the median, is listed."""


class Rule(NamedTuple):
    """Whether a recording with a problem is left out, and what is done or what it means."""

    left_out: bool
    text: str


KINDS: Mapping[str, Rule] = {
    "unreadable": Rule(True, "It is no audio that can be decoded."),
    "no access": Rule(True, "It may not be opened, or its disk does not answer; `ser.prepare` tries it again."),
    "no decoder": Rule(True, "Its format needs ffmpeg; convert it, or install ffmpeg."),
    "empty": Rule(True, "It has no bytes or no samples."),
    "LFS pointer": Rule(True, "It is Git-LFS's pointer to a recording; `git lfs pull` fetches it."),
    "cut short": Rule(True, "Its header promises more than is there."),
    "wrong piece": Rule(True, "The piece ends after the recording."),
    "impossible rate": Rule(True, f"Its sampling rate is not {RATES[0]} to {RATES[1]} Hz."),
    "NaN": Rule(True, "Samples are not finite numbers."),
    "integer scale": Rule(True, "Float samples far beyond full scale, which is 1: integers were stored as floats."),
    "silent": Rule(True, "No sample is further from the mean than 0.001 of full scale."),
    "too short": Rule(True, "It has less sound than `audio.min_ms`. A prediction scores it."),
    "known bad": Rule(True, "The release's own list, or its authors, say that it is damaged."),
    "bad copy": Rule(False, "The recording is there again, in another format or folder, and that copy is used."),
    "two recordings": Rule(False, "Two recordings have this name; the better format, then the nearer folder is used."),
    "duplicate": Rule(False, "Another clip has the same samples."),
    "dead channel": Rule(False, "A channel is silent; the others are used."),
    "opposite phase": Rule(False, "The channels cancel each other; the first is used."),
    "clipping": Rule(False, "Loud samples are cut off, in the recording or because they are beyond full scale."),
    "DC offset": Rule(False, "The mean of its samples is not 0; it is not removed."),
    "band-limited": Rule(False, "The upper half of its band is empty, as of speech from a telephone."),
    "wrong rate": Rule(False, "Its rate is below that of the features; what is above its half is missing."),
    "far longer": Rule(False, "It is far longer than the other clips, and makes its batches large."),
}
"""What is done by kind of problem, in the order of the documentation."""


class Finding(NamedTuple):
    """A problem of a recording that is kept."""

    kind: str
    detail: str


def mixed(samples: np.ndarray, rate: float, name: str) -> tuple[np.ndarray, list[Finding]]:
    """Return the mean of the channels that can be used, and what is wrong with the recording.

    Args:
        samples: ``(sample, channel)`` float, full scale = 1.
        rate: In Hz.
        name: What to call it in an error.

    Returns:
        ``(sample,)`` float32, and the problems in the order of `KINDS`.

    Raises:
        AudioError: If it cannot be used.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise AudioError(name, "impossible rate", f"{rate:g} Hz; speech needs {RATES[0]} Hz or more")
    if not np.isfinite(samples).all():
        raise AudioError(name, "NaN", f"{counted(int((~np.isfinite(samples)).sum()), 'sample')} not finite")
    peaks = np.abs(samples).max(axis=0)
    if peaks.max() > INTEGER_SCALE:
        raise AudioError(name, "integer scale", f"a peak of {peaks.max():g}; divide by 32768 if the samples were int16")
    mono, found = _of_channels(samples)
    mean = float(mono.mean(dtype=np.float64))
    varied = mean if len(mono) >= SILENCE_S * rate else 0.0  # a few samples have any mean
    if (peak := float(np.abs(mono - varied).max())) < SILENCE_PEAK:
        raise AudioError(name, "silent", f"no sample is further than {peak:.1e} of full scale from the mean")
    return mono, [*found, *_of_samples(mono, mean, rate)]


def below(rate: float, wanted: int) -> list[Finding]:
    """Return the problem of a recording whose rate is below that of the features, if it is."""
    return [Finding("wrong rate", f"{rate:g} Hz, raised to {wanted} Hz")] if rate < wanted else []


def _of_channels(samples: np.ndarray) -> tuple[np.ndarray, list[Finding]]:
    """Mix the channels; silent ones and those that cancel each other are left out."""
    if samples.shape[1] == 1:
        return samples[:, 0].astype(np.float32, copy=False), []
    found, live = [], np.ptp(samples, axis=0) >= 2 * SILENCE_PEAK
    if live.any() and not live.all():
        found.append(Finding("dead channel", f"{_numbers(~live)} of {len(live)} silent"))
        samples = samples[:, live]
    mono = samples.mean(axis=1, dtype=np.float32)
    power = np.square(samples, dtype=np.float64).mean()
    if live.sum() > 1 and np.square(mono, dtype=np.float64).mean() < CANCELLED * power:
        return samples[:, 0].astype(np.float32), [*found, Finding("opposite phase", "the first channel is used")]
    return mono, found


def _of_samples(mono: np.ndarray, mean: float, rate: float) -> Iterator[Finding]:
    magnitude = np.abs(mono)
    peak = float(magnitude.max())
    if (beyond := float((magnitude > 1.0).mean())) > 0:
        yield Finding("clipping", f"{100 * beyond:.2g} % of the samples are beyond full scale, up to {peak:.3g}")
    elif (cut := _cut_off(magnitude, peak)) >= CLIPPED_SHARE:
        yield Finding("clipping", f"{100 * cut:.2g} % of the samples are cut off")
    if abs(mean) >= DC_OFFSET:
        yield Finding("DC offset", f"a mean of {mean:.3f} of full scale")
    if (level := _upper_half(mono - mean, rate)) < BAND_DB:
        yield Finding("band-limited", f"{level:.0f} dB above {min(rate, 16000) / 4:.0f} Hz")


def _cut_off(magnitude: np.ndarray, peak: float) -> float:
    """Return the share of samples in runs at the peak."""
    at_peak = np.concatenate([[0], magnitude >= 0.999 * peak, [0]]).astype(np.int8)
    begin, end = (np.flatnonzero(np.diff(at_peak) == step) for step in (1, -1))
    runs = end - begin
    return float(runs[runs >= CLIPPED_RUN].sum() / len(magnitude))


def _upper_half(mono: np.ndarray, rate: float) -> float:
    """Return the power of the upper half of the band up to 8 kHz, relative to all of it, in dB, from frames over the clip."""
    size = max(64, round(FRAME * rate / 16000))
    if len(mono) < size:
        return 0.0
    starts = np.linspace(0, len(mono) - size, FRAMES).astype(int)
    frames = np.stack([mono[start : start + size] for start in starts]) * np.hanning(size).astype(np.float32)
    power = np.square(np.abs(np.fft.rfft(frames))).mean(axis=0, dtype=np.float64)
    frequency, top = np.arange(len(power)) * rate / size, min(rate, 16000) / 2
    whole = power[frequency <= top].sum()
    upper = power[(frequency > 0.525 * top) & (frequency <= top)].sum()  # beyond the slope of a filter
    return float(10 * np.log10(max(upper, 1e-30) / whole))


def _numbers(which: np.ndarray) -> str:
    """Return the numbers of channels, from 1."""
    return ", ".join(str(i + 1) for i in np.flatnonzero(which))
