"""Effects of the recording channel: room, level, clipping, bandwidth, telephone line."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from ser.errors import ConfigError
from ser.rescoring.robustness.conditions import Effect, Scene
from ser.signal.codec import telephone
from ser.signal.rates import at_rate
from ser.signal.room import impulse_response, reverberate


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
    """A room for each utterance; see `ser.signal.room`.

    The direct sound keeps its position, and the clip its RMS and its length: the decay after the end is cut off.

    Args:
        levels: Reverberation times in seconds.
        direct_db: Ratio of the energies of the direct sound and the decay in dB; 0 is the distance where they are equal.
    """

    direct_db: float

    family, quantity, unit, between = "reverberation", "reverberation time", "s", (0.01, 10.0)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        drawn = [impulse_response(random, level, scene.rate, self.direct_db) for random in scene.draws]
        responses = torch.from_numpy(np.stack(drawn).astype(np.float32)).to(waveform.device)
        return reverberate(waveform, lengths, responses), lengths


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
    """A telephone line; see `ser.signal.codec.telephone`."""

    family, quantity, unit, between = "codec", "bit rate", "kbit/s", (15.0, 129.0)

    @override
    def apply(self, waveform: Tensor, lengths: Tensor, level: float, scene: Scene) -> tuple[Tensor, Tensor]:
        return telephone(waveform, lengths, scene.rate, level), lengths
