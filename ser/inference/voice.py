"""Adapt a model that normalises by speaker to one voice, and measure on held-out clips what that gains.

Source of the statistics: `ser.features.normalise.Normalise.statistics`. Where labels are known, each class counts the same,
and classes without a clip count as clips of an average voice: what is typical of a class is then not taken for the voice.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ser.audio.decode import AudioSettings, read_recording, standardise
from ser.corpora.formats.recognise import read_rows
from ser.corpora.manifest import Utterance
from ser.corpora.table import Table
from ser.errors import AudioError, ConfigError
from ser.features.normalise import Moments
from ser.inference import predict
from ser.inference.recordings import sources
from ser.inference.trained import TrainedScorer
from ser.models.classifier import SpeechClassifier
from ser.runtime.words import and_more


@dataclass(frozen=True)
class HeldOut:
    """Answers for each clip by a model that is adapted to the others.

    Attributes:
        uar_before, uar_after: Recall averaged over the classes that the clips have, without and with adaptation.
        better, worse: Clips that are right with adaptation only, and without it only.
    """

    uar_before: float
    uar_after: float
    better: int
    worse: int


@dataclass(frozen=True)
class Adaptation:
    """What a model was adapted to.

    Attributes:
        clips: Number of recordings.
        labels: Number of clips by class; empty where no labels are known.
        held_out: What it gained; ``None`` where that cannot be measured.
    """

    clips: int
    labels: dict[str, int]
    held_out: HeldOut | None


def adapt_to_voice(model: SpeechClassifier, voice: Path) -> Adaptation:
    """Adapt a model to the recordings of one speaker.

    Args:
        model: It normalises by speaker, or corpus; it is changed.
        voice: A folder of recordings, or a table with labels in a format of `ser.corpora.formats`.

    Raises:
        AudioError: If a recording cannot be used.
        BadCorpusError: If the table is wrong.
        ConfigError: If the model does not normalise by speaker, there are no recordings, or a label is none of its classes.
    """
    scorer = TrainedScorer(model)
    predict.check_adaptable(scorer)
    if not voice.exists():
        raise ConfigError(f"voice must be a folder of recordings, or a table of them; there is no {voice}.")
    if read_rows(voice) is None:
        found = sources(voice)
        predict.adapt(scorer, voice)
        return Adaptation(len(found), {}, None)
    if model.numeric:
        raise ConfigError(f"voice must be a folder for a model of numbers; got the table {voice}.")
    clips = Table(voice).clips()
    labels = [str(clip.emotion) for clip in clips]
    if unknown := sorted({*labels} - {*model.classes}):
        raise ConfigError(
            f"Labels of {voice} must be classes of the model, {', '.join(model.classes)}; got {and_more(unknown)}. Rename "
            "them, or leave these rows out."
        )
    target = np.array([model.classes.index(label) for label in labels])
    known = _Clips(model, [_heard(clip, model.audio) for clip in clips], target)
    held_out = known.held_out() if len(set(labels)) > 1 else None
    known.adapt_to(np.arange(len(clips)))
    return Adaptation(len(clips), dict(Counter(labels)), held_out)


def _heard(clip: Utterance, settings: AudioSettings) -> np.ndarray:
    found = read_recording(clip.path, clip.piece)
    if not len(samples := standardise(found.samples, found.rate, settings)):
        raise AudioError(clip.path, "too short", f"nothing of it is left at {settings.sample_rate} Hz")
    return samples


class _Clips:
    """Labelled clips of one speaker, and their features.

    Args:
        model: What hears them.
        heard: ``(sample,)`` int16 each, at the model's rate.
        target: ``(clip,)`` positions of their classes.
    """

    def __init__(self, model: SpeechClassifier, heard: Sequence[np.ndarray], target: np.ndarray) -> None:
        self._model, self._target = model, target
        self._moments = Moments(len(heard), model.n_features)
        self._features: list[tuple[Tensor, Tensor]] = []
        with model.evaluating():
            for at, samples in enumerate(heard):
                waveform = torch.from_numpy(samples.astype(np.float32) / np.float32(32768.0))[None].to(model.device)
                lengths = torch.tensor([waveform.shape[1]], device=model.device)
                self._features.append(model.extract(waveform, lengths))
                self._moments.add(*self._features[-1], torch.tensor([at]))

    def adapt_to(self, rows: np.ndarray) -> None:
        """Adapt the model to some clips, of which each class counts the same."""
        present, which, times = np.unique(self._target[rows], return_inverse=True, return_counts=True)
        weight = torch.from_numpy(1 / times[which])[:, None]
        whole = Moments(1, self._model.n_features)
        for name in ("total", "squares", "frames"):
            setattr(whole, name, (weight * getattr(self._moments, name)[rows]).sum(dim=0, keepdim=True))
        # Kish's number of clips of equal weight, of which classes without a clip have their share.
        clips = weight.sum().square() / weight.square().sum() * len(present) / len(self._model.classes)
        whole.clips = clips.reshape(1, 1)
        self._model.normalise.adapt(self._model.normalise.statistics(whole))

    def held_out(self) -> HeldOut:
        """Answer each clip with the model as it was, and adapted to the others."""
        every = np.arange(len(self._target))
        self._model.normalise.adapt(None)
        before = np.array([self._answer(at) for at in every]) == self._target
        after = np.zeros_like(before)
        for at in every:
            self.adapt_to(every[every != at])
            after[at] = self._answer(at) == self._target[at]
        self._model.normalise.adapt(None)
        uars = [
            np.mean([right[self._target == c].mean() for c in np.unique(self._target)]) for right in (before, after)
        ]
        return HeldOut(float(uars[0]), float(uars[1]), int((after & ~before).sum()), int((before & ~after).sum()))

    def _answer(self, at: int | np.integer[Any]) -> int:
        features, frames = self._features[int(at)]
        with self._model.evaluating():
            return int(self._model.classify(self._model.normalise(features, frames), frames).argmax())
