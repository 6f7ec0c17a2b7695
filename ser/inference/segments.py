"""What a model says of a recording over time: in windows that follow each other, or in the turns of its speakers."""

from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ser.audio.activity import SpeechDetector, speech_regions, speech_shares
from ser.errors import AudioError, ConfigError
from ser.inference.annotations import write_audformat, write_srt, write_textgrid
from ser.inference.columns import class_columns
from ser.inference.predict import answer_table, averaged, check_adapted
from ser.inference.recordings import Readable, Source, opened_source, sources
from ser.inference.scorer import Scorer
from ser.inference.turns import read_turns
from ser.inference.windows import LONG_S, pieces
from ser.runtime.files import replacing
from ser.runtime.packages import packages_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

    from ser.inference.windows import Piece

BATCH_SIZE = 16
SHORTEST_S = 0.1
"""Shortest window, and shortest hop, in seconds: a clip with less sound is left out of a corpus."""
SPEECH_COLOUR = "#56b4e9"
PART_S = 10.0
"""Seconds that are decoded at a time to find speech."""
COLUMNS = 1000
"""Columns of the drawn waveform, each with the lowest and the highest sample of its part of the recording."""


@dataclass(frozen=True)
class Segments:
    """Segments of a recording.

    Attributes:
        table: A row a segment: ``start`` and ``end`` in seconds, ``speaker`` of a turn, ``label``, and a column for every
            class. A segment of silence has no label and NaN; so has one without speech, if speech was looked for. ``speech``
            is then the share of a segment that is speech.
        spans: The same rows, without overlaps of windows: each moment belongs to the window whose middle is nearest.
        classes: Names of the classes, or numbers; `ser.inference.columns.class_columns` names their columns.
        seconds: Length of the recording.
        source: The recording.
        stamps: What every result of the model must carry.
        speech: ``(region, 2)`` first and last seconds of speech; ``None`` where it was not looked for.
    """

    table: pd.DataFrame
    spans: pd.DataFrame
    classes: tuple[str, ...]
    seconds: float
    source: Source
    stamps: tuple[str, ...]
    speech: np.ndarray | None = None

    @packages_named()
    def plot(self, path: str | Path | None = None) -> "Figure":
        """Draw the waveform, and below it the probabilities on top of each other, or the numbers, on one axis of time.

        Args:
            path: Where to write the picture; its suffix is the format.
        """
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # late: slow to import
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4.5), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
        low, high = envelope(self.source)
        above.fill_between(np.linspace(0, self.seconds, len(low)), low, high, color="0.4", linewidth=0)
        above.set_ylabel("amplitude")
        if self.speech is not None:
            spans = [(begin, stop - begin) for begin, stop in self.speech.tolist()]
            above.broken_barh(spans, (0, 1), transform=above.get_xaxis_transform(), color=SPEECH_COLOUR, alpha=0.25)
            above.set_title("shaded: speech", loc="right", fontsize="small")
        start, end = self.spans["start"].to_numpy(), self.spans["end"].to_numpy()
        # Each segment is a step, and nothing is drawn from its end to the next.
        times = np.stack([start, end, end], axis=1).ravel()
        base = np.zeros(len(times))
        columns = class_columns(self.classes)
        for name, column, colour in zip(self.classes, columns, _colours(len(columns)), strict=True):
            values = self.spans[column].to_numpy(dtype=float)
            steps = np.stack([values, values, np.full_like(values, np.nan)], axis=1).ravel()
            if "label" in self.table:
                below.fill_between(times, base, base + steps, color=colour, linewidth=0, label=name)
                base = base + np.nan_to_num(steps)
            else:
                below.plot(times, steps, color=colour, label=name)
        below.set(
            xlabel="time (s)", ylabel="probability" if "label" in self.table else "number", xlim=(0, self.seconds)
        )
        if "label" in self.table:
            below.set_ylim(0, 1)
        figure.legend(*below.get_legend_handles_labels(), loc="outside right center", frameon=False)
        if self.stamps:
            figure.suptitle("  ·  ".join(self.stamps).upper(), fontweight="bold", color="#d55e00")
        if path is not None:
            with replacing(Path(path).expanduser()) as unfinished:
                figure.savefig(unfinished)
        return figure

    def to_textgrid(self, path: str | Path) -> None:
        """Write a TextGrid of Praat with a tier of labels, or one for each speaker; runs of one label are joined."""
        write_textgrid(self.texts(), self.seconds, Path(path).expanduser())

    def to_srt(self, path: str | Path) -> None:
        """Write subtitles (SubRip) of the labels; runs of one label are joined."""
        write_srt(self.texts(), Path(path).expanduser())

    def to_audformat(self, folder: str | Path) -> None:
        """Write a database of audformat whose table ``segments`` has the segments with all probabilities.

        Raises:
            ConfigError: If the recording is not a file.
        """
        if not isinstance(self.source.audio, Path):
            raise ConfigError(
                "The recording must be a file for audformat, which names it; got one without a path. Save it."
            )
        write_audformat(self.table, self.classes, self.source.audio.absolute(), self.stamps, Path(folder).expanduser())

    def texts(self) -> pd.DataFrame:
        """Return ``start``, ``end``, ``speaker`` and ``text`` of the segments in ``spans`` that have an answer.

        The text is the label, or the numbers. Segments that follow each other with the same text are joined.
        """
        columns = class_columns(self.classes)
        known = self.spans[self.spans[list(columns)].notna().all(axis=1)]
        joined: list[dict[str, Any]] = []
        for row in known.to_dict("records"):
            numbers = (f"{name} {row[column]:.2f}" for name, column in zip(self.classes, columns, strict=True))
            text = row["label"] if "label" in row else ", ".join(numbers)
            last = joined[-1] if joined else None
            speaker = row.get("speaker", "")
            if last and (last["text"], last["speaker"], last["end"]) == (text, speaker, row["start"]):
                last["end"] = row["end"]
            else:
                joined.append({"start": row["start"], "end": row["end"], "speaker": speaker, "text": text})
        return pd.DataFrame(joined, columns=["start", "end", "speaker", "text"])


