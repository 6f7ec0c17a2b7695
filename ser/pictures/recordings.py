"""One picture a recording: the views of it, and the probabilities that a model gives it."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich import get_console

from ser.audio.decode import AudioSettings, open_recording
from ser.errors import ConfigError
from ser.inference.load import device_named, load
from ser.inference.predictor import Predictor
from ser.inference.windows import piece_of
from ser.pictures.album import PAGE, Album
from ser.pictures.charts import short
from ser.pictures.views import View, draw_columns, views_of
from ser.report.format import decimal, percent
from ser.runs.folder import checkpoint_of
from ser.runtime.instantiate import settings_from

if TYPE_CHECKING:
    from matplotlib.figure import SubFigure
    from omegaconf import DictConfig

log = logging.getLogger(__name__)
HEIGHTS = {"waveform": 0.8, "spectrogram": 1.5, "log-mel": 1.5, "pitch": 1.0}
"""The views of a recording, and their heights in inches."""


def draw_recordings(config: "DictConfig") -> list[Path]:
    """Draw the recordings that a configuration names, and return the pictures.

    Raises:
        AudioError: If a recording cannot be read; none is drawn then.
        ConfigError: If there is none, or a setting is out of its range.
        RunError: If the run has no model.
    """
    from omegaconf import OmegaConf

    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    files = [plain["files"]] if isinstance(plain["files"], str) else list(plain["files"])
    if not files:
        raise ConfigError("files must be recordings; got none. Give their paths: python -m ser.plot clip.wav.")
    settings = settings_from(AudioSettings, plain["audio"], "audio")
    device = device_named(plain["device"])
    model = None if plain["run"] is None else load(checkpoint_of(plain["run"]), device)
    clips = [_clip(file, settings) for file in files]
    answers = None if model is None else model.predict(files)
    album = Album(Path(plain["out"]).expanduser(), () if model is None else model.stamps, plain["vector"])
    names = list(_names(files))
    for at, (file, name, clip) in enumerate(zip(files, names, clips, strict=True)):
        views = [view for view in views_of(clip, settings.sample_rate) if view.name in HEIGHTS]
        title = short(Path(file).name)
        if model is None or answers is None:
            with album.drawing(name, (PAGE, 0.6 + sum(HEIGHTS.values()))) as figure:
                _draw_views(figure, views, title)
        else:
            _draw_with_answers(album, name, views, title, model, answers.iloc[at])
    drawn = [album.folder / f"{name}.png" for name in names]
    for path in drawn:
        get_console().print(str(path), soft_wrap=True, highlight=False)
    return drawn


def _clip(file: str, settings: AudioSettings) -> np.ndarray:
    """Return a recording as a model would read it, ``(sample,)`` float32, and log what is wrong with it."""
    with open_recording(file) as recording:
        piece = piece_of(recording, recording.whole(), settings)
    for finding in piece.findings:
        log.warning("%s: %s: %s", file, *finding)
    return piece.waveform()


def _names(files: Sequence[str]) -> Iterator[str]:
    """Yield the name of each picture: the recording's, with a number where it was there before."""
    taken: dict[str, int] = {}
    for file in files:
        stem = Path(file).stem
        taken[stem] = taken.get(stem, 0) + 1
        yield stem if taken[stem] == 1 else f"{stem}_{taken[stem]}"


def _draw_views(figure: "SubFigure", views: Sequence[View], title: str) -> None:
    draw_columns(figure, [views], [title], list(HEIGHTS.values()))


def _draw_with_answers(
    album: Album, name: str, views: Sequence[View], title: str, model: Predictor, row: "pd.Series[Any]"
) -> None:
    bars = 0.5 + 0.19 * len(model.classes)
    above = 0.6 + sum(HEIGHTS.values())
    with album.drawing(name, (PAGE, above + bars)) as figure:
        parts: Any = figure.subfigures(2, 1, height_ratios=[above, bars])
        upper, lower = parts
        _draw_views(upper, views, title)
        axes = lower.subplots()
        values = [float(row[column]) for column in model.columns]
        write = decimal if model.scorer.numeric else percent
        best = None if model.scorer.numeric else max(range(len(values)), key=values.__getitem__)
        axes.barh(range(len(values)), values, color=["#de8f05" if i == best else "#0173b2" for i in range(len(values))])
        for at, value in enumerate(values):
            axes.text(max(value, 0), at, f" {write(value)}", va="center")
        axes.set_yticks(range(len(values)), [short(c) for c in model.classes])
        axes.set(ylim=(len(values) - 0.4, -0.6), xlabel="predicted number" if model.scorer.numeric else "probability")
        if not model.scorer.numeric:
            axes.set_xlim(0, 1.12)
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.spines[["top", "right"]].set_visible(False)
