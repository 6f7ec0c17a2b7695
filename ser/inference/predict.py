"""What a trained model says of recordings: a table with a row for each."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import numpy as np
import pandas as pd
import torch

from ser.audio.quality import Quality
from ser.errors import AudioError, ConfigError
from ser.evaluation import conformal
from ser.evaluation.calibration import apply_temperature
from ser.features.normalise import Moments
from ser.inference.recordings import Source, opened_source, sources
from ser.inference.windows import Piece, batches, pieces
from ser.models.classifier import SpeechClassifier

log = logging.getLogger(__name__)
SHORT_S = 10.0
"""A single clip of up to so many seconds is scored on one thread of the CPU: waking others takes longer than it saves."""
ON_ERROR = ("raise", "row")
_TOLD: WeakSet[SpeechClassifier] = WeakSet()
"""Models of which it was said that they are not calibrated."""
GIVEN = "given_"
"""Prefix of a given column that has the name of one of the result."""


def predict(
    model: SpeechClassifier,
    audio: Any,
    rate: float | None = None,
    batch_size: int = 16,
    *,
    on_error: str = "raise",
    calibrated: bool = True,
) -> pd.DataFrame:
    """Score recordings; see `SpeechClassifier.predict`."""
    check_batch_size(batch_size)
    if on_error not in ON_ERROR:
        raise ConfigError(f"on_error must be {' or '.join(ON_ERROR)}; got {on_error!r}.")
    check_adapted(model)
    reading = _Reading(model, sources(audio, rate), skip=on_error == "row")
    raw, scaled = averaged(model, reading.pieces(), len(reading.sources), batch_size)
    raw[list(reading.errors)] = scaled[list(reading.errors)] = np.nan
    if calibrated:
        _say_if_uncalibrated(model)
    table = answer_table(model, scaled if calibrated else raw)
    if model.calibration is not None:
        members = conformal.sets(raw, model.calibration.threshold)  # of raw probabilities, as the threshold is
        sets = [[name for name, inside in zip(model.classes, row, strict=True) if inside] for row in members]
        table["set"] = pd.Series(sets, dtype=object).where(np.isfinite(raw).all(axis=1), None)
    table["flags"] = [reading.flags[row] for row in range(len(table))]
    if on_error == "row":
        table["error"] = pd.Series([reading.errors.get(row) for row in range(len(table))], dtype=object)
    table.insert(0, "audio", [source.name for source in reading.sources])
    table = _with_columns(table, [source.columns for source in reading.sources])
    table.attrs["stamps"] = list(model.stamps)
    table.attrs["calibrated"] = calibrated and model.calibration is not None
    return table


def adapt(model: SpeechClassifier, audio: Any, rate: float | None = None, batch_size: int = 16) -> None:
    """Normalise by the speaker or corpus of recordings; see `SpeechClassifier.adapt`."""
    if model.normalise.groups is None:
        raise ConfigError(
            f"normalise must be speaker or corpus to adapt a model; got {model.normalise.by}. Train with one of them."
        )
    check_batch_size(batch_size)
    moments = Moments(1, model.n_features)
    reading = _Reading(model, sources(audio, rate))
    with model.evaluating():
        for batch, waveform, lengths in batches(reading.pieces(), model.audio.sample_rate, batch_size, model.device):
            features, frames = model.extract(waveform, lengths)
            moments.add(features, frames, torch.zeros(len(batch), dtype=torch.int64))
    model.normalise.adapt(model.normalise.statistics(moments))


def check_batch_size(batch_size: int) -> None:
    """Refuse an impossible number of recordings in a batch.

    Raises:
        ConfigError: If it is below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1; got {batch_size}.")


def check_adapted(model: SpeechClassifier) -> None:
    """Refuse a model that normalises by speaker or corpus and has not been adapted to one.

    Raises:
        ConfigError: If it is such a model.
    """
    if (by := model.normalise.groups) and model.normalise.adapted is None:
        raise ConfigError(
            f"The model must be adapted to a {by}, as it normalises by {by}; got none. Call model.adapt([...]) with "
            f"recordings of that {by}; they need no labels, and can be those to be scored."
        )


