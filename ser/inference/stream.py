"""`Stream`: what a model says of speech while it is spoken, in utterances that end with a pause.

Speech is found by what was heard so far alone. By default it is found by its energy: a frame of 20 ms is loud if it is
`ABOVE_DB` above the background, which follows softer frames at once and louder ones slowly, during speech more slowly
still, so that a noise that begins and stays is taken for speech at most for some seconds. No frame below `LEAST_DB` is loud.
This is the principle of Rabiner and Sambur, 1975, https://doi.org/10.1002/j.1538-7305.1975.tb02840.x, with a background that
adapts. Loud sounds that are no speech are utterances, too. With ``detector="speech"`` a frame is loud if
`ser.audio.activity` finds speech in it.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from ser.audio.activity import SPEECH, SpeechDetector
from ser.audio.checks import INTEGER_SCALE, RATES
from ser.errors import AudioError, ConfigError
from ser.inference.predict import check_adapted, predict
from ser.inference.recordings import floats_of
from ser.inference.scorer import Scorer
from ser.inference.segments import SHORTEST_S
from ser.inference.windows import LONG_S

FRAME_S = 0.02
ABOVE_DB = 9.0
"""How far above the background a frame is loud: vowels are 20 dB and more above a quiet room, noise varies by 3 dB."""
LEAST_DB = -50.0
"""Level in dB of full scale below which nothing is loud: 10 dB above what `ser.audio.checks` calls silent."""
ONSET = 3
"""Loud frames in a row that begin an utterance: a click is shorter than 60 ms."""
BEFORE, AFTER = 10, 10
"""Frames before the first loud one and after the last that belong to an utterance: soft onsets, and fading vowels."""
PAUSE = 30
"""Frames without a loud one that end an utterance: closures of plosives and most pauses within a sentence are shorter."""
FALL, RISE_DB, RISE_IN_SPEECH_DB = 0.3, 0.2, 0.06
"""Share of the way to a softer frame, and dB to a louder one, that the background goes in a frame: 10 dB a second, and 3 dB
during speech, whose pauses bring it down again."""

DETECTORS = ("energy", "speech")
START, MEASUREMENT, END = "utterance.start", "measurement", "utterance.end"


@dataclass(frozen=True)
class Event:
    """Something that was heard.

    Attributes:
        kind: `START`, `MEASUREMENT` or `END`.
        start: First second of the utterance, or of the part of it that was measured, from the beginning of the stream.
        end: Last second of it; at `START`, the last that was heard.
        answer: The row that `ser.inference.predictor.Predictor.predict` gives for this span, without ``audio``; ``None`` at
            `START`.
    """

    kind: str
    start: float
    end: float
    answer: Mapping[str, Any] | None = None


class Stream:
    """Speech that arrives in chunks of any size. What is found does not depend on how it was cut into them.

    An utterance of `ser.inference.windows.LONG_S` ends there, and another may begin. No more is kept, but for a chunk.

    Args:
        scorer: The model.
        rate: Sampling rate in Hz.
        window: Seconds of an utterance that are measured while it lasts: the last ones.
        hop: Seconds from one measurement to the next.
        detector: What finds speech: its ``energy``, or ``speech``, Silero's detector.

    Raises:
        ConfigError: If a number is out of its range, the model must be adapted first, there is no such detector, or a package
            that it needs is not installed.

    Example:
        >>> stream = ser.load("runs/ravdess-cnn-luna5").stream(16000)  # doctest: +SKIP
        >>> for chunk in chunks:  # doctest: +SKIP
        ...     for event in stream.feed(chunk):
        ...         print(event.kind, event.answer and event.answer["label"])
    """

    def __init__(
        self, scorer: Scorer, rate: float, window: float = 3.0, hop: float = 0.5, detector: str = "energy"
    ) -> None:
        ranges: list[tuple[str, Any, float, float]] = [("rate", rate, *RATES), ("window", window, SHORTEST_S, LONG_S)]
        for name, value, least, most in (*ranges, ("hop", hop, SHORTEST_S, LONG_S)):
            if not (isinstance(value, Real) and least <= float(value) <= most):
                raise ConfigError(f"{name} must be {least:g} to {most:g}; got {value!r}.")
        if detector not in DETECTORS:
            raise ConfigError(f"detector must be {' or '.join(DETECTORS)}; got {detector!r}.")
        check_adapted(scorer)
        self._detector = SpeechDetector(rate) if detector == "speech" else None
        self._probability = 0.0  # of speech, in the latest frame of the detector
        self._scorer, self._rate = scorer, rate
        self._size = round(FRAME_S * rate)
        self._window, self._hop = (max(1, round(seconds / FRAME_S)) for seconds in (window, hop))
        self._rest = np.zeros(0, np.float32)  # less than a frame
        self._frames: deque[np.ndarray] = deque()  # of the utterance, or the latest outside of one
        self._speaking = self._closed = False
        self._heard = self._loud = self._run = 0  # frames: all, up to the last loud one, loud ones in a row
        self._background: float | None = None

    def feed(self, samples: Any) -> list[Event]:
        """Return what is found with some more samples.

        Args:
            samples: ``(sample,)`` floats with full scale = 1, or integers that use their range.

        Raises:
            AudioError: If they are not finite samples of one channel.
            ConfigError: If the stream was closed.
        """
        if self._closed:
            raise ConfigError("A stream must be open to take samples; got some after close(). Make another one.")
        joined = np.concatenate([self._rest, _checked(samples)])
        whole = len(joined) // self._size * self._size
        self._rest = joined[whole:].copy()
        return [event for frame in joined[:whole].reshape(-1, self._size) for event in self._take(frame.copy())]

    def close(self) -> list[Event]:
        """End the stream, and return what is found at its end."""
        self._closed = True
        if not self._speaking:
            return []
        if self._heard - self._loud < AFTER:
            self._frames.append(self._rest)
        return [self._ended()]

    def _take(self, frame: np.ndarray) -> Iterator[Event]:
        self._heard += 1
        self._frames.append(frame)
        loud = self._is_loud(frame) if self._detector is None else self._is_speech(self._detector.feed(frame))
        self._run = self._run + 1 if loud else 0
        self._loud = self._heard if loud else self._loud
        if not self._speaking:
            if len(self._frames) > BEFORE + ONSET:
                self._frames.popleft()
            if self._run >= ONSET:
                self._speaking = True
                yield Event(START, self._seconds(self._heard - len(self._frames)), self._seconds(self._heard))
        elif self._heard - self._loud >= PAUSE or (len(self._frames) + 1) * self._size > LONG_S * self._rate:
            yield self._ended()
        elif len(self._frames) % self._hop == 0:
            yield from self._measured()

    def _is_loud(self, frame: np.ndarray) -> bool:
        power = np.square(frame - frame.mean(dtype=np.float64), dtype=np.float64).mean()
        level = 10 * float(np.log10(max(power, 1e-12)))
        known = min(level, LEAST_DB) if self._background is None else self._background
        rise = RISE_IN_SPEECH_DB if self._speaking else RISE_DB
        self._background = known + (FALL * (level - known) if level < known else min(rise, level - known))
        return level > max(known + ABOVE_DB, LEAST_DB)

    def _is_speech(self, probabilities: np.ndarray) -> bool:
        """Whether the latest of the detector's frames has speech; they are longer than those of a stream."""
        if len(probabilities):
            self._probability = float(probabilities[-1])
        return self._probability >= SPEECH

    def _measured(self) -> Iterator[Event]:
        frames = list(self._frames)[-self._window :]
        row = self._answer(frames, on_error="row")
        if row.pop("error") is None:  # else it is silent, as the end of an utterance is in a short window
            yield Event(MEASUREMENT, self._seconds(self._heard - len(frames)), self._seconds(self._heard), row)

    def _ended(self) -> Event:
        """End the utterance after its last loud frame; what follows is kept for the next one."""
        frames = list(self._frames)
        after = max(0, self._heard - self._loud - AFTER)
        kept, rest = frames[: len(frames) - after], frames[len(frames) - after :]
        self._frames, self._speaking = deque(rest[-BEFORE - ONSET :]), False
        first, samples = self._heard - sum(len(f) == self._size for f in frames), sum(map(len, kept))
        start = self._seconds(first)
        return Event(END, start, start + samples / self._rate, self._answer(kept))

    def _answer(self, frames: Sequence[np.ndarray], on_error: str = "raise") -> dict[str, Any]:
        table = predict(self._scorer, np.concatenate(frames), self._rate, on_error=on_error)
        return {str(name): value for name, value in table.drop(columns="audio").iloc[0].items()}

    def _seconds(self, frames: int) -> float:
        return frames * self._size / self._rate


def _checked(samples: Any) -> np.ndarray:
    """Return samples as float32.

    Raises:
        AudioError: If a prediction would refuse them.
    """
    array = np.asarray(samples)
    if array.ndim != 1 or array.dtype.kind not in "iuf":
        text = f"it must be numbers of one channel, (sample,); got {array.dtype} of shape {array.shape}"
        raise AudioError("stream", "not a recording", text)
    if not len(array):
        return np.zeros(0, np.float32)
    floats = floats_of(array, "stream")[:, 0]
    if not np.isfinite(floats).all():
        raise AudioError("stream", "NaN", "samples must be finite numbers")
    if (peak := float(np.abs(floats).max())) > INTEGER_SCALE:
        raise AudioError("stream", "integer scale", f"a peak of {peak:g}; full scale is 1")
    return floats
