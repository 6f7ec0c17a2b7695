"""Summarise what a model makes of its training clips, so that a prediction can say where a recording is unlike them."""

import logging

import numpy as np

from ser.datamodules.data import SpeechData
from ser.errors import ConfigError
from ser.features.normalise import Statistics
from ser.inference.score import SECONDS_A_BATCH
from ser.models.classifier import SpeechClassifier
from ser.models.embedding import below_outputs
from ser.models.familiar import Familiar, familiar_from

log = logging.getLogger(__name__)
CLIPS = 2000
"""Clips of a side that are embedded at most: a mean and a covariance need no more."""


def familiar_of(model: SpeechClassifier, data: SpeechData) -> Familiar | None:
    """Return the summary of the training clips, with the limit of the dev clips; ``None`` of a model without a last layer."""
    rows = {side: _some(data.split.sides()[side]) for side in ("train", "dev")}
    data.check_fitted(rows["train"])
    try:
        training, dev = (embeddings(model, data, rows[side]) for side in ("train", "dev"))
    except ConfigError as error:
        log.info("%s Predictions will not say where a recording is unlike training data.", error)
        return None
    group = np.zeros(len(training)) if data.labelled.numeric else data.labelled.target[rows["train"]]
    return familiar_from(training, group, dev)


def embeddings(
    model: SpeechClassifier, data: SpeechData, rows: np.ndarray, own: Statistics | None = None
) -> np.ndarray:
    """Return what the outputs for some utterances are made from, ``(utterance, unit)`` float64, in the order of ``rows``.

    ``own`` is what `SpeechClassifier.own_statistics` returns, if it is known.

    Raises:
        ConfigError: If the model has no last linear layer.
    """
    longest = int(data.labelled.manifest["length"].iloc[rows].max())
    size = max(1, int(SECONDS_A_BATCH * data.plan.settings.sample_rate / longest))
    found: list[np.ndarray] = []
    index: list[np.ndarray] = []
    with model.evaluating():
        own = model.own_statistics(data, rows) if own is None else own
        for batch in data.batches(rows, model.device, size):
            found.append(below_outputs(model, *model.normalised(batch, own))[1].double().cpu().numpy())
            index.append(batch.index.cpu().numpy())
    order = np.argsort(np.concatenate(index))
    return np.concatenate(found)[order][np.argsort(np.argsort(rows))]


def _some(rows: np.ndarray) -> np.ndarray:
    return rows if len(rows) <= CLIPS else np.random.default_rng(0).choice(rows, CLIPS, replace=False)
