"""What a trained model says of recordings: a table with a row for each."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from ser.audio.activity import can_detect_speech
from ser.audio.quality import UNLIKE, Quality
from ser.errors import AudioError, ConfigError
from ser.evaluation import conformal
from ser.inference.columns import class_columns
from ser.inference.decoded import Decoded
from ser.inference.recordings import Source, opened_source, sources
from ser.inference.scorer import Clips, Scorer
from ser.inference.windows import Piece, batches, pieces

log = logging.getLogger(__name__)
ON_ERROR = ("raise", "row")
_TOLD: WeakKeyDictionary[Scorer, set[str]] = WeakKeyDictionary()
"""What was said of a model."""
GIVEN = "given_"
"""Prefix of a given column that has the name of one of the result."""
UNIT = "e_"
"""Prefix of the columns of an embedding."""


class Averages(NamedTuple):
    """What a model says of recordings, averaged over the pieces of each, weighted by their length; NaN without pieces.

    Attributes:
        raw: ``(recording, class)`` float64, without the temperature.
        scaled: The same with the temperature, which is that of single pieces; without one, it is ``raw``.
        embedding: ``(recording, unit)``, or ``None`` where it was not asked for.
        distance: ``(recording,)``, to the training clips, of single pieces; 0 of a model that does not know them.
    """

    raw: np.ndarray
    scaled: np.ndarray
    embedding: np.ndarray | None
    distance: np.ndarray


def predict(
    scorer: Scorer,
    audio: Any,
    rate: float | None = None,
    batch_size: int = 16,
    *,
    on_error: str = "raise",
    calibrated: bool = True,
    risk: float | None = None,
) -> pd.DataFrame:
    """Score recordings; see `ser.inference.predictor.Predictor.predict`."""
    return predict_sources(
        scorer, sources(audio, rate), batch_size, on_error=on_error, calibrated=calibrated, risk=risk
    )


def predict_sources(
    scorer: Scorer,
    recordings: Sequence[Source],
    batch_size: int = 16,
    *,
    on_error: str = "raise",
    calibrated: bool = True,
    risk: float | None = None,
) -> pd.DataFrame:
    """Score recordings that were found; see `ser.inference.predictor.Predictor.predict`."""
    check_risk(scorer, risk)
    reading, found = _averaged(scorer, recordings, batch_size, on_error)
    table = reading.described(result_table(scorer, found, calibrated=calibrated, risk=risk), found)
    table.attrs["stamps"] = list(scorer.stamps)
    table.attrs["looks_for_speech"] = can_detect_speech()
    table.attrs["calibrated"] = calibrated and scorer.calibration is not None
    return table


def embed(
    scorer: Scorer, audio: Any, rate: float | None = None, batch_size: int = 16, *, on_error: str = "raise"
) -> pd.DataFrame:
    """Embed recordings; see `ser.inference.predictor.Predictor.embed`."""
    reading, found = _averaged(scorer, sources(audio, rate), batch_size, on_error, embed=True)
    vectors = np.zeros((len(reading.sources), 0)) if found.embedding is None else found.embedding
    table = pd.DataFrame(vectors, columns=[f"{UNIT}{at}" for at in range(vectors.shape[1])])
    return reading.described(table, found)


def adapt(scorer: Scorer, audio: Any, rate: float | None = None, batch_size: int = 16) -> None:
    """Normalise by the speaker or corpus of recordings; see `ser.inference.predictor.Predictor.adapt`."""
    check_adaptable(scorer)
    check_batch_size(batch_size)
    reading = Reading(scorer, sources(audio, rate))
    scorer.adapt(clips for _, clips in batches(reading.pieces(), scorer.audio.sample_rate, batch_size))


def check_batch_size(batch_size: int) -> None:
    """Refuse an impossible number of recordings in a batch.

    Raises:
        ConfigError: If it is below 1.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size must be at least 1; got {batch_size}.")


def check_risk(scorer: Scorer, risk: Any) -> None:
    """Refuse an impossible share of errors, and a model that does not know how often it errs.

    Raises:
        ConfigError: If it is not between 0 and 1, or the model has no curve of its risk.
    """
    if risk is None:
        return
    if isinstance(risk, bool) or not isinstance(risk, Real) or not 0 < float(risk) < 1:
        raise ConfigError(f"risk must be a share of errors between 0 and 1; got {risk!r}. Give one such as 0.1.")
    if scorer.numeric or scorer.calibration is None or not scorer.calibration.curve:
        raise ConfigError(
            f"risk must be null unless the training stored how often its model errs; got {risk}, and {scorer.name} does "
            "not know it, as models of numbers, averages of folds and models of earlier versions. Leave it out."
        )


