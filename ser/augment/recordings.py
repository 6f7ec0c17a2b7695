"""Recordings of a folder, for augmentation: noises, impulse responses."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ser.audio.decode import read_audio, resample
from ser.corpora.corpus import AUDIO_SUFFIXES, files_under
from ser.errors import ConfigError


def recordings_in(folder: str | Path, sample_rate: int) -> list[Tensor]:
    """Return all recordings in and below a folder, in the order of their paths: ``(sample,)`` float32 each, mono.

    Raises:
        ConfigError: If there are none.
        AudioError: If one cannot be read.
    """
    where = Path(folder).expanduser()
    paths = sorted(path for path in files_under(where) if path.suffix.lower() in AUDIO_SUFFIXES)
    if not paths:
        raise ConfigError(
            f"folder must hold recordings, such as WAV or FLAC; got {where}, which has none. Set augment.<name>.folder."
        )
    clips = (resample(*read_audio(path), sample_rate) for path in paths)
    return [torch.from_numpy(clip.astype(np.float32)) for clip in clips]
