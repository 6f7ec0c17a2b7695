"""Words on how far a recording can be trusted, measured while it is decoded."""

from collections.abc import Mapping

import numpy as np

from ser.audio.activity import SpeechDetector, can_detect_speech
from ser.audio.decode import Recording

FRAME_S = 0.025
"""Length of a frame in seconds: within a syllable."""
SHORT_S = 0.25
"""Seconds of sound below which a clip is flagged: one syllable has about 0.2 s."""
SILENT_DB, SILENT_SHARE = 30.0, 0.8
"""Level below the loudest frame from which a frame is silent, and share of such frames above which a recording is flagged.
Acted clips with pauses at both ends have at most 0.7."""
NOISY_DB = 14.0
"""Distance of the louder frames (95th percentile) from the softer ones (10th) below which a recording is flagged. White
noise at an SNR of 5 dB leaves 8 to 14 dB of RAVDESS, SAVEE and TESS, and at 10 dB 11 to 19. TESS, which has no pauses, has
13 or more without noise."""
NOISY_S = 1.0
"""Seconds that are needed to judge noise: a single vowel is as steady as noise."""
SPEECH_LEAST = 0.2
"""Probability of speech that no frame of a flagged recording has: a scream of RAVDESS has 0.21, its other clips 0.27 and
more; white, pink and brown noise up to 0.15."""
SPEECH_S = 0.5
"""Seconds that are needed to find speech: of shorter parts of TESS, some have less than `SPEECH_LEAST`."""
UNLIKE = "unlike training data"
"""The word that a model adds; see `ser.models.familiar`."""
FLAGS: Mapping[str, str] = {
    "windows": "It is long, and was scored in windows.",
    "too short": f"It has less than {SHORT_S:g} s of sound.",
    "mostly silence": f"More than {SILENT_SHARE:.0%} of its frames are {SILENT_DB:g} dB or more below the loudest one.",
    "no speech": f"No part of it has a probability of speech of {SPEECH_LEAST:g}, by Silero's detector.",
    "clipped": "Loud samples are cut off.",
    "band-limited": "The upper half of its band is empty, as of a telephone, or its rate is below that of the model.",
    "noisy": f"Its softer frames are less than {NOISY_DB:g} dB below its louder ones, as with an SNR of about 5 dB.",
    UNLIKE: "What the model makes of it is further from its training clips than 99% of its dev clips are.",
}
"""What each word means."""
KINDS_OF = {"clipping": "clipped", "band-limited": "band-limited", "wrong rate": "band-limited"}
"""Words for problems of `ser.audio.checks.KINDS`."""


class Quality:
    """What is measured of one recording, piece by piece.

    Attributes:
        kinds: Problems of `ser.audio.checks.KINDS`.
        sound_s: Seconds that were scored.
        windows: Number of pieces.

    Example:
        >>> quality = Quality()
        >>> quality.add(Recording(np.sin(np.arange(1600, dtype=np.float32)), 16000, []))
        >>> quality.sound_s = 0.1
        >>> quality.flags()
        ['too short']
    """

    def __init__(self) -> None:
        self._levels: list[np.ndarray] = []
        self.kinds: set[str] = set()
        self.sound_s, self.windows = 0.0, 1
        self._looks_for_speech, self._speech = can_detect_speech(), 0.0

    def add(self, found: Recording) -> None:
        """Measure a decoded piece."""
        self._levels.append(_levels(found.samples, found.rate))
        if self._looks_for_speech:
            probabilities = SpeechDetector(found.rate).feed(found.samples, last=True)
            self._speech = max(self._speech, float(probabilities.max(initial=0.0)))

    def add_silence(self, seconds: float) -> None:
        """Count a piece of silence, which is not scored."""
        self._levels.append(np.full(round(seconds / FRAME_S), -np.inf, np.float32))

    def flags(self) -> list[str]:
        """Return the words of the recording, in the order of `FLAGS`."""
        levels = np.concatenate([*self._levels, np.zeros(0, np.float32)])
        words = {KINDS_OF[kind] for kind in self.kinds if kind in KINDS_OF}
        if self.windows > 1:
            words.add("windows")
        if self.sound_s < SHORT_S:
            words.add("too short")
        if len(levels) and (levels <= levels.max() - SILENT_DB).mean() > SILENT_SHARE:
            words.add("mostly silence")
        if self._looks_for_speech and self.sound_s >= SPEECH_S and self._speech < SPEECH_LEAST:
            words.add("no speech")
        heard = levels[np.isfinite(levels)]
        if len(heard) * FRAME_S >= NOISY_S and np.subtract(*np.percentile(heard, [95, 10])) < NOISY_DB:
            words.add("noisy")
        return [word for word in FLAGS if word in words]


def _levels(samples: np.ndarray, rate: float) -> np.ndarray:
    """Return the level of each frame in dB, without the mean of the recording, ``(frame,)``."""
    size = max(1, round(FRAME_S * rate))
    frames = (samples - samples.mean())[: len(samples) // size * size].reshape(-1, size)
    power = np.square(frames, dtype=np.float32).mean(axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(10 * np.log10(power), dtype=np.float32)