def check_adaptable(scorer: Scorer) -> None:
    """Refuse to adapt a model that does not normalise by speaker or corpus.

    Raises:
        ConfigError: If it is such a model.
    """
    if scorer.adapts_to is None:
        raise ConfigError(
            f"normalise must be speaker or corpus to adapt a model; {scorer.name} does not need it. Train with one of them."
        )


def check_adapted(scorer: Scorer) -> None:
    """Refuse a model that normalises by speaker or corpus and has not been adapted to one.

    Raises:
        ConfigError: If it is such a model.
    """
    if (by := scorer.adapts_to) and not scorer.adapted:
        raise ConfigError(
            f"The model must be adapted to a {by}, as it normalises by {by}; got none. Call model.adapt([...]) with "
            f"recordings of that {by}; they need no labels, and can be those to be scored; or give a checkpoint of ser.adapt."
        )


def averaged(scorer: Scorer, pieces: Iterable[Piece], rows: int, batch_size: int) -> Averages:
    """Score the pieces of recordings, whose rows they name."""
    sums = Sums(scorer, rows, measure=False)
    sums.add_all(pieces, batch_size)
    return sums.averages()


class Sums:
    """What a model says of the pieces of recordings, summed over those of each.

    Args:
        scorer: The model.
        rows: Number of recordings.
        embed: Whether embeddings are kept.
        measure: Whether the distances to the training clips are.
    """

    def __init__(self, scorer: Scorer, rows: int, *, embed: bool = False, measure: bool = True) -> None:
        self._scorer, self._rows, self._embed = scorer, rows, embed
        self._familiar = scorer.familiar if measure else None
        self._total, self._weight = np.zeros((2, rows, len(scorer.classes))), np.zeros(rows)
        self._embedded: np.ndarray | None = None
        self._distance = np.zeros(rows)

    def add(self, batch: Sequence[Piece], clips: Clips) -> None:
        """Score a batch of pieces."""
        answers, scaled, vectors = self._scorer.score(clips, embed=self._embed or self._familiar is not None)
        at, samples = [piece.row for piece in batch], clips.lengths.astype(float)
        np.add.at(self._total[0], at, answers * samples[:, None])
        np.add.at(self._total[1], at, scaled * samples[:, None])
        np.add.at(self._weight, at, samples)
        if vectors is not None and self._familiar is not None:
            np.add.at(self._distance, at, self._familiar.distance(vectors) * samples)
        if vectors is not None and self._embed:
            if self._embedded is None:
                self._embedded = np.zeros((self._rows, vectors.shape[1]))
            np.add.at(self._embedded, at, vectors * samples[:, None])

    def add_all(self, pieces: Iterable[Piece], batch_size: int) -> None:
        """Score pieces in batches."""
        for batch, clips in batches(pieces, self._scorer.audio.sample_rate, batch_size):
            self.add(batch, clips)

    def averages(self, rows: Sequence[int] | slice = slice(None), without: Iterable[int] = ()) -> Averages:
        """Return the averages of some recordings, or of all; NaN of those ``without`` an answer."""
        weight = np.where(self._weight, self._weight, np.nan)
        weight[list(without)] = np.nan  # also where a part of one was scored before the rest was damaged
        distance, weight = self._distance[rows] / weight[rows], weight[rows, None]
        embedded = None if self._embedded is None else self._embedded[rows] / weight
        return Averages(self._total[0, rows] / weight, self._total[1, rows] / weight, embedded, distance)


def _averaged(
    scorer: Scorer, recordings: Sequence[Source], batch_size: int, on_error: str, *, embed: bool = False
) -> "tuple[Reading, Averages]":
    check_batch_size(batch_size)
    if on_error not in ON_ERROR:
        raise ConfigError(f"on_error must be {' or '.join(ON_ERROR)}; got {on_error!r}.")
    check_adapted(scorer)
    reading = Reading(scorer, recordings, skip=on_error == "row")
    sums = Sums(scorer, len(reading.sources), embed=embed)
    sums.add_all(reading.pieces(), batch_size)
    return reading, sums.averages(without=reading.errors)


def _say_once(scorer: Scorer, calibrated: bool) -> None:
    """Log what a user of a model should know of it, the first time."""
    notes = []
    if scorer.trained_on:
        notes.append(f"Trained on {origin(scorer.trained_on)}; other languages and kinds of speech are not covered.")
    if calibrated and scorer.calibration is None and not scorer.numeric:
        notes.append("The checkpoint of this model holds no temperature: its probabilities are not calibrated.")
    told = _TOLD.setdefault(scorer, set())
    for note in [note for note in notes if note not in told]:
        told.add(note)
        log.warning(note)


