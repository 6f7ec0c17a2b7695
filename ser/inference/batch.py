"""Predictions of many recordings: threads decode while the device computes, and rows are kept as they are made."""

import json
import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audio.activity import can_detect_speech
from ser.errors import AudioError, ConfigError, InterruptionError
from ser.inference.columns import class_columns
from ser.inference.finished import Finished, Rows, check_table, has_error, json_rows, write_table
from ser.inference.predict import Reading, Sums, answer_table, check_adapted, check_batch_size, check_risk, result_table
from ser.inference.recordings import Source, sources
from ser.inference.scorer import Scorer
from ser.inference.segments import check_windows, score_segments
from ser.inference.windows import Piece, batches
from ser.protocols.limits import NOT_FOR
from ser.runtime.files import write_json

AHEAD = 64
"""Recordings of which decoding begins before they are needed: a batch is then ready when the device is."""
PIECES = 8
"""Pieces of each that are decoded ahead: a short recording is one, and of a long one 30 s are eight."""


@dataclass(frozen=True)
class Asked:
    """What is asked of every recording.

    Args:
        calibrated: Whether the temperature of the training is applied.
        segments: Whether windows are answered in place of whole recordings.
        window: Length of a window in seconds.
        hop: From the start of a window to the next, in seconds.
        speech: Whether windows without speech are not answered.
        risk: Share of errors from which on the model is unsure of a recording.

    Raises:
        ConfigError: If a number is out of its range, segments are asked for without the temperature or with a risk, or speech
            without segments.
    """

    calibrated: bool = True
    segments: bool = False
    window: float = 3.0
    hop: float = 0.5
    speech: bool = False
    risk: float | None = None

    def __post_init__(self) -> None:
        check_windows(self.window, self.hop)
        if self.segments and not self.calibrated:
            raise ConfigError("calibrated must be true with segments=true; got false. Leave one of them out.")
        if self.speech and not self.segments:
            raise ConfigError("segments must be true with speech=true; got false. Leave one of them out.")
        if self.segments and self.risk is not None:
            raise ConfigError(f"risk must be null with segments=true; got {self.risk}. Leave one of them out.")


def predict_files(
    scorer: Scorer, files: Sequence[str], asked: Asked, out: Path | None, model: Mapping[str, Any], batch_size: int
) -> pd.DataFrame:
    """Predict recordings, and write the table and what made it; a recording that cannot be used is a row with its error.

    Rows are kept in ``<out>.part`` as batches finish: the same call resumes one that was stopped.

    Args:
        scorer: A trained model.
        files: Paths, folders or patterns.
        asked: What is asked of each.
        out: The table: CSV, JSON lines or Parquet; ``<out>.json`` beside it says what made it. ``None`` writes none.
        model: What identifies the model, as plain JSON.
        batch_size: How many are scored at a time at most.

    Returns:
        A row per recording, or per segment, in the given order; see `ser.inference.predictor.Predictor`.

    Raises:
        ConfigError: If there are no recordings, or ``out`` cannot be used.
        InterruptionError: On Ctrl-C, where rows are kept.
    """
    check_batch_size(batch_size)
    check_adapted(scorer)
    check_risk(scorer, asked.risk)
    if not (found := sources(list(files))):
        raise ConfigError("files must be recordings; got none. Give paths, folders or patterns: files=calls/.")
    if out is not None:
        check_table(out)
    part = None if out is None else Path(f"{out}.part")
    finished = Finished(part, {**model, **asdict(asked)})
    keys = [_key(source) for source in found]
    missing = {key: source for key, source in zip(keys, found, strict=True) if key not in finished.rows}
    try:
        _predict_missing(scorer, missing, asked, batch_size, finished, len(set(keys)))
    except KeyboardInterrupt as error:
        if part is None:
            raise
        counts = f"{len(finished.rows)} of {len(set(keys))} recordings"
        raise InterruptionError(f"Interrupted. {part} holds {counts}. Resume with the same command.") from error
    table = pd.DataFrame([row for key in keys for row in finished.rows[key]], dtype=object)
    numbers = [name for name in ("start", "end", "speech", *class_columns(scorer.classes)) if name in table]
    table = table.astype({"audio": str, **dict.fromkeys(numbers, float)})
    if "unsure" in table:
        table["unsure"] = table["unsure"].astype("boolean")
    table.attrs["stamps"], table.attrs["not_for"] = list(scorer.stamps), NOT_FOR
    if out is not None:
        unusable = sum(has_error(finished.rows[key]) for key in keys)
        sizes = {"recordings": len(found), "unusable": unusable, "rows": len(table)}
        about = {
            "model": {**model, "name": scorer.name, "classes": list(scorer.classes)},
            "stamps": list(scorer.stamps),
            "looks_for_speech": can_detect_speech(),
        }
        write_json({**about, "not_for": NOT_FOR, "settings": asdict(asked), **sizes}, Path(f"{out}.json"))
        write_table(table, out)
    finished.remove()
    return table


