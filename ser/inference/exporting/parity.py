"""Whether an exported file answers as the model does that it was made from."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ser.audio.decode import read_audio
from ser.corpora.demo import Demo
from ser.models.classifier import SpeechClassifier

Answer = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From ``(batch, sample)`` and ``(batch,)`` to answers and logits, ``(batch, class)`` each."""
SECONDS = (0.1, 0.37, 1.0, 3.1, 12.0)
MOST = 1e-4
"""Of probabilities, or of numbers in deviations of the training: above the rounding of any model."""


def batches_of_speech(rate: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield clips of the demo corpus of several lengths, each alone, then all in one batch.

    Shapes:
        - yields: ``(batch, sample)`` float32, zero-padded on the right, and ``(batch,)`` in samples
    """
    speech = np.concatenate([read_audio(utterance.path)[0] for utterance in list(Demo().utterances())[:20]])
    samples = torch.from_numpy(np.resize(speech.astype(np.float32), sum(counts := [round(s * rate) for s in SECONDS])))
    clips = list(torch.split(samples, counts))
    for clip in clips:
        yield clip[None], torch.tensor([len(clip)])
    yield torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), torch.tensor(counts)


def largest_difference(model: SpeechClassifier, answer: Answer) -> float:
    """Return the largest difference between the answers of an exported model and those of the model; NaN if one has NaN.

    Of probabilities, with the temperature; of numbers, in deviations of the training.
    """
    temperature = 1.0 if model.calibration is None else model.calibration.temperature
    differences = []
    for waveform, lengths in batches_of_speech(model.audio.sample_rate):
        with model.evaluating():
            logits = model(waveform, lengths).double()
        answers, outputs = (torch.from_numpy(found).double() for found in answer(waveform.numpy(), lengths.numpy()))
        own = logits if model.numeric else (logits / temperature).softmax(dim=1)
        differences.append((own - (outputs if model.numeric else answers)).abs().max())
    return float(torch.stack(differences).max())