def averaged(
    model: SpeechClassifier, pieces: Iterable[Piece], rows: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the answers to each of some recordings, averaged over its pieces, each weighted by its length.

    The second is of probabilities with the model's temperature, which is that of single pieces; without one, it is the first.

    Shapes:
        - returns: twice ``(rows, class)`` float64, NaN for a recording without pieces
    """
    temperature = 1.0 if model.calibration is None else model.calibration.temperature
    total, weight = np.zeros((2, rows, len(model.classes))), np.zeros(rows)
    for batch, waveform, lengths in batches(pieces, model.audio.sample_rate, batch_size, model.device):
        with _threads(model, batch, alone=rows == 1):
            answers = model.probabilities(waveform, lengths).numpy()
        at, samples = [piece.row for piece in batch], np.array([len(piece.samples) for piece in batch])
        scaled = answers if temperature == 1 else apply_temperature(answers, temperature)
        np.add.at(total[0], at, answers * samples[:, None])
        np.add.at(total[1], at, scaled * samples[:, None])
        np.add.at(weight, at, samples)
    raw, scaled = total / np.where(weight, weight, np.nan)[:, None]
    return raw, scaled


def _say_if_uncalibrated(model: SpeechClassifier) -> None:
    if model.calibration is None and not model.numeric and model not in _TOLD:
        _TOLD.add(model)
        log.warning("The checkpoint of this model holds no temperature: its probabilities are not calibrated.")


class _Reading:
    """Recordings that are read one after the other, and what is found while they are.

    Args:
        model: The model that they are read for.
        found: The recordings.
        skip: Whether one that cannot be used is skipped.

    Attributes:
        errors: Why a recording cannot be used, by its row.
        flags: Words of each recording.
    """

    def __init__(self, model: SpeechClassifier, found: Sequence[Source], *, skip: bool = False) -> None:
        self.sources, self._settings, self._skip = found, model.audio, skip
        self.errors: dict[int, str] = {}
        self.flags: list[list[str]] = [[] for _ in found]

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of every recording, and log once what is wrong with each."""
        for row, source in enumerate(self.sources):
            quality = Quality()
            try:
                with opened_source(source) as recording:
                    logged: set[str] = set()
                    for piece in pieces(recording, row, self._settings, quality=quality):
                        for kind, detail in piece.findings:
                            if kind not in logged:
                                log.warning("%s: %s: %s", source.name, kind, detail)
                                logged.add(kind)
                        yield piece
                self.flags[row] = quality.flags()
            except AudioError as error:
                if not self._skip:
                    raise
                self.errors[row] = str(error)


@contextmanager
def _threads(model: SpeechClassifier, batch: Sequence[Piece], *, alone: bool) -> Iterator[None]:
    """Use one thread of the CPU for a single short clip."""
    short = alone and len(batch[0].samples) <= SHORT_S * model.audio.sample_rate
    if model.device.type != "cpu" or not short or batch[0].windows > 1:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def answer_table(model: SpeechClassifier, values: np.ndarray) -> pd.DataFrame:
    """Return a column for every class, after the label, which is ``None`` where there are no probabilities."""
    table = pd.DataFrame(values, columns=list(model.classes))
    if not model.numeric:
        known = np.isfinite(values).all(axis=1)
        best = np.where(known, values.argmax(axis=1), -1)
        labels = [model.classes[i] if i >= 0 else None for i in best]
        table.insert(0, "label", pd.Series(labels, dtype=object))
    return table


def _with_columns(table: pd.DataFrame, columns: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a table with the columns that were given, renamed where it has columns of their names."""
    given = pd.DataFrame([dict(row) for row in columns], index=table.index)
    given = given.rename(columns={name: f"{GIVEN}{name}" for name in given.columns if name in table.columns})
    twice = [str(name) for name in given.columns if list(given.columns).count(name) > 1 or name in table.columns]
    if twice:
        raise ConfigError(
            f"Columns of a DataFrame must have different names; got {twice[0]} twice. Rename one of them."
        )
    return pd.concat([table, given], axis=1)
