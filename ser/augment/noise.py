"""Additive noise at a random signal-to-noise ratio: white, pink, other speakers of the batch, or recordings of a folder.

The ratio is of the mean powers over the whole clip, as in `ser.rescoring.robustness.noise`. Babble as in Kaldi's recipes:
Snyder et al., 2015, https://arxiv.org/abs/1510.08484.
"""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from ser.augment.augmentation import Augmentation, Drawn, checked_range, uniform
from ser.augment.recordings import recordings_in
from ser.errors import ConfigError
from ser.features.mask import frame_mask
from ser.signal.noise import add, pink_spectrum
from ser.signal.padding import power


class Noise(Augmentation):
    """Noise, which a subclass makes.

    Args:
        snr_db: Lowest and highest signal-to-noise ratio in dB.
        probability: See `Augmentation`.
    """

    domain: ClassVar[str] = "waveform"

    def __init__(self, snr_db: Sequence[float] = (5.0, 30.0), probability: float = 1.0) -> None:
        super().__init__(probability)
        self.snr_db = checked_range(self, "snr_db", *snr_db)

    @abstractmethod
    def noise(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        """Return noise of any level for some rows of a batch, ``(row, sample)`` as wide as the batch."""

    @override
    def draw(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Drawn:
        return self.noise(x, lengths, rows), uniform(self.snr_db, rows)

    @override
    def change(self, x: Tensor, lengths: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        noise, snr_db = drawn
        own = noise[:, : x.shape[1]] * frame_mask(lengths, x.shape[1])
        return add(x, lengths, own, snr_db), lengths


class WhiteNoise(Noise):
    """Gaussian noise of equal power at every frequency."""

    @override
    def noise(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        return torch.randn(len(rows), x.shape[1], device=x.device)


class PinkNoise(Noise):
    """Gaussian noise of equal power in every octave above 20 Hz.

    Args:
        sample_rate: In Hz.
        snr_db: See `Noise`.
        probability: See `Augmentation`.
    """

    def __init__(
        self, sample_rate: int = 16000, snr_db: Sequence[float] = (5.0, 30.0), probability: float = 1.0
    ) -> None:
        super().__init__(snr_db, probability)
        self.sample_rate = sample_rate

    @override
    def noise(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        samples = max(x.shape[1], self.sample_rate // 10)  # long enough to have several frequencies
        spectrum = torch.fft.rfft(torch.randn(len(rows), samples, device=x.device))
        falling = torch.from_numpy(1 / pink_spectrum(samples, self.sample_rate)).to(spectrum.real)
        noise: Tensor = torch.fft.irfft(spectrum * falling, samples)
        return noise[:, : x.shape[1]]


class Babble(Noise):
    """Several other clips of the batch at once, equally loud, each repeated from a random point.

    A training batch holds training speakers only. A clip that is alone in its batch gets no babble.

    Args:
        talkers: Number of other clips.
        snr_db: See `Noise`.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If there is no talker.
    """

    def __init__(self, talkers: int = 5, snr_db: Sequence[float] = (10.0, 30.0), probability: float = 1.0) -> None:
        super().__init__(snr_db, probability)
        if talkers < 1:
            raise ConfigError(f"Babble.talkers must be at least 1; got {talkers}. Give a number such as 5.")
        self.talkers = talkers

    @override
    def noise(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        order = torch.rand(len(rows), len(x), device=x.device)
        order[torch.arange(len(rows), device=x.device), rows] = -1.0  # the clip itself comes last
        others = order.topk(min(self.talkers, len(x) - 1)).indices  # (row, talker)
        loudness = power(x, lengths).sqrt().float().clamp(min=torch.finfo(torch.float32).tiny)
        start = torch.rand(others.shape, device=x.device) * lengths[others]
        at = (start.long()[..., None] + torch.arange(x.shape[1], device=x.device)) % lengths[others][..., None]
        return (x[others[..., None], at] / loudness[others][..., None]).sum(dim=1)


class NoiseFolder(Noise):
    """Recordings of noise, from a random point and repeated to the length of the clip.

    Args:
        folder: Holds the recordings, in any format and at any rate; they are read once, and kept in memory.
        sample_rate: In Hz.
        snr_db: See `Noise`.
        probability: See `Augmentation`.

    Raises:
        ConfigError: If there are no recordings.
    """

    def __init__(
        self,
        folder: str | Path,
        sample_rate: int = 16000,
        snr_db: Sequence[float] = (5.0, 30.0),
        probability: float = 1.0,
    ) -> None:
        super().__init__(snr_db, probability)
        clips = recordings_in(folder, sample_rate)
        self._samples = torch.cat(clips)  # no buffer: averaging and processes would copy it at every step
        self._counts = torch.tensor([len(clip) for clip in clips])

    @override
    def noise(self, x: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        self._samples, self._counts = self._samples.to(x.device), self._counts.to(x.device)
        which = torch.randint(len(self._counts), (len(rows),), device=x.device)
        count, end = self._counts[which], self._counts.cumsum(0)[which]
        start = (torch.rand(len(rows), device=x.device) * count).long()
        at = (start[:, None] + torch.arange(x.shape[1], device=x.device)) % count[:, None]
        return self._samples[(end - count)[:, None] + at]
