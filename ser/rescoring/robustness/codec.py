"""Lossy codecs: MP3, Opus and GSM 6.10, encoded and decoded by libsndfile in memory.

The delay and padding of a codec are removed, so that a clip keeps its length and position.
"""

import io
import os
from abc import abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.rescoring.robustness.channel import at_rate
from ser.rescoring.robustness.conditions import Effect, Scene

MP3_DELAY = 1105
"""Delay of an MP3 encoder (LAME: 576) and decoder (529) in samples. The file does not record it at low bit rates, where the
record does not fit in a frame."""
MP3_KBITS = ((32000, 32.0, 320.0), (16000, 8.0, 160.0), (0, 8.0, 64.0))
"""The least sampling rate, and the bit rates of libsndfile's compression levels 1 and 0: MPEG-1, 2 and 2.5."""
OPUS_KBITS = (6.0, 256.0)
"""The same for Opus: the target bit rate of its encoder; the actual one varies with the sound."""
GSM_KBITS = 13.0


@dataclass(frozen=True)
class Codec(Effect):
    """Encoding and decoding by a codec, which a subclass names."""

    family, quantity, unit = "codec", "bit rate", "kbit/s"
    rate: ClassVar[int | None] = None
    """Sampling rate of the codec in Hz; ``None``: that of the waveform."""
    format: ClassVar[str]
    subtype: ClassVar[str]
    delay: ClassVar[int] = 0
    """Samples to remove from the start if the decoded clip is too long."""

    @abstractmethod
    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        """Return the arguments of ``soundfile.write`` for a bit rate."""

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        rate = self.rate or scene.rate
        options = self.options(level, rate)

        def coded(low: Tensor, lengths: Tensor) -> Tensor:
            clips = [row[:n].numpy() for row, n in zip(low.cpu(), lengths.tolist(), strict=True)]
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # libsndfile works outside Python's lock
                rows = list(pool.map(lambda clip: torch.from_numpy(self.round_trip(clip, rate, options)), clips))
            return nn.utils.rnn.pad_sequence(rows, batch_first=True).to(low.device)

        return at_rate(waveform, lengths, scene.rate, rate, coded), lengths

    def round_trip(self, clip: np.ndarray, rate: int, options: Mapping[str, Any]) -> np.ndarray:
        """Encode and decode a clip, ``(sample,)`` float32, and return it at its original length.

        Raises:
            ConfigError: If the installed libsndfile does not support the codec.
        """
        import soundfile

        file = io.BytesIO()
        try:
            soundfile.write(file, clip, rate, format=self.format, subtype=self.subtype, **options)
            file.seek(0)
            decoded, _ = soundfile.read(file, dtype="float32")
        except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"libsndfile {soundfile.__libsndfile_version__} does not support {self.subtype} in {self.format} at {rate} "
                f"Hz ({error}). Install the soundfile wheel, which includes a newer libsndfile, or leave the effect out: "
                "'~suite.effects.NAME' on the command line."
            ) from error
        if len(decoded) > len(clip):
            decoded = decoded[self.delay :]
        return np.pad(decoded[: len(clip)], (0, max(0, len(clip) - len(decoded))))


class MP3(Codec):
    """MPEG layer III at the nearest constant bit rate that the format has."""

    format, subtype, delay = "MP3", "MPEG_LAYER_III", MP3_DELAY

    @override
    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        low, high = next((low, high) for least, low, high in MP3_KBITS if rate >= least)
        in_range(level, low, high, f"MP3 at {rate} Hz")
        # Half a kbit/s more, as libsndfile rounds down.
        compression = max(0.0, (high - level - 0.5) / (high - low))
        return {"bitrate_mode": "CONSTANT", "compression_level": compression}


class Opus(Codec):
    """Opus in Ogg."""

    format, subtype = "OGG", "OPUS"

    @override
    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        low, high = OPUS_KBITS
        in_range(level, low, high, "Opus")
        return {"compression_level": (high - level) / (high - low)}


class GSM(Codec):
    """GSM 6.10 full rate, of the first mobile phones: 8 kHz, only at 13 kbit/s."""

    rate, format, subtype = 8000, "WAV", "GSM610"

    @override
    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        in_range(level, GSM_KBITS, GSM_KBITS, "GSM 6.10")
        return {}


def in_range(level: float, low: float, high: float, codec: str) -> None:
    """Check a bit rate.

    Raises:
        ConfigError: If the codec does not support it.
    """
    if not low <= level <= high:
        raise ConfigError(
            f"The bit rate of {codec} must be from {low:g} to {high:g} kbit/s; got {level:g}. Change the effect's levels."
        )
