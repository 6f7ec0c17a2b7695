"""Recordings as they are handed over in Python, made into what a store would hold, and batched."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ser.audio.checks import RATES, below, mixed
from ser.audio.decode import AudioSettings, Recording, read_recording, standardise
from ser.errors import AudioError, ConfigError

log = logging.getLogger(__name__)
AudioInput = str | Path | np.ndarray | Tensor


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
    """Yield recordings in batches of similar length: their positions, waveforms and lengths, on a device.

    Every recording is read before the first batch.

    Raises:
        AudioError: If one cannot be read, or holds no sound; the message names it.
        ConfigError: If an array has no usable ``rate``, or ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1; got {batch_size}.")
    clips = [torch.from_numpy(decoded_clip(audio, name, rate, settings)) for name, audio in recordings]
    order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        lengths = torch.tensor([len(clips[i]) for i in rows], device=device)
        yield rows, nn.utils.rnn.pad_sequence([clips[i] for i in rows], batch_first=True).to(device), lengths


def decoded_clip(audio: AudioInput, name: str, rate: int | None, settings: AudioSettings) -> np.ndarray:
    """Return one recording as a store would hold it, float32 at the model's rate."""
    found = read_recording(audio) if isinstance(audio, (str, Path)) else _of_array(audio, f"array {name}", rate)
    for finding in [*found.findings, *below(found.rate, settings.sample_rate)]:
        log.warning("%s: %s: %s", name, *finding)
    clip = standardise(found.samples, found.rate, settings)
    if not len(clip):
        raise AudioError(
            name, "too short", f"{len(found.samples)} samples at {found.rate} Hz give none at the model's rate"
        )
    return clip.astype(np.float32) / np.float32(32768.0)


def _of_array(audio: np.ndarray | Tensor, name: str, rate: int | None) -> Recording:
    """Return an array as a file would be decoded."""
    if rate is None:
        raise ConfigError(
            "rate must be set for an array; got none. Pass its sampling rate in Hz: model.predict(array, rate=16000)."
        )
    if not RATES[0] <= rate <= RATES[1]:
        raise ConfigError(f"rate must be {RATES[0]} to {RATES[1]} Hz; got {rate!r}.")
    mono, findings = mixed(_channels_of(audio, name), rate, name)
    return Recording(mono, rate, findings)


def _channels_of(audio: np.ndarray | Tensor, name: str) -> np.ndarray:
    """Return an array as ``(sample, channel)`` float32, full scale = 1."""
    if isinstance(audio, Tensor):
        audio = (audio.float() if audio.is_floating_point() else audio).detach().cpu().numpy()
    array = np.asarray(audio)
    if array.ndim not in (1, 2) or not array.size:
        raise AudioError(name, "empty", f"or not of shape (sample,) or (sample, channel): got {array.shape}")
    if array.ndim == 2 and array.shape[1] > array.shape[0]:
        raise AudioError(
            name, "more channels than samples", f"its shape must be (sample, channel); got {array.shape}; transpose it"
        )
    if np.issubdtype(array.dtype, np.integer):
        bounds = np.iinfo(array.dtype)
        full_scale = (bounds.max - bounds.min + 1) / 2
        array = (array - (bounds.max + 1 - full_scale)) / full_scale  # the zero of unsigned integers is in the middle
    return array.astype(np.float32, copy=False).reshape(len(array), -1)
