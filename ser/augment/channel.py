"""The recording channel: its band, and lossy codecs."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Change, Drawn, OneOf, checked_range, uniform
from ser.errors import ConfigError
from ser.signal.codec import code, gsm, mp3, opus, telephone
from ser.signal.filters import band_pass
from ser.signal.padding import cut


class BandLimit(Augmentation):
    """Keep a random band; its edges are drawn evenly on a logarithmic scale.

    Args:
        sample_rate: In Hz.
        low_hz: Lowest and highest lower edge.
        high_hz: Lowest and highest upper edge.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If the edges are not in order below half the sampling rate.
    """

    domain: ClassVar[str] = "waveform"

    def __init__(
        self,
        sample_rate: int = 16000,
        low_hz: Sequence[float] = (20.0, 300.0),
        high_hz: Sequence[float] = (2500.0, 7900.0),
        probability: float = 1.0,
    ) -> None:
        super().__init__(probability)
        self.sample_rate = sample_rate
        low, high = checked_range(self, "low_hz", *low_hz), checked_range(self, "high_hz", *high_hz)
        if not 0 < low[0] <= low[1] < high[0] <= high[1] < sample_rate / 2:
            raise ConfigError(
                f"BandLimit.low_hz and high_hz must be above 0, in order, and below {sample_rate / 2:g} Hz; got "
                f"{list(low)} and {list(high)}."
            )
        self.low, self.high = ((math.log(a), math.log(b)) for a, b in (low, high))

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        return uniform(self.low, rows).exp(), uniform(self.high, rows).exp()

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        low_hz, high_hz = drawn
        return band_pass(x, lengths, low_hz, high_hz, self.sample_rate), lengths


class Codec(OneOf):
    """Encode and decode each clip by one of several codecs at one of their bit rates.

    The telephone works on the device; the others wait for the CPU.

    Args:
        codecs: Bit rates in kbit/s by codec: ``telephone``, ``mp3``, ``opus`` or ``gsm``; see `ser.signal.codec`.
        sample_rate: In Hz.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If there is no such codec, or it does not support a bit rate.
    """

    def __init__(
        self, codecs: Mapping[str, Sequence[float]], sample_rate: int = 16000, probability: float = 1.0
    ) -> None:
        changes = [_coded(name, kbits, sample_rate) for name, every in codecs.items() for kbits in every or ()]
        if not changes:
            raise ConfigError("Codec.codecs must have at least one bit rate; got none. See conf/augment/codec.yaml.")
        super().__init__(changes, probability)


def _coded(name: str, kbits: float, rate: int) -> Change:
    """Return the change that a codec at a bit rate is."""
    made = {"mp3": mp3, "opus": opus, "gsm": gsm}
    if name == "telephone":
        return lambda x, lengths: cut(telephone(x, lengths, rate, kbits), lengths)
    if name not in made:
        raise ConfigError(f"Codec.codecs must be of telephone, {', '.join(made)}; got {name}.")
    coding = made[name](kbits, rate)
    return lambda x, lengths: cut(code(x, lengths, rate, coding), lengths)
