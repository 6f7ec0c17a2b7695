"""Frames of a padded batch, the same for every feature, so that features with one window and hop can be stacked."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.errors import ConfigError
from ser.features.mask import frame_mask
from ser.features.precision import at_least_float32

PIECE = 1 << 18
"""Samples whose spectrum is computed at a time on a CPU: with fewer, several threads get too little each to do."""


@dataclass(frozen=True)
class Framing:
    """Where frames are, in samples. Frame ``i`` spans ``span`` samples from ``i * hop``, with its window in the middle.

    Frames lie entirely within their clip (Kaldi's ``snip_edges``), so that padding cannot affect them; a clip shorter than
    one frame is padded with silence to one.
    """

    window: int
    hop: int
    span: int
    """The length of the FFT: the window's, rounded up to a power of two."""

    def count(self, lengths: Tensor) -> Tensor:
        """Return the number of frames of clips of some lengths in samples, ``(batch,)``."""
        return 1 + (lengths - self.span).clamp(min=0) // self.hop

    def features(
        self, compute: Callable[[Tensor, Tensor], Tensor], waveform: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return what ``compute`` makes of at least one frame in at least single precision, zero beyond a clip's frames.

        Shapes:
            - waveform: ``(batch, sample)``, zero-padded on the right
            - lengths: ``(batch,)``, in samples
            - compute: from ``(batch, sample)`` and ``(batch,)`` in frames to ``(batch, feature, frame)``
            - returns: ``(batch, feature, frame)``, and ``(batch,)`` in frames
        """
        frames = self.count(lengths)
        if (missing := self.span - waveform.shape[-1]) > 0:
            waveform = nn.functional.pad(waveform, (0, missing))
        with torch.autocast(waveform.device.type, enabled=False):  # half precision cannot hold power spectra
            values = compute(at_least_float32(waveform), frames)
        return values * frame_mask(frames, values.shape[-1])[:, None], frames

    def cut(self, samples: Tensor) -> Tensor:
        """Return the samples under each frame's window, ``(batch, frame, window)``, as a view.

        Example:
            >>> Framing(window=2, hop=1, span=4).cut(torch.arange(6)[None]).tolist()
            [[[1, 2], [2, 3], [3, 4]]]
        """
        margin = (self.span - self.window) // 2
        return samples.unfold(-1, self.span, self.hop)[..., margin : margin + self.window]


def framing(sample_rate: int, window_ms: float, hop_ms: float) -> Framing:
    """Return the frames of a window and a hop in milliseconds.

    Raises:
        ConfigError: If either is shorter than a sample.

    Example:
        >>> framing(16000, 25.0, 10.0)
        Framing(window=400, hop=160, span=512)
    """
    window, hop = round(sample_rate * window_ms / 1000), round(sample_rate * hop_ms / 1000)
    for name, samples, value in (("window_ms", window, window_ms), ("hop_ms", hop, hop_ms)):
        if samples < 1:
            raise ConfigError(f"features.{name} must be at least one sample, {1000 / sample_rate:g} ms; got {value}.")
    return Framing(window, hop, 1 << (window - 1).bit_length())


def in_pieces(compute: Callable[[Tensor, Tensor], Tensor], samples: Tensor, frames: Tensor) -> Tensor:
    """Return what ``compute`` makes of a batch, on a CPU a few clips at a time: what lies between then stays in its cache.

    See `Framed.compute` for the shapes. No value depends on it.
    """
    count = max(1, PIECE // samples.shape[-1])
    if samples.device.type != "cpu" or torch.compiler.is_compiling() or len(samples) <= count:
        return compute(samples, frames)
    pieces = zip(torch.split(samples, count), torch.split(frames, count), strict=True)
    made = [compute(*piece) for piece in pieces]
    by_frame = made[0].mT.is_contiguous()  # to turn the axes of all takes as long as a fifth of the transform
    return torch.cat([each.mT for each in made]).mT if by_frame else torch.cat(made)


class Framed(nn.Module, ABC):
    """Features of frames: a subclass sets ``framing`` and ``names``, and computes.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, n_features, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Attributes:
        framing: Where the frames are.
        names: The name of each row.
    """

    framing: Framing
    names: tuple[str, ...]

    @property
    def n_features(self) -> int:
        """The number of rows."""
        return len(self.names)

    def forward(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features and the number of frames of each clip."""
        return self.framing.features(self.compute, waveform, lengths)

    @abstractmethod
    def compute(self, samples: Tensor, frames: Tensor) -> Tensor:
        """Return the features of at least one frame of samples.

        Shapes:
            - samples: ``(batch, sample)`` in at least single precision, zero beyond each clip
            - frames: ``(batch,)``, of each clip
            - returns: ``(batch, n_features, frame)``, whatever beyond a clip's frames
        """


class PowerSpectrum(nn.Module):
    """Power of the short-time Fourier transform with a Hann window, ``(batch, sample)`` to ``(batch, bin, frame)``.

    Args:
        sample_rate: In Hz.
        window_ms: Hann window length in milliseconds.
        hop_ms: Time from one frame to the next in milliseconds.
    """

    window: Tensor
    frequencies: Tensor

    def __init__(self, sample_rate: int, window_ms: float, hop_ms: float) -> None:
        super().__init__()
        self.framing = framing(sample_rate, window_ms, hop_ms)
        self.register_buffer("window", torch.hann_window(self.framing.window), persistent=False)
        hz = torch.linspace(0, sample_rate / 2, self.framing.span // 2 + 1)
        self.register_buffer("frequencies", hz, persistent=False)  # (bin,), of each bin in Hz

    def forward(self, samples: Tensor) -> Tensor:
        """Return the power of each bin."""
        at = self.framing
        spectrum = torch.stft(samples, at.span, at.hop, at.window, self.window, center=False, return_complex=True)
        # The squares are added as they are: a magnitude between, with its square root, takes as long as the FFT.
        parts = torch.view_as_real(spectrum).square_()
        return parts[..., 0] + parts[..., 1]


class OfPower(Framed):
    """Features of frames that are made from their power spectrum: a subclass also sets ``spectrum``.

    The parts of a stack that have the same frames share one spectrum.

    Attributes:
        spectrum: The power spectrum of ``framing``.
    """

    spectrum: PowerSpectrum

    @override
    def compute(self, samples: Tensor, frames: Tensor) -> Tensor:
        return in_pieces(lambda piece, count: self.of_power(self.spectrum(piece), count), samples, frames)

    @abstractmethod
    def of_power(self, power: Tensor, frames: Tensor) -> Tensor:
        """Return the features of a power spectrum, which stays as it is.

        Shapes:
            - power: ``(batch, bin, frame)`` in at least single precision
            - frames: ``(batch,)``, of each clip
            - returns: ``(batch, n_features, frame)``, whatever beyond a clip's frames
        """
