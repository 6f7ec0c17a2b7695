"""Recordings as they are handed over in Python, made into what a store would hold, and batched."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ser.audio.decode import SILENCE_PEAK, AudioSettings, read_audio, standardise, to_mono
from ser.errors import AudioError, ConfigError

AudioInput = str | Path | np.ndarray | Tensor
LOWEST_RATE = 1000
"""In Hz; what is below it is a slip, such as a rate in kHz."""


def named_clips(audio: AudioInput | Iterable[AudioInput]) -> list[tuple[str, AudioInput]]:
    """One recording or several as a list, each with what to call it: its path, or its position."""
    items = [audio] if isinstance(audio, (str, Path, np.ndarray, Tensor)) else list(audio)
    return [(str(x) if isinstance(x, (str, Path)) else str(i), x) for i, x in enumerate(items)]


def batches(
    recordings: Sequence[tuple[str, AudioInput]],
    rate: int | None,
    settings: AudioSettings,
    batch_size: int,
    device: torch.device,
) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Recordings in batches of like length: their positions, their waveforms and lengths, on a device.

    Every recording is read before the first batch is given.

    Raises:
        AudioError: If one cannot be read, or holds no sound; the message names it.
        ConfigError: If an array comes without a usable ``rate``, or ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}, but a batch has at least 1 clip.")
    clips = [torch.from_numpy(_clip(audio, name, rate, settings)) for name, audio in recordings]
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        lengths = torch.tensor([len(clips[i]) for i in rows], device=device)
        yield rows, nn.utils.rnn.pad_sequence([clips[i] for i in rows], batch_first=True).to(device), lengths


def _clip(audio: AudioInput, name: str, rate: int | None, settings: AudioSettings) -> np.ndarray:
    """One recording as a store would hold it, float32 at the model's rate."""
    if isinstance(audio, (str, Path)):
        samples, rate = read_audio(audio)
    else:
        if rate is None:
            raise ConfigError("An array needs its sampling rate: model.predict(array, rate=16000).")
        if not LOWEST_RATE <= rate < math.inf:
            raise ConfigError(f"rate is in Hz, and at least {LOWEST_RATE}, not {rate!r}.")
        samples = _mono_of(audio, f"array {name}")
    if np.abs(samples).max() < SILENCE_PEAK:
        raise AudioError(name, "silent", "there is no speech to score")
    clip = standardise(samples, rate, settings)
    if not len(clip):
        raise AudioError(name, "too short", f"{len(samples)} samples at {rate} Hz are none at the model's rate")
    return clip.astype(np.float32) / np.float32(32768.0)


def _mono_of(audio: np.ndarray | Tensor, name: str) -> np.ndarray:
    """An array as ``(sample,)`` float32, full scale = 1."""
    if isinstance(audio, Tensor):
        audio = (audio.float() if audio.is_floating_point() else audio).detach().cpu().numpy()
    array = np.asarray(audio)
    if array.ndim not in (1, 2) or not array.size:
        raise AudioError(name, "empty", f"or not (sample,) or (sample, channel): its shape is {array.shape}")
    if array.ndim == 2 and array.shape[1] > array.shape[0]:
        raise AudioError(name, "more channels than samples", f"(sample, channel) is {array.shape}; transpose it")
    if np.issubdtype(array.dtype, np.integer):
        bounds = np.iinfo(array.dtype)
        full_scale = (bounds.max - bounds.min + 1) / 2
        array = (array - (bounds.max + 1 - full_scale)) / full_scale  # unsigned ones have their zero in the middle
    return to_mono(array.astype(np.float32, copy=False), name)