def origin(corpora: Sequence[Mapping[str, str]]) -> str:
    """Return the corpora of a training in words, with their languages and kinds of speech.

    Example:
        >>> origin([{"title": "TESS", "language": "English", "material": "acted"}, {"title": "mine", "language": ""}])
        'TESS (English, acted) and mine'
        >>> origin([{}])
        'a corpus without a name'
    """
    about = [", ".join(str(corpus[key]) for key in ("language", "material") if corpus.get(key)) for corpus in corpora]
    titles = [str(corpus.get("title") or corpus.get("name") or "a corpus without a name") for corpus in corpora]
    named = [title + f" ({facts})" * bool(facts) for title, facts in zip(titles, about, strict=True)]
    return " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))


class Reading:
    """Recordings that are read, and what is found while they are.

    Args:
        scorer: The model that they are read for.
        found: The recordings.
        skip: Whether one that cannot be used is skipped.

    Attributes:
        errors: Why a recording cannot be used, by its row.
        flags: Words of each recording.
    """

    def __init__(self, scorer: Scorer, found: Sequence[Source], *, skip: bool = False) -> None:
        self.sources, self._settings, self._skip = found, scorer.audio, skip
        self._familiar = scorer.familiar
        self.errors: dict[int, str] = {}
        self.flags: list[list[str]] = [[] for _ in found]

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of every recording."""
        for row in range(len(self.sources)):
            yield from self.pieces_of(row)

    def pieces_of(self, row: int) -> Iterator[Piece]:
        """Yield the pieces of a recording, and log once what is wrong with it."""
        source, quality, logged = self.sources[row], Quality(), set[str]()
        if isinstance(source.audio, Decoded):
            self.flags[row] = list(source.audio.flags)
            yield from source.audio.pieces(row)
            return
        try:
            with opened_source(source) as recording:
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

    def described(self, table: pd.DataFrame, found: Averages, rows: Sequence[int] | None = None) -> pd.DataFrame:
        """Return a table of some recordings, or of all, with what is known of each beside what a model says of it."""
        rows = range(len(self.sources)) if rows is None else rows
        unlike = np.zeros(len(rows), bool) if self._familiar is None else found.distance > self._familiar.limit
        flags = [[*self.flags[row], *([UNLIKE] if far else [])] for row, far in zip(rows, unlike, strict=True)]
        table = table.assign(flags=pd.Series(flags, dtype=object))
        if self._skip:
            table["error"] = pd.Series([self.errors.get(row) for row in rows], dtype=object)
        table.insert(0, "audio", [self.sources[row].name for row in rows])
        return _with_columns(table, [self.sources[row].columns for row in rows])


def result_table(scorer: Scorer, found: Averages, *, calibrated: bool, risk: float | None = None) -> pd.DataFrame:
    """Return the label, a column for every class, the prediction set, and with a risk whether the model is unsure."""
    _say_once(scorer, calibrated)
    table = answer_table(scorer, found.scaled if calibrated else found.raw)
    if scorer.calibration is not None:
        members = conformal.sets(found.raw, scorer.calibration.threshold)  # of raw probabilities, as the threshold is
        sets = [[name for name, inside in zip(scorer.classes, row, strict=True) if inside] for row in members]
        table["set"] = pd.Series(sets, dtype=object).where(np.isfinite(found.raw).all(axis=1), None)
        if risk is not None:
            confidence = found.scaled.max(axis=1)
            unsure = pd.Series(confidence < scorer.calibration.least_confidence(risk), dtype="boolean")
            table["unsure"] = unsure.where(np.isfinite(confidence))
    return table


def answer_table(scorer: Scorer, values: np.ndarray) -> pd.DataFrame:
    """Return a column for every class, after the label, which is ``None`` where there are no probabilities."""
    table = pd.DataFrame(values, columns=list(class_columns(scorer.classes)))
    if not scorer.numeric:
        known = np.isfinite(values).all(axis=1)
        best = np.where(known, values.argmax(axis=1), -1)
        labels = [scorer.classes[i] if i >= 0 else None for i in best]
        table.insert(0, "label", pd.Series(labels, dtype=object))
    return table


def _with_columns(table: pd.DataFrame, columns: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a table with the columns that were given, renamed where it has columns of their names."""
    if not any(columns):
        return table
    given = pd.DataFrame([dict(row) for row in columns], index=table.index)
    given = given.rename(columns={name: f"{GIVEN}{name}" for name in given.columns if name in table.columns})
    twice = [str(name) for name in given.columns if list(given.columns).count(name) > 1 or name in table.columns]
    if twice:
        raise ConfigError(
            f"Columns of a DataFrame must have different names; got {twice[0]} twice. Rename one of them."
        )
    return pd.concat([table, given], axis=1)
