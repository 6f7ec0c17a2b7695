"""`TrainedScorer`: a model of this library, run by PyTorch."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ser.features.normalise import Moments
from ser.inference.scorer import Clips, Scores, scores_of
from ser.models.classifier import SpeechClassifier
from ser.models.embedding import below_outputs

SHORT_S = 10.0
"""A single clip of up to so many seconds is scored on one thread of the CPU: waking others takes longer than it saves."""


class TrainedScorer:
    """A `ser.inference.scorer.Scorer` of a model.

    Args:
        model: It is scored in evaluation mode, on its device.
    """

    def __init__(self, model: SpeechClassifier) -> None:
        self.model = model
        self.name, self.numeric = type(model).__name__, model.numeric
        self.classes, self.stamps, self.audio = model.classes, model.stamps, model.audio
        self.trained_on, self.calibration, self.familiar = model.trained_on, model.calibration, model.familiar

    def score(self, clips: Clips, *, embed: bool = False) -> Scores:
        """See `ser.inference.scorer.Scorer.score`."""
        waveform, lengths = self._on_device(clips)
        short = len(waveform) == 1 and waveform.shape[1] <= SHORT_S * self.audio.sample_rate
        with _ONE_THREAD.where(short and self.model.device.type == "cpu"):
            if not embed:
                return scores_of(self.model.probabilities(waveform, lengths).numpy(), self.calibration)
            with self.model.evaluating():
                features, frames = self.model.extract(waveform, lengths)
                logits, below = below_outputs(self.model, self.model.normalise(features, frames), frames)
        return scores_of(self.model.answers(logits).numpy(), self.calibration, below.float().cpu().numpy())

    @property
    def adapts_to(self) -> str | None:
        """See `ser.inference.scorer.Scorer.adapts_to`."""
        return self.model.normalise.groups

    @property
    def adapted(self) -> bool:
        """See `ser.inference.scorer.Scorer.adapted`."""
        return self.model.normalise.adapted is not None

    def adapt(self, clips: Iterable[Clips]) -> None:
        """See `ser.inference.scorer.Scorer.adapt`."""
        moments = Moments(1, self.model.n_features)
        with self.model.evaluating():
            for batch in clips:
                features, frames = self.model.extract(*self._on_device(batch))
                moments.add(features, frames, torch.zeros(len(batch.lengths), dtype=torch.int64))
        self.model.normalise.adapt(self.model.normalise.statistics(moments))

    def _on_device(self, clips: Clips) -> tuple[Tensor, Tensor]:
        waveform, lengths = (torch.from_numpy(np.ascontiguousarray(array)) for array in clips)
        return waveform.to(self.model.device), lengths.to(self.model.device)


class _OneThread:
    """One thread of the CPU for an operation, as long as any thread of Python is in here.

    The number of threads is the whole process's: it is changed by the first to come, and restored by the last to go.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, 1

    @contextmanager
    def where(self, wanted: bool) -> Iterator[None]:
        """Use one thread, if that is wanted."""
        if not wanted:
            yield
            return
        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
                torch.set_num_threads(1)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    torch.set_num_threads(self._before)


_ONE_THREAD = _OneThread()
