"""Pre-emphasis: a first difference that raises high frequencies, as in the front ends of speech recognisers."""

from typing import ClassVar

import torchaudio
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.signal.padding import cut


class PreEmphasis(nn.Module):
    """Subtract a share of the sample before from each sample.

    Args:
        coefficient: The share, from 0 to 1.

    Raises:
        ConfigError: If the share is not from 0 to 1.
    """

    place: ClassVar[int] = 50

    def __init__(self, coefficient: float = 0.97) -> None:
        super().__init__()
        if not 0 <= coefficient <= 1:
            raise ConfigError(f"PreEmphasis.coefficient must be from 0 to 1; got {coefficient}.")
        self.coefficient = coefficient

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the filtered batch; see `ser.cleaning` for the shapes."""
        return cut(torchaudio.functional.preemphasis(waveform, self.coefficient), lengths)