def score_segments(
    scorer: Scorer,
    audio: Any,
    rate: float | None = None,
    window: float = 3.0,
    hop: float = 0.5,
    turns: str | Path | None = None,
    speech: bool = False,
) -> Segments:
    """Return what a model says of a recording over time.

    Each window is scored as a clip of its own, decoded when it is needed. The last one ends with the recording.

    Args:
        scorer: A trained model.
        audio: One recording, as `ser.inference.predictor.Predictor.predict` takes it.
        rate: Sampling rate in Hz of an array.
        window: Length of a window in seconds.
        hop: From the start of a window to the next, in seconds.
        turns: An RTTM file, or a CSV with the columns ``start`` and ``end`` in seconds, whose rows are scored in place of
            windows.
        speech: Whether speech is looked for (`ser.audio.activity`); segments without any are then not scored.

    Raises:
        AudioError: If the recording cannot be read.
        ConfigError: If there is not one recording, a number is out of its range, ``turns`` cannot be used, or a package that
            finds speech is not installed.
    """
    check_windows(window, hop)
    check_adapted(scorer)
    found = sources(audio, rate)
    if len(found) != 1:
        raise ConfigError(f"audio must be one recording; got {len(found)}. Call segments for each.")
    (source,) = found
    with opened_source(source) as recording:
        recording.check_length()
        seconds = recording.frames / recording.rate
        if turns is None:
            table, spans = _windows(seconds, window, hop)
        else:
            table = read_turns(Path(turns).expanduser(), source.name, seconds)
            spans = table
        regions = _speech(recording) if speech else None
        scored = np.ones(len(table), bool)
        if regions is not None:
            share = speech_shares(regions, table[["start", "end"]].to_numpy())
            table, spans, scored = table.assign(speech=share), spans.assign(speech=share), share > 0
        ends = (table[["start", "end"]].to_numpy() * recording.rate).round().astype(int).clip(max=recording.frames)
        values = averaged(scorer, _pieces(scorer, recording, ends, scored), len(table), BATCH_SIZE).scaled
    answers = answer_table(scorer, values)
    return Segments(
        pd.concat([table, answers], axis=1),
        pd.concat([spans, answers], axis=1),
        tuple(scorer.classes),
        seconds,
        source,
        tuple(scorer.stamps),
        regions,
    )


def check_windows(window: Any, hop: Any) -> None:
    """Refuse an impossible length or distance of windows.

    Raises:
        ConfigError: If a number is out of its range.
    """
    _check_seconds("window", window, LONG_S)
    _check_seconds("hop", hop, window)


def _check_seconds(name: str, value: Any, most: float) -> None:
    if not (isinstance(value, Real) and SHORTEST_S <= float(value) <= most):
        raise ConfigError(f"{name} must be {SHORTEST_S:g} to {most:g} seconds; got {value!r}.")


def envelope(source: Source, columns: int = COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """Return the lowest and the highest sample of equal parts of a recording, ``(column,)`` each, read part by part."""
    with opened_source(source) as recording:
        columns = min(columns, recording.frames)
        low, high = np.zeros(columns), np.zeros(columns)
        edges = np.linspace(0, recording.frames, columns + 1).round().astype(int).tolist()
        for at, (first, last) in enumerate(pairwise(edges)):
            try:
                samples = recording.read(first, last).samples
            except AudioError as error:
                if error.kind != "silent":
                    raise
                continue
            low[at], high[at] = samples.min(), samples.max()
    return low, high


def _windows(seconds: float, window: float, hop: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return where windows start and end, and the parts of the recording whose nearest middle is theirs."""
    start = np.arange(np.floor(max(0.0, seconds - window) / hop + 1e-9) + 1) * hop
    if start[-1] + window < seconds - 1e-9:
        start = np.append(start, seconds - window)
    end = np.minimum(start + window, seconds)
    middle = (start + end) / 2
    edges = np.concatenate([[0.0], (middle[1:] + middle[:-1]) / 2, [seconds]])
    return pd.DataFrame({"start": start, "end": end}), pd.DataFrame({"start": edges[:-1], "end": edges[1:]})


def _speech(recording: Readable) -> np.ndarray:
    """Return where someone speaks in a recording, ``(region, 2)`` in seconds, decoded part by part."""
    detector, found = SpeechDetector(recording.rate), []
    edges = [*range(0, recording.frames, round(PART_S * recording.rate)), recording.frames]
    for first, last in pairwise(edges):
        try:
            samples = recording.read(first, last).samples
        except AudioError as error:
            if error.kind != "silent":
                raise
            samples = np.zeros(last - first, np.float32)
        found.append(detector.feed(samples, last=last == recording.frames))
    return speech_regions(np.concatenate(found), recording.frames / recording.rate)


def _pieces(scorer: Scorer, recording: Readable, ends: np.ndarray, scored: np.ndarray) -> "Iterator[Piece]":
    """Yield the pieces of every segment that is scored; a silent one has none."""
    for row in np.flatnonzero(scored).tolist():
        first, last = ends[row].tolist()
        try:
            yield from pieces(recording, row, scorer.audio, (first, last))
        except AudioError as error:
            if error.kind != "silent":
                raise


def _colours(number: int) -> list[Any]:
    """Return colours that colour-blind readers can tell apart, or as many different ones as there are."""
    import seaborn as sns

    return list(sns.color_palette("colorblind" if number <= 10 else "tab20", number))
