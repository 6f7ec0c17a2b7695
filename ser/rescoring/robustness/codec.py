"""Speech that was stored or sent in few bits: MP3, Opus, GSM 6.10, there and back through libsndfile in memory.

What a codec puts before the speech and behind it is taken off again, so that a clip keeps its length and its place.
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

from ser.errors import ConfigError
from ser.rescoring.robustness.channel import at_rate
from ser.rescoring.robustness.conditions import Effect, Scene

MP3_DELAY = 1105
"""Samples that an MP3 encoder (LAME: 576) and decoder (529) put before the sound. The file's own note of it is left out at
low bit rates, where it does not fit in a frame."""
MP3_KBITS = ((32000, 32.0, 320.0), (16000, 8.0, 160.0), (0, 8.0, 64.0))
"""From which sampling rate on, the bit rates that libsndfile's compression levels 1 and 0 stand for: MPEG-1, 2 and 2.5."""
OPUS_KBITS = (6.0, 256.0)
"""The same for Opus: the bit rate that its encoder aims at; it varies with the sound."""
GSM_KBITS = 13.0


@dataclass(frozen=True)
class Codec(Effect):
    """There and back through a codec; a subclass says which."""

    family: ClassVar[str] = "codec"
    quantity: ClassVar[str] = "bit rate"
    unit: ClassVar[str] = "kbit/s"
    rate: ClassVar[int | None] = None
    """Of the codec in Hz; ``None``: that of the waveform."""
    format: ClassVar[str]
    subtype: ClassVar[str]
    delay: ClassVar[int] = 0
    """Samples put before the sound where the decoded clip is too long."""

    @abstractmethod
    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        """What ``soundfile.write`` takes for a bit rate."""

    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        """See `Effect.apply`."""
        rate = self.rate or scene.rate
        options = self.options(level, rate)

        def coded(low: Tensor, lengths: Tensor) -> Tensor:
            clips = [row[:n].numpy() for row, n in zip(low.cpu(), lengths.tolist(), strict=True)]
            with ThreadPoolExecutor(os.cpu_count()) as pool:  # libsndfile works outside Python's lock
                rows = list(pool.map(lambda clip: torch.from_numpy(self.there_and_back(clip, rate, options)), clips))
            return nn.utils.rnn.pad_sequence(rows, batch_first=True).to(low.device)

        return at_rate(waveform, lengths, scene.rate, rate, coded), lengths

    def there_and_back(self, clip: np.ndarray, rate: int, options: Mapping[str, Any]) -> np.ndarray:
        """One clip, coded and decoded: ``(sample,)`` float32, as long as it was.

        Raises:
            ConfigError: If the installed libsndfile cannot do it.
        """
        import soundfile

        file = io.BytesIO()
        try:
            soundfile.write(file, clip, rate, format=self.format, subtype=self.subtype, **options)
            file.seek(0)
            decoded, _ = soundfile.read(file, dtype="float32")
        except (soundfile.SoundFileError, RuntimeError, ValueError) as error:
            raise ConfigError(
                f"libsndfile {soundfile.__libsndfile_version__} cannot code {self.subtype} in {self.format} at {rate} Hz "
                f"({error}). Install the wheel of soundfile, which brings its own, or leave the effect out: "
                "'~suite.effects.NAME' on the command line."
            ) from error
        if len(decoded) > len(clip):
            decoded = decoded[self.delay :]
        return np.pad(decoded[: len(clip)], (0, max(0, len(clip) - len(decoded))))


class MP3(Codec):
    """MPEG layer III at a constant bit rate, the nearest one that the format has."""

    format: ClassVar[str] = "MP3"
    subtype: ClassVar[str] = "MPEG_LAYER_III"
    delay: ClassVar[int] = MP3_DELAY

    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        """See `Codec.options`."""
        low, high = next((low, high) for least, low, high in MP3_KBITS if rate >= least)
        in_range(level, low, high, f"MP3 at {rate} Hz")
        # Half a kbit/s more, as libsndfile rounds down.
        compression = max(0.0, (high - level - 0.5) / (high - low))
        return {"bitrate_mode": "CONSTANT", "compression_level": compression}


class Opus(Codec):
    """Opus in Ogg."""

    format: ClassVar[str] = "OGG"
    subtype: ClassVar[str] = "OPUS"

    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        """See `Codec.options`."""
        low, high = OPUS_KBITS
        in_range(level, low, high, "Opus")
        return {"compression_level": (high - level) / (high - low)}


class GSM(Codec):
    """GSM 6.10 full rate, as the first mobile phones had it: 8 kHz, 13 kbit/s and nothing else."""

    rate: ClassVar[int | None] = 8000
    format: ClassVar[str] = "WAV"
    subtype: ClassVar[str] = "GSM610"

    def options(self, level: float, rate: int) -> Mapping[str, Any]:
        """See `Codec.options`."""
        in_range(level, GSM_KBITS, GSM_KBITS, "GSM 6.10")
        return {}


def in_range(level: float, low: float, high: float, codec: str) -> None:
    """Check a bit rate.

    Raises:
        ConfigError: If the codec does not have it.
    """
    if not low <= level <= high:
        raise ConfigError(f"{codec} has {low:g} to {high:g} kbit/s, not {level:g}.")
