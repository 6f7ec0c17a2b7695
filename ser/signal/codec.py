"""Lossy codecs: a telephone line, and MP3, Opus and GSM 6.10, encoded and decoded by libsndfile in memory.

The delay and padding of a codec are removed, so that a clip keeps its length and position.

Source: ITU-T G.711, https://www.itu.int/rec/T-REC-G.711, for 8-bit mu-law at 8 kHz.
"""

import io
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
import torchaudio
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.signal.rates import at_rate

TELEPHONE_HZ = 8000
BAND_HZ = (300.0, 3400.0)
TAPS = 257
"""Length of the telephone's filter at 8 kHz, whose transition bands are 100 Hz wide."""
MU = 255.0
MP3_DELAY = 1105
"""Delay of an MP3 encoder (LAME: 576) and decoder (529) in samples. The file does not record it at low bit rates, where the
record does not fit in a frame."""
MP3_KBITS = ((32000, 32.0, 320.0), (16000, 8.0, 160.0), (0, 8.0, 64.0))
"""The least sampling rate, and the bit rates of libsndfile's compression levels 1 and 0: MPEG-1, 2 and 2.5."""
OPUS_KBITS = (6.0, 256.0)
"""The same for Opus: the target bit rate of its encoder; the actual one varies with the sound."""
GSM_KBITS = 13.0
GSM_HZ = 8000


class Coding(NamedTuple):
    """A codec of libsndfile at a bit rate.

    Attributes:
        format: Name of the file format.
        subtype: Name of the codec.
        rate: Sampling rate of the codec in Hz.
        options: Further arguments of ``soundfile.write``.
        delay: Samples to remove from the start if the decoded clip is too long.
    """

    format: str
    subtype: str
    rate: int
    options: Mapping[str, Any]
    delay: int = 0


def mp3(kbits: float, rate: int) -> Coding:
    """Return MPEG layer III at the nearest constant bit rate that the format has."""
    low, high = next((low, high) for least, low, high in MP3_KBITS if rate >= least)
    _in_range(kbits, low, high, f"MP3 at {rate} Hz")
    # Half a kbit/s more, as libsndfile rounds down.
    compression = max(0.0, (high - kbits - 0.5) / (high - low))
    options = {"bitrate_mode": "CONSTANT", "compression_level": compression}
    return Coding("MP3", "MPEG_LAYER_III", rate, options, MP3_DELAY)


def opus(kbits: float, rate: int) -> Coding:
    """Return Opus in Ogg."""
    low, high = OPUS_KBITS
    _in_range(kbits, low, high, "Opus")
    return Coding("OGG", "OPUS", rate, {"compression_level": (high - kbits) / (high - low)})


def gsm(kbits: float, rate: int) -> Coding:
    """Return GSM 6.10 full rate, of the first mobile phones: 8 kHz, only at 13 kbit/s, whatever the waveform's rate."""
    _in_range(kbits, GSM_KBITS, GSM_KBITS, "GSM 6.10")
    return Coding("WAV", "GSM610", GSM_HZ, {})


def _in_range(kbits: float, low: float, high: float, codec: str) -> None:
    if not low <= kbits <= high:
        raise ConfigError(
            f"The bit rate of {codec} must be from {low:g} to {high:g} kbit/s; got {kbits:g}. Give another bit rate."
        )


def code(waveform: Tensor, lengths: Tensor, rate: int, coding: Coding) -> Tensor:
    """Return a batch at ``rate`` Hz, encoded and decoded on the CPU.

    Raises:
        ConfigError: If the installed libsndfile does not support the codec.
    """

    def coded(low: Tensor, lengths: Tensor) -> Tensor:
        clips = [row[:n].numpy() for row, n in zip(low.cpu(), lengths.tolist(), strict=True)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # libsndfile works outside Python's lock
            rows = list(pool.map(lambda clip: torch.from_numpy(_round_trip(clip, coding)), clips))
        return nn.utils.rnn.pad_sequence(rows, batch_first=True).to(low.device)

    return at_rate(waveform, lengths, rate, coding.rate, coded)


def _round_trip(clip: np.ndarray, coding: Coding) -> np.ndarray:
    """Encode and decode a clip, ``(sample,)`` float32, and return it at its original length."""
    import soundfile

    file, (kind, subtype, rate, options, delay) = io.BytesIO(), coding
    try:
        soundfile.write(file, clip, rate, format=kind, subtype=subtype, **options)
        file.seek(0)
        decoded, _ = soundfile.read(file, dtype="float32")
    except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"libsndfile {soundfile.__libsndfile_version__} does not support {subtype} in {kind} at {rate} Hz ({error}). "
            "Install the soundfile wheel, which includes a newer libsndfile, or leave the codec out, as with "
            "'~suite.effects.NAME' on the command line."
        ) from error
    if len(decoded) > len(clip):
        decoded = decoded[delay:]
    return np.pad(decoded[: len(clip)], (0, max(0, len(clip) - len(decoded))))


def telephone(waveform: Tensor, lengths: Tensor, rate: int, kbits: float = 64.0) -> Tensor:
    """Return a batch at ``rate`` Hz after a telephone line, on its device.

    The line passes 300 to 3400 Hz, and 8000 mu-law samples a second, whose bits follow from the bit rate (64 kbit/s: 8).
    """
    from scipy.signal import firwin  # late: scipy.signal takes half a second to import

    taps = torch.from_numpy(firwin(TAPS, BAND_HZ, pass_zero=False, fs=TELEPHONE_HZ))[None].to(waveform.device)

    def line(low: Tensor, _: Tensor) -> Tensor:
        # In double precision, where few samples round to another step.
        banded = torchaudio.functional.fftconvolve(low.double(), taps, mode="same")
        return mu_law(banded, bits=round(1000 * kbits / TELEPHONE_HZ)).float()

    return at_rate(waveform, lengths, rate, TELEPHONE_HZ, line)


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
