"""Rhythm: onsets, nuclei of syllables, pauses, and from them the rate of speech.

Sources: onset strength: Böck and Widmer, 2013, as in librosa; nuclei: de Jong and Wempe, 2009,
https://doi.org/10.3758/BRM.41.2.385.
"""

import torch
from torch import Tensor, nn
from typing_extensions import override

from ser.features.framing import Framed
from ser.features.logmel import DECIBELS, LogMel
from ser.features.mask import frame_mask
from ser.features.pitch import Pitch
from ser.features.quantile import quantile

LOUDEST = 0.99
"""Quantile of a clip's levels that counts as its loudest."""
SILENCE_DB = -100.0
"""Level of silence, and of what is before and after a clip."""


class Rhythm(Framed):
    """Onsets, syllables and pauses over time, and the rates of the whole clip.

    ``onset`` is the mean rise of the mel bands since the frame before, in decibels; ``nucleus`` is 1 where a syllable has its
    peak (voiced, loud, and with a dip before and after it) and 0 elsewhere; ``pause`` is 1 in quiet frames. ``speaking_rate``
    and ``articulation_rate``, one number a clip, are nuclei a second of its frames, and of those outside pauses.

    Shapes:
        - waveform: ``(batch, sample)``, full scale = 1, zero-padded on the right
        - lengths: ``(batch,)``, in samples
        - returns: ``(batch, 5, frame)``, zero beyond a clip's frames, and ``(batch,)`` in frames

    Args:
        sample_rate: In Hz.
        n_mels: Bands of the onsets.
        window_ms: In milliseconds.
        hop_ms: Time from one frame to the next in milliseconds.
        low_hz, high_hz: Range of pitches of voiced frames.
        pause_db: Frames this many decibels below the loudest of the clip are pauses.
        dip_db: Least fall of the level between two syllables.
        reach_ms: A nucleus is the loudest frame within this reach, and its dips are within twice of it.

    Raises:
        ConfigError: As `ser.features.logmel.LogMel` and `ser.features.pitch.Pitch`.

    Example:
        >>> features, _ = Rhythm()(torch.zeros(1, 16000), torch.tensor([16000]))
        >>> features[0, :, 0].tolist()  # silence is one pause
        [0.0, 0.0, 1.0, 0.0, 0.0]
    """

    costly = True
    """Worth keeping on disk between runs; see `ser.models.classifier.SpeechClassifier.cache_key`."""

    def __init__(
        self,
        sample_rate: int = 16000,
        n_mels: int = 64,
        window_ms: float = 64.0,
        hop_ms: float = 16.0,
        low_hz: float = 60.0,
        high_hz: float = 600.0,
        pause_db: float = 25.0,
        dip_db: float = 1.5,
        reach_ms: float = 64.0,
    ) -> None:
        super().__init__()
        self.log_mel = LogMel(sample_rate, n_mels, window_ms, hop_ms, 50.0, floor=1e-10)
        self.pitch = Pitch(sample_rate, window_ms, hop_ms, low_hz, high_hz)
        self.framing, self.second = self.pitch.framing, sample_rate / self.pitch.framing.hop  # in frames
        self.reach = max(1, round(reach_ms / hop_ms))
        self.pause_db, self.dip_db = pause_db, dip_db
        self.names = ("onset", "nucleus", "pause", "speaking_rate", "articulation_rate")

    @override
    def compute(self, samples: Tensor, frames: Tensor) -> Tensor:
        logs = self.log_mel.compute(samples, frames)
        onset = nn.functional.pad((DECIBELS * logs.diff(dim=-1)).relu().mean(dim=1), (1, 0))
        mask = frame_mask(frames, onset.shape[1])
        level = self._level(samples, mask)
        loudest = quantile(level, mask, LOUDEST)
        pause = (level < loudest - self.pause_db) | (level < SILENCE_DB + 1)
        _, voicing = self.pitch.periods(samples, frames)
        nucleus = mask & ~pause & (voicing > self.pitch.voiced) & self._peaks(level)
        rates = nucleus.sum(dim=-1) * self.second / torch.stack([frames, (mask & ~pause).sum(dim=-1).clamp(min=1)])
        whole = rates.T[..., None].expand(-1, -1, onset.shape[1])  # (batch, 2, frame)
        return torch.cat([torch.stack([onset, nucleus.to(onset), pause.to(onset)], dim=1), whole.to(onset)], dim=1)

    def _level(self, samples: Tensor, mask: Tensor) -> Tensor:
        """Return the level of each frame in decibels re full scale, ``(batch, frame)``; silence beyond the clip."""
        power = self.framing.cut(samples).square().mean(dim=-1)
        level = DECIBELS * power.detach().clamp(min=10 ** (SILENCE_DB / 10)).log()
        return torch.where(mask, level, SILENCE_DB)

    def _peaks(self, level: Tensor) -> Tensor:
        """Return where the level is highest within reach, and falls by ``dip_db`` within twice the reach on both sides."""
        far = 2 * self.reach
        around = nn.functional.pad(level, (far, far), value=SILENCE_DB).unfold(-1, 2 * far + 1, 1)
        before, after = around[..., :far], around[..., far + 1 :].flip(-1)  # the nearest last
        # Of equal neighbours the first is the peak.
        peak = (level > before[..., self.reach :].amax(dim=-1)) & (level >= after[..., self.reach :].amax(dim=-1))
        return peak & (level - torch.maximum(before.amin(dim=-1), after.amin(dim=-1)) >= self.dip_db)
