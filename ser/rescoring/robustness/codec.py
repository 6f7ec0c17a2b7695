"""Lossy codecs: MP3, Opus and GSM 6.10; see `ser.signal.codec`."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from ser.rescoring.robustness.conditions import Effect, Scene
from ser.signal.codec import Coding, code, gsm, mp3, opus


@dataclass(frozen=True)
class Codec(Effect):
    """Encoding and decoding by a codec, which a subclass names."""

    family, quantity, unit = "codec", "bit rate", "kbit/s"

    @abstractmethod
    def coding(self, level: float, rate: int) -> Coding:
        """Return the codec at a bit rate, for speech at ``rate`` Hz."""

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        return code(waveform, lengths, scene.rate, self.coding(level, scene.rate)), lengths


class MP3(Codec):
    """MPEG layer III at the nearest constant bit rate that the format has."""

    @override
    def coding(self, level: float, rate: int) -> Coding:
        return mp3(level, rate)


class Opus(Codec):
    """Opus in Ogg."""

    @override
    def coding(self, level: float, rate: int) -> Coding:
        return opus(level, rate)


class GSM(Codec):
    """GSM 6.10 full rate, of the first mobile phones: 8 kHz, only at 13 kbit/s."""

    @override
    def coding(self, level: float, rate: int) -> Coding:
        return gsm(level, rate)
