"""Score the utterances of a data module with a model; the result is a predictions table."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from ser.datamodules.batch import Batch
from ser.datamodules.data import SpeechData
from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.facts import facts_table, votes_of
from ser.models.classifier import SpeechClassifier
from ser.runtime import distributed

SECONDS_A_BATCH = 240
"""Seconds of audio in a batch, which bounds its memory whatever the clips' lengths."""

Change = Callable[[Batch], Batch]
"""Changes a batch before it is scored, such as adding noise."""


def score(model: SpeechClassifier, data: SpeechData, rows: np.ndarray) -> pd.DataFrame:
    """Return predictions of some utterances, each scored whole, in single precision on the model's device.

    Numbers are in the unit of the corpus.

    Returns:
        The predictions table (see `ser.evaluation.predictions`), one row per utterance in the order of ``rows``.
    """
    return answers_table(data, rows, predict_probabilities(model, data, rows))


def answers_table(data: SpeechData, rows: np.ndarray, answers: np.ndarray) -> pd.DataFrame:
    """Return the predictions table of some utterances, given their probabilities or numbers, ``(utterance, class)``."""
    names = predictions.answer_columns(data.classes, numeric=data.labelled.numeric)
    facts, votes = facts_table(data.labelled, rows, data.fold), votes_of(data.labelled, rows)
    return facts.assign(**dict(zip(names, answers.T, strict=True)), **votes)


def predict_probabilities(
    model: SpeechClassifier,
    data: SpeechData,
    rows: np.ndarray,
    change: Change | None = None,
    batch_size: int | None = None,
    known: np.ndarray | None = None,
) -> np.ndarray:
    """Return probabilities, or numbers, of some utterances, each scored whole.

    A model that normalises by speaker or corpus first reads the utterances of each, without their labels.

    Args:
        model: In any mode; it is scored in evaluation mode.
        data: A data module that is set up.
        rows: Row positions in the data module's manifest.
        change: Change of each batch, on the device, before it is scored; ``None`` changes nothing.
        batch_size: Number of clips; the result does not depend on it. ``None`` chooses it to bound the memory of a
            batch.
        known: Rows to estimate the statistics of speakers or corpora from, if the model normalises by them; ``None`` is
            ``rows``.

    Returns:
        ``(utterance, class)`` float64, in the order of ``rows``.

    Raises:
        RunError: If an utterance was scored twice or not at all.
    """
    if change is not None:
        data.use_waveforms()  # cached features are of unchanged speech
    longest = int(data.labelled.manifest["length"].iloc[rows].max())
    size = batch_size or max(1, int(SECONDS_A_BATCH * data.plan.settings.sample_rate / longest))
    position = np.full(len(data.labelled.manifest), -1)
    position[rows] = np.arange(len(rows))
    # Each of several processes scores its share of the rows, and receives those of the others.
    scored = torch.zeros(len(rows), len(data.classes), dtype=torch.float64)
    times = torch.zeros(len(rows), dtype=torch.int64)
    with model.evaluating():
        own = model.own_statistics(data, rows if known is None else known, change)
        for batch in data.batches(rows[distributed.process_rank() :: distributed.world_size()], model.device, size):
            changed = batch if change is None else change(batch)
            at = position[batch.index.cpu().numpy()]
            scored[at] = model.answers(model.logits(changed, own))
            times[at] += 1
    scored, times = distributed.all_reduce_sum(scored), distributed.all_reduce_sum(times)
    if not bool((times == 1).all()):
        raise RunError(
            f"Every utterance must be scored once; {int((times != 1).sum())} of {len(rows)} were not. Please report it."
        )
    return scored.numpy()