def _key(source: Source) -> str:
    """Return the name and the state of a recording: one that has changed since is predicted again."""
    try:
        state = Path(source.audio).stat()
    except OSError:
        return json.dumps([source.name])
    return json.dumps([source.name, state.st_size, state.st_mtime_ns])


def _predict_missing(
    scorer: Scorer, missing: Mapping[str, Source], asked: Asked, batch_size: int, finished: Finished, total: int
) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("Predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    keys, found = list(missing), list(missing.values())
    answered = _segments(scorer, found, asked) if asked.segments else _answers(scorer, found, asked, batch_size)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total, completed=total - len(missing))
        for rows in answered:
            finished.add({keys[at]: row for at, row in rows.items()})
            progress.advance(task, len(rows))


def _answers(scorer: Scorer, found: Sequence[Source], asked: Asked, batch_size: int) -> Iterator[dict[int, Rows]]:
    """Yield the answers of recordings, by their positions, after the batch that finishes them."""
    reading, sums = Reading(scorer, found, skip=True), Sums(scorer, len(found))
    waiting, read = Counter[int](), set[int]()

    def counted() -> Iterator[Piece]:
        for row, pieces in enumerate(read_ahead(reading)):
            for piece in pieces:
                waiting[row] += 1
                yield piece
            read.add(row)

    def finished() -> dict[int, Rows]:
        rows = sorted(row for row in read if not waiting[row])
        read.difference_update(rows)
        averages = sums.averages(rows, without=reading.errors)
        answers = result_table(scorer, averages, calibrated=asked.calibrated, risk=asked.risk)
        table = reading.described(answers, averages, rows)
        return {row: [plain] for row, plain in zip(rows, json_rows(table), strict=True)}

    for batch, clips in batches(counted(), scorer.audio.sample_rate, batch_size):
        sums.add(batch, clips)
        waiting.subtract(piece.row for piece in batch)
        yield finished()
    yield finished()  # those without a piece


def read_ahead(reading: Reading) -> Iterator[Iterator[Piece]]:
    """Yield the pieces of each recording, in order, while threads decode the next ones.

    soundfile and soxr release the GIL. The rest of a long recording is decoded as it is asked for.
    """

    def begin(row: int) -> tuple[list[Piece], Iterator[Piece]]:
        pieces = reading.pieces_of(row)
        return list(islice(pieces, PIECES)), pieces

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        rows = iter(range(len(reading.sources)))
        ahead = deque(pool.submit(begin, row) for row in islice(rows, AHEAD))
        try:
            while ahead:
                first, rest = ahead.popleft().result()
                ahead.extend(pool.submit(begin, row) for row in islice(rows, 1))
                yield chain(first, rest)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _segments(scorer: Scorer, found: Sequence[Source], asked: Asked) -> Iterator[dict[int, Rows]]:
    """Yield the segments of each recording, by its position."""
    for at, source in enumerate(found):
        error = None
        try:
            table = score_segments(scorer, source.audio, None, asked.window, asked.hop, None, asked.speech).table
        except AudioError as unusable:
            unknown = {name: [np.nan] for name in ("start", "end", "speech")[: 2 + asked.speech]}
            nothing = answer_table(scorer, np.full((1, len(scorer.classes)), np.nan))
            table, error = pd.concat([pd.DataFrame(unknown), nothing], axis=1), str(unusable)
        table.insert(0, "audio", source.name)
        yield {at: json_rows(table.assign(error=error))}
