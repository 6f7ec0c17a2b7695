"""Where someone speaks in a recording, by Silero's detector, which onnxruntime runs without PyTorch.

Source: Silero Team, Silero VAD 6, https://github.com/snakers4/silero-vad (MIT). The package silero-vad has the weights; its
own functions import PyTorch and set its number of threads for the whole process, and are not used.
"""

from functools import cache
from importlib.metadata import distribution
from importlib.util import find_spec
from typing import Any

import numpy as np
import soxr

from ser.errors import ConfigError

PACKAGES = ("silero_vad", "onnxruntime")
WEIGHTS = "silero_vad/data/silero_vad_16k_sequence.onnx"
"""The net for any number of frames at a time, in the package."""
RATE, FRAME, CONTEXT, UNITS = 16000, 512, 64, 128
"""What the net was trained for: Hz, samples of a frame and of the one before it, units of its state."""
SPEECH, NO_SPEECH = 0.5, 0.35
"""Probabilities at which speech begins, and below which it ends."""
PAUSE, LEAST, MARGIN = 4, 8, 1
"""Frames of 32 ms: after so many below `NO_SPEECH` a region ends, it has at least so many, and so many are added at both
ends. These and the probabilities are the defaults of the package, 100, 250 and 30 ms, in whole frames."""


@cache
def can_detect_speech() -> bool:
    """Whether the packages of the extra ``vad`` are installed."""
    try:
        return all(find_spec(package) is not None for package in PACKAGES)
    except ModuleNotFoundError:  # of a finder that hides packages
        return False


class SpeechDetector:
    """Probabilities that someone speaks, for one recording that arrives in parts of any size.

    Each depends on what was heard so far alone, and not on how the recording was cut into parts.

    Args:
        rate: Sampling rate in Hz.

    Raises:
        ConfigError: If a package is not installed.

    Example:
        >>> SpeechDetector(16000).feed(np.zeros(1024, np.float32)).round(1).tolist()  # doctest: +SKIP
        [0.0, 0.0]
    """

    def __init__(self, rate: float) -> None:
        self._session = _session()
        self._resampler = soxr.ResampleStream(rate, RATE, 1, dtype="float32")
        self._rest = np.zeros(0, np.float32)
        self._before = np.zeros(CONTEXT, np.float32)
        self._state = [np.zeros((1, 1, UNITS), np.float32)] * 2

    def feed(self, samples: np.ndarray, *, last: bool = False) -> np.ndarray:
        """Return the probability of each frame of 32 ms that is complete, ``(frame,)`` float32.

        Args:
            samples: ``(sample,)`` float32, full scale = 1.
            last: Whether the recording ends with them; a rest of it is then padded with silence.
        """
        samples = np.ascontiguousarray(samples, np.float32)
        joined = np.concatenate([self._rest, self._resampler.resample_chunk(samples, last=last)])
        if last:
            joined = np.pad(joined, (0, -len(joined) % FRAME))
        number = len(joined) // FRAME
        self._rest = joined[number * FRAME :]
        if not number:
            return np.zeros(0, np.float32)
        frames = joined[: number * FRAME].reshape(number, FRAME)
        before = np.concatenate([self._before[None], frames[:-1, -CONTEXT:]])
        self._before = frames[-1, -CONTEXT:]
        given = {"input": np.concatenate([before, frames], axis=1), "h": self._state[0], "c": self._state[1]}
        found, *self._state = self._session.run(["speech_probs", "hn", "cn"], given)
        return np.asarray(found)


def speech_regions(probabilities: np.ndarray, seconds: float) -> np.ndarray:
    """Return where someone speaks, ``(region, 2)`` first and last seconds, from the probabilities of frames.

    A region begins at `SPEECH`, and ends where `PAUSE` frames or more are below; the first of them is below `NO_SPEECH`.

    Args:
        probabilities: ``(frame,)``; see `SpeechDetector.feed`.
        seconds: Length of the recording.

    Example:
        >>> speech_regions(np.repeat([0.1, 0.9, 0.1], [10, 20, 10]), 1.28)
        array([[0.288, 0.992]])
    """
    regions: list[tuple[int, int]] = []
    first: int | None = None
    quiet: int | None = None  # the first frame of what may be a pause
    for at, probability in enumerate(probabilities.tolist()):
        if probability >= SPEECH:
            first, quiet = at if first is None else first, None
        elif probability < NO_SPEECH and first is not None:
            quiet = at if quiet is None else quiet
            if at - quiet >= PAUSE:
                regions.append((first, quiet))
                first = quiet = None
    if first is not None:
        regions.append((first, len(probabilities)))
    long = [(first - MARGIN, last + MARGIN) for first, last in regions if last - first >= LEAST]
    return (np.array(long, dtype=float).reshape(-1, 2) * FRAME / RATE).clip(0, seconds)


def speech_shares(regions: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return the share of each span that is speech, ``(span,)`` from 0 to 1.

    Args:
        regions: ``(region, 2)`` in seconds, without overlaps.
        spans: ``(span, 2)`` in seconds.

    Example:
        >>> speech_shares(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [0.0, 4.0], [1.5, 3.5]]))
        array([0. , 0.5, 0.5])
    """
    inside = np.minimum(spans[:, None, 1], regions[:, 1]) - np.maximum(spans[:, None, 0], regions[:, 0])
    return np.asarray(inside.clip(min=0).sum(axis=1) / (spans[:, 1] - spans[:, 0]))


@cache
def _session() -> Any:
    """Return what runs the net; it holds no state, and several threads may use it.

    Raises:
        ConfigError: If a package is not installed.
    """
    if not can_detect_speech():
        raise ConfigError(f"Finding speech needs the packages {' and '.join(PACKAGES)}. Run pip install 'ser[vad]'.")
    import onnxruntime

    weights = distribution("silero-vad").locate_file(WEIGHTS)  # without importing it
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
