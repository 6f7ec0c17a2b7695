"""Decoding of one recording: mix down, resample and trim it, in the same way for a store and for a file to be scored.

soundfile decodes (WAV, AIFF, AU, CAF, W64, FLAC, OGG, Opus, MP3), ffmpeg what it cannot (M4A, MP4, WebM, AMR, ...) where
it is installed; soxr resamples at its HQ setting.
"""

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ser.audio.checks import Finding, mixed
from ser.audio.wav_header import promised_seconds
from ser.corpora.corpus import is_pointer
from ser.corpora.manifest import Piece
from ser.errors import AudioError, ConfigError

if TYPE_CHECKING:
    import soundfile

FFMPEG_SUFFIXES = (".m4a", ".mp4", ".webm", ".amr", ".aac", ".3gp", ".mov", ".mkv", ".wma")
"""Formats that soundfile does not read."""
MISSING_S = 0.01
"""Seconds that may be missing at the end."""


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


class Recording(NamedTuple):
    """A decoded recording: ``(sample,)`` float32, full scale = 1, its rate in Hz, and what is wrong with it."""

    samples: np.ndarray
    rate: int
    findings: list[Finding]


def read_audio(path: str | Path, piece: Piece | None = None) -> tuple[np.ndarray, int]:
    """Decode a file, or a piece of it, to mono; see `read_recording`.

    Returns:
        ``(sample,)`` float32, full scale = 1, and the file's sampling rate in Hz.
    """
    samples, rate, _ = read_recording(path, piece)
    return samples, rate


def read_recording(path: str | Path, piece: Piece | None = None) -> Recording:
    """Decode a file, or a piece of it, to mono, and check it; see `ser.audio.checks.mixed`.

    Raises:
        AudioError: If the file cannot be used: a kind of `ser.audio.checks.KINDS` that is left out. Its message states
            which, after the path.
    """
    with open_recording(path) as file:
        return file.whole() if piece is None else file.read(*_bounds(file, piece))


class OpenFile:
    """A file that is open, of which no more is decoded than is asked for.

    Attributes:
        name: What it is called in an error.
        rate: In Hz.
        frames: Number of samples of a channel that its header states.
        channels: Number of channels.
    """

    def __init__(self, name: str, file: Path, decoder: "soundfile.SoundFile") -> None:
        self.name, self._file, self._decoder = name, file, decoder
        self.rate, self.frames, self.channels = int(decoder.samplerate), int(decoder.frames), int(decoder.channels)

    def whole(self) -> Recording:
        """Decode all of it; a WAV must have as much as its header promises."""
        self.check_length()
        return self.read(0, self.frames)

    def check_length(self) -> None:
        """Refuse a WAV whose header promises more than is there."""
        if (lengths := promised_seconds(self._file)) is not None:
            self._check_end(*lengths)

    def read(self, first: int, last: int) -> Recording:
        """Decode the samples from ``first`` up to ``last``, to mono, and check them."""
        import soundfile

        try:
            if self._decoder.tell() != first:
                self._decoder.seek(first)
            samples = self._decoder.read(last - first, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise AudioError(self.name, "unreadable", getattr(error, "error_string", str(error))) from error
        except (MemoryError, ValueError, OverflowError) as error:
            raise AudioError(self.name, "unreadable", f"its header states {self.frames} samples") from error
        self._check_end((last - first) / self.rate, len(samples) / self.rate)
        if not len(samples):
            raise AudioError(self.name, "empty", "the file has no samples")
        mono, findings = mixed(samples, self.rate, self.name)
        return Recording(mono, self.rate, findings)

    def _check_end(self, promised: float, there: float) -> None:
        if promised - there > MISSING_S:
            raise AudioError(
                self.name, "cut short", f"its header promises {promised:.2f} s, and {there:.2f} s are there"
            )


@contextmanager
def open_recording(path: str | Path, name: str | None = None, most_s: float | None = None) -> Iterator[OpenFile]:
    """Open a file, to decode pieces of it.

    Args:
        path: Path of the file.
        name: What to call it in an error; its path by default.
        most_s: Seconds after which ffmpeg stops, as it decodes a file as a whole; all of it by default.

    Raises:
        AudioError: As `read_recording`.
    """
    import soundfile

    path, name = Path(path), name or str(path)
    try:
        size, pointer = path.stat().st_size, is_pointer(path)
    except FileNotFoundError as error:
        raise AudioError(name, "unreadable", str(error.strerror)) from error
    except OSError as error:
        raise AudioError(name, "no access", str(error.strerror)) from error
    if not size:
        raise AudioError(name, "empty", "the file has no bytes")
    if pointer:
        raise AudioError(name, "LFS pointer", "run `git lfs pull` in the corpus's checkout to get the recording")
    with _readable(path, name, most_s) as file:
        try:
            decoder = soundfile.SoundFile(file)
        except (soundfile.SoundFileError, RuntimeError, ValueError, OverflowError) as error:
            raise AudioError(name, "unreadable", getattr(error, "error_string", str(error))) from error
        with decoder:
            yield OpenFile(name, file, decoder)


@contextmanager
def _readable(path: Path, name: str, most_s: float | None) -> Iterator[Path]:
    """Yield the file, or a WAV that ffmpeg made of it, as long as it is needed."""
    if path.suffix.lower() not in FFMPEG_SUFFIXES:
        yield path
        return
    if not (ffmpeg := shutil.which("ffmpeg")):
        command = shlex.join(["ffmpeg", "-i", path.name, f"{path.stem}.wav"])
        raise AudioError(name, "no decoder", f"install ffmpeg, or convert the file: {command}")
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder, "decoded.wav")
        # Files only: playlists, which can be inside other formats, name addresses.
        line = [ffmpeg, "-nostdin", "-v", "error", "-protocol_whitelist", "file", "-i", str(path), "-vn"]
        line += [*([] if most_s is None else ["-t", f"{most_s:g}"]), "-c:a", "pcm_f32le", str(wav)]
        done = subprocess.run(line, capture_output=True, text=True, errors="replace", check=False)
        if done.returncode or not wav.is_file():
            lines = done.stderr.strip().splitlines() or ["it has no sound"]
            raise AudioError(name, "unreadable", f"ffmpeg: {lines[-1]}")
        yield wav


def _bounds(file: OpenFile, piece: Piece) -> tuple[int, int]:
    """Return the first sample of a piece and the one after its last."""
    start, end = piece
    first, last = round(start * file.rate), file.frames if end is None else round(end * file.rate)
    if first >= file.frames or last > file.frames:
        asked = f"{start:g} s to {'the end' if end is None else f'{end:g} s'}"
        raise AudioError(file.name, "wrong piece", f"{asked} of a file of {file.frames / file.rate:.3f} s")
    return first, last


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
