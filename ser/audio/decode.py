"""Decoding of one recording: mix down, resample and trim it, in the same way for a store and for a file to be scored.

soundfile decodes (WAV, AIFF, FLAC, OGG, Opus, MP3), soxr resamples at its HQ setting.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.corpora.corpus import is_pointer
from ser.corpora.manifest import Piece
from ser.errors import AudioError, ConfigError

SILENCE_PEAK = 1e-3
"""-60 dB of full scale: a clip that never exceeds it has no speech in it."""


@dataclass(frozen=True)
class AudioSettings:
    """Settings of the decoding of every clip.

    Args:
        sample_rate: In Hz.
        trim_db: Leading and trailing 25 ms frames that are this many dB below the clip's loudest frame are cut, except
            50 ms at either end; ``None`` keeps everything.
        min_ms: Clips with less sound than this, in milliseconds, are left out.

    Raises:
        ConfigError: If a number is out of its range.
    """

    sample_rate: int = 16000
    trim_db: float | None = None
    min_ms: float = 100.0

    def __post_init__(self) -> None:
        for name, least in (("sample_rate", 1000), ("trim_db", 1), ("min_ms", 1)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ConfigError(f"audio.{name} must be a number of {least} or more; got {value}.")


def read_audio(path: str | Path, piece: Piece | None = None) -> tuple[np.ndarray, int]:
    """Decode a file, or a piece of it, to mono.

    Returns:
        ``(sample,)`` float32, full scale = 1, and the file's sampling rate in Hz. Channels are averaged.

    Raises:
        AudioError: If the file is missing, empty, a Git-LFS pointer, not audio, shorter than the piece, or holds NaN or
            infinity. Its message states which, after the path.
    """
    import soundfile

    path = Path(path)
    try:
        size, pointer = path.stat().st_size, is_pointer(path)
    except OSError as error:
        raise AudioError(path, "unreadable", str(error.strerror)) from error
    if not size:
        raise AudioError(path, "empty", "the file has no bytes")
    if pointer:
        raise AudioError(path, "LFS pointer", "run `git lfs pull` in the corpus's checkout to get the recording")
    try:
        samples, rate = _read(path, piece)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise AudioError(path, "unreadable", getattr(error, "error_string", str(error))) from error
    if not len(samples):
        raise AudioError(path, "empty", "the file has no samples")
    return to_mono(samples, str(path)), int(rate)


def _read(path: Path, piece: Piece | None) -> tuple[np.ndarray, int]:
    """Return ``(sample, channel)`` float32 and the rate; of a piece, nothing else of the file is decoded."""
    import soundfile

    if piece is None:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return samples, int(rate)
    start, end = piece
    with soundfile.SoundFile(path) as file:
        first, seconds = round(start * file.samplerate), file.frames / file.samplerate
        last = file.frames if end is None else round(end * file.samplerate)
        if first >= file.frames or last > file.frames:
            asked = f"{start:g} s to {'the end' if end is None else f'{end:g} s'}"
            raise AudioError(path, "wrong piece", f"{asked} of a file of {seconds:.3f} s")
        file.seek(first)
        return file.read(last - first, dtype="float32", always_2d=True), int(file.samplerate)


def to_mono(samples: np.ndarray, name: str = "the array") -> np.ndarray:
    """Return the mean over channels of ``(sample,)`` or ``(sample, channel)``, as float32.

    Raises:
        AudioError: If a sample is NaN or infinite.
    """
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise AudioError(name, "NaN", f"{int((~np.isfinite(mono)).sum())} samples are not finite numbers")
    return mono.astype(np.float32, copy=False)


def resample(samples: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Resample ``(sample,)`` from ``rate`` to ``sample_rate`` Hz with soxr HQ."""
    import soxr

    return samples if rate == sample_rate else soxr.resample(samples, rate, sample_rate, quality="HQ")


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Round floats in [-1, 1] to int16; values beyond full scale are clipped."""
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")


def trim(samples: np.ndarray, sample_rate: int, trim_db: float) -> np.ndarray:
    """Cut leading and trailing silence: frames of 25 ms, every 10 ms, more than ``trim_db`` below the loudest.

    50 ms are kept at either end, so that soft onsets and fading vowels stay whole.
    """
    frame, hop, margin = (round(ms * sample_rate / 1000) for ms in (25, 10, 50))
    if len(samples) <= frame:
        return samples
    energy = np.cumsum(np.concatenate([[0.0], samples.astype(np.float64) ** 2]))
    starts = np.arange(0, len(samples) - frame + 1, hop)
    power = energy[starts + frame] - energy[starts]
    loud = np.flatnonzero(power >= power.max() * 10 ** (-trim_db / 10))
    return samples[max(0, starts[loud[0]] - margin) : starts[loud[-1]] + frame + margin]


def standardise(samples: np.ndarray, rate: int, settings: AudioSettings) -> np.ndarray:
    """Convert mono float samples at any rate to those of a store: resampled, trimmed, int16.

    The same function prepares a corpus and a file to be scored, so that both give the same prediction.
    """
    at_rate = resample(samples, rate, settings.sample_rate)
    if settings.trim_db is not None:
        at_rate = trim(at_rate, settings.sample_rate, settings.trim_db)
    return to_int16(at_rate)
