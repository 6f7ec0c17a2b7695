"""What is measured of every clip of a collection for its pictures, in one pass over batches on the device."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ser.features.functionals import as_vector, names_of
from ser.features.logmel import DECIBELS
from ser.features.mask import frame_mask
from ser.features.pitch import Pitch
from ser.features.samples import RMS
from ser.features.spectral import Spectral
from ser.pictures.collection import Collection
from ser.pictures.views import HOP_MS, N_MELS, PITCH_MS, WINDOW_MS, mel_of

SILENT_DB = 30.0
"""A frame this far below the loudest frame of its clip counts as silence."""
SEMITONES = 12 / math.log(2)
"""In a factor of e."""
PER_CLIP = {
    "duration": "duration (s)",
    "loudness": "mean level of the louder frames (dB re full scale)",
    "silence": "silence (% of the frames)",
    "pitch": "median pitch (Hz)",
    "pitch range": "pitch range, 10th to 90th percentile (semitones)",
    "centroid": "spectral centroid (Hz)",
    "flux": "spectral flux",
}
"""What is measured of a clip, with units; the pitch is missing where no frame is voiced."""


@dataclass(frozen=True)
class Measures:
    """Numbers of the clips of a collection.

    Attributes:
        table: A row a clip, in the order of the collection: the columns of `PER_CLIP`.
        spectrum: ``(clip, N_MELS)``, the log-mel of a clip in dB, averaged over its frames that are not silent.
        vectors: ``(clip, number)``, functionals of a feature.
        names: Of the numbers of a vector.
    """

    table: pd.DataFrame
    spectrum: np.ndarray
    vectors: np.ndarray
    names: tuple[str, ...]


@torch.no_grad()
def measure_clips(collection: Collection, features: nn.Module, device: torch.device) -> Measures:
    """Measure every clip.

    Args:
        collection: The clips.
        features: A module of `ser.features`; functionals of it are the vectors.
        device: Where it is computed.
    """
    whole = as_vector(features).to(device).eval()
    each = _PerClip(collection.rate).to(device)
    rows, parts = [], []
    for batch, waveform, lengths in collection.batches(device):
        vectors, _ = whole(waveform, lengths)
        rows.append(batch)
        parts.append(torch.cat([each(waveform, lengths), vectors[..., 0]], dim=1).cpu().double())
    values = torch.cat(parts).numpy()[np.argsort(np.concatenate(rows))]
    table = pd.DataFrame(values[:, : len(PER_CLIP)], columns=list(PER_CLIP))
    spectrum, vectors = np.split(values[:, len(PER_CLIP) :], [N_MELS], axis=1)
    return Measures(table, spectrum, vectors, names_of(whole))


class _PerClip(nn.Module):
    """The columns of `PER_CLIP`, then the mean spectrum, ``(batch, len(PER_CLIP) + N_MELS)``."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.rate = rate
        self.level = RMS(rate, WINDOW_MS, HOP_MS, decibels=True)
        self.pitch = Pitch(rate, PITCH_MS, HOP_MS)
        self.shape = Spectral(rate, WINDOW_MS, HOP_MS)
        self.mel = mel_of(rate)

    def forward(self, waveform: Tensor, lengths: Tensor) -> Tensor:
        """Return the numbers of each clip."""
        inside = frame_mask(lengths, waveform.shape[1])
        steady = waveform.sum(dim=1, keepdim=True) / lengths[:, None].clamp(min=1)
        levels, frames = self.level((waveform - steady) * inside, lengths)  # an offset of the recorder is no sound
        mask = frame_mask(frames, levels.shape[2])[:, None]
        loudest = levels.masked_fill(~mask, -torch.inf).amax(dim=2, keepdim=True)
        loud = (levels > loudest - SILENT_DB) & mask  # (batch, 1, frame), never none

        def mean(features: Tensor) -> Tensor:
            means: Tensor = (features * loud).sum(dim=2) / loud.sum(dim=2)
            return means

        shape, _ = self.shape(waveform, lengths)
        chosen = shape[:, [self.shape.names.index(name) for name in ("centroid", "flux")]]
        silence = 100 * (1 - loud.sum(dim=2) / frames[:, None])
        mel = DECIBELS * self.mel(waveform, lengths)[0]
        parts = [lengths[:, None] / self.rate, mean(levels), silence, *self._pitches(waveform, lengths)]
        return torch.cat([*parts, mean(chosen), mean(mel)], dim=1)

    def _pitches(self, waveform: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the median in Hz and the range in semitones of the voiced frames, ``(batch, 1)``, NaN without any."""
        log_f0, voicing = self.pitch(waveform, lengths)[0].unbind(dim=1)
        voiced = log_f0.masked_fill(voicing <= self.pitch.voiced, torch.nan)
        low, middle, high = voiced.nanquantile(torch.tensor([0.1, 0.5, 0.9], device=voiced.device), dim=1)
        return middle.exp()[:, None], (SEMITONES * (high - low))[:, None]
