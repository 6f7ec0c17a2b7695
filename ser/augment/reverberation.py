"""Reverberation: the impulse responses of simulated rooms, or recorded ones of a folder.

Source: Ko et al., 2017, https://doi.org/10.1109/ICASSP.2017.7953152, for training on both kinds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Drawn, checked_range
from ser.augment.recordings import recordings_in
from ser.errors import ConfigError
from ser.signal.room import impulse_response, reverberate


class Rooms(Augmentation):
    """One of several rooms for each clip, which keeps its RMS and its length.

    Args:
        responses: The impulse response of each room, ``(tap,)``; its largest value is the direct sound.
        probability: See `Augmentation`.
    """

    domain: ClassVar[str] = "waveform"

    def __init__(self, responses: Sequence[Tensor], probability: float = 1.0) -> None:
        super().__init__(probability)
        from_direct_sound = [response[int(response.abs().argmax()) :] for response in responses]
        # No buffer: averaging and processes would copy it at every step.
        self._responses = nn.utils.rnn.pad_sequence(from_direct_sound, batch_first=True)

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        return (torch.randint(len(self._responses), (len(rows),), device=x.device),)

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        (room,) = drawn
        self._responses = self._responses.to(x.device)
        return reverberate(x, lengths, self._responses[room]), lengths


class Reverberation(Rooms):
    """Simulated rooms; see `ser.signal.room`.

    Args:
        sample_rate: In Hz.
        t60_s: Lowest and highest reverberation time in seconds.
        direct_db: Lowest and highest ratio of the energies of the direct sound and the decay in dB.
        rooms: Number of rooms.
        seed: Of the rooms.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If a range is wrong, or there is no room.
    """

    def __init__(
        self,
        sample_rate: int = 16000,
        t60_s: Sequence[float] = (0.1, 0.6),
        direct_db: Sequence[float] = (0.0, 12.0),
        rooms: int = 64,
        seed: int = 0,
        probability: float = 1.0,
    ) -> None:
        if not (rooms >= 1 and min(t60_s) >= 0.01):
            raise ConfigError(
                f"Reverberation.rooms must be at least 1 and t60_s at least 0.01; got {rooms} and {list(t60_s)}."
            )
        t60, direct = checked_range(self, "t60_s", *t60_s), checked_range(self, "direct_db", *direct_db)
        random = np.random.default_rng(seed)
        each = [
            impulse_response(random, random.uniform(*t60), sample_rate, random.uniform(*direct)) for _ in range(rooms)
        ]
        super().__init__([torch.from_numpy(response.astype(np.float32)) for response in each], probability)


class ImpulseResponses(Rooms):
    """Recorded rooms.

    Args:
        folder: Holds the recordings of impulse responses, in any format and at any rate.
        sample_rate: In Hz.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If there are no recordings.
    """

    def __init__(self, folder: str | Path, sample_rate: int = 16000, probability: float = 1.0) -> None:
        super().__init__(recordings_in(folder, sample_rate), probability)
