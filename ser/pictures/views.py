"""One recording seen several ways (waveform, spectrogram, log-mel, ...), drawn above a common axis of time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ser.features.cepstra import MFCC
from ser.features.framing import PowerSpectrum
from ser.features.logmel import DECIBELS, LogMel
from ser.features.pitch import Pitch
from ser.features.samples import RMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

WINDOW_MS, HOP_MS, N_MELS, N_MFCC = 25.0, 10.0, 64, 13
PITCH_MS = 64.0
"""Window of the pitch: two periods of the lowest voices."""
RANGE_DB = 70.0
"""Below the loudest point of a picture, all is drawn in one colour."""
FLOOR = 1e-10
"""Least power of a point of a spectrogram."""
LOW_HZ = 20.0
IN_DECIBELS = ("spectrogram", "log-mel", "energy")
TICKS_HZ = (250, 500, 1000, 2000, 4000)
IMAGES = "magma"
LINE = "#0173b2"


@dataclass(frozen=True)
class View:
    """One way to see a recording.

    Attributes:
        name, unit: Title, and label of the vertical axis.
        values: ``(frame,)``, drawn as a line, with a gap at NaN; or ``(row, frame)``, drawn as an image.
        start, step: Of the first value and from one to the next, in seconds.
        extent: Bottom and top of an image, in ``unit``.
        ticks: Positions on the vertical axis by their text; empty leaves the choice to matplotlib.
    """

    name: str
    unit: str
    values: np.ndarray
    start: float
    step: float
    extent: tuple[float, float] = (0.0, 1.0)
    ticks: tuple[tuple[float, str], ...] = ()

    @property
    def is_image(self) -> bool:
        """Whether it has rows."""
        return self.values.ndim == 2

    @property
    def limits(self) -> tuple[float, float]:
        """The range of colours of an image, or of heights of a line, with a margin."""
        known = self.values[np.isfinite(self.values)]
        ends = (0.01, 0.99) if self.name == "MFCC" else (0, 1)  # so that the first coefficient leaves colours to others
        bottom, top = map(float, np.quantile(known, ends)) if known.size else (0.0, 1.0)
        if self.name in IN_DECIBELS:
            bottom = max(bottom, top - RANGE_DB)
        return bottom, top if top > bottom else bottom + 1.0


def views_of(waveform: np.ndarray, rate: int) -> list[View]:
    """Return the views of a recording: waveform, spectrogram, log-mel, MFCC, pitch and energy.

    Shapes:
        - waveform: ``(sample,)`` float32, full scale = 1
    """
    spectrum, mel = PowerSpectrum(rate, WINDOW_MS, HOP_MS), mel_of(rate)
    mfcc = MFCC(rate, N_MFCC, deltas=0, n_mels=N_MELS, window_ms=WINDOW_MS, hop_ms=HOP_MS, low_hz=LOW_HZ)
    frames = spectrum.framing
    start, step = (
        (frames.span - frames.hop) / 2 / rate,
        frames.hop / rate,
    )  # an image begins half a hop before its frame

    samples, lengths = torch.from_numpy(np.ascontiguousarray(waveform))[None], torch.tensor([len(waveform)])

    def computed(feature: nn.Module, offset: float | Tensor = 0.0) -> np.ndarray:
        with torch.no_grad():
            values, _ = feature(samples - offset, lengths)
        return np.asarray(values[0].numpy())

    def power(samples: Tensor, _: Tensor) -> Tensor:
        bins: Tensor = spectrum(samples)
        return 10 * bins.clamp(min=FLOOR).log10()

    decibels, _ = frames.features(power, samples, lengths)
    pitch = Pitch(rate, PITCH_MS, HOP_MS)
    log_f0, voicing = computed(pitch)
    f0 = np.where(voicing > pitch.voiced, np.exp(log_f0), np.nan)
    energy = computed(RMS(rate, WINDOW_MS, HOP_MS, decibels=True), samples.mean())[0]
    return [
        View("waveform", "amplitude", waveform, 0.0, 1 / rate),
        View("spectrogram", "kHz", decibels[0].numpy(), start, step, (0.0, rate / 2000)),
        View("log-mel", "kHz", DECIBELS * computed(mel), start, step, (0.0, N_MELS), mel_ticks(mel)),
        View("MFCC", "coefficient", computed(mfcc)[1:], start, step, (0.5, N_MFCC - 0.5)),
        View("pitch", "Hz", f0, (pitch.framing.span - pitch.framing.hop) / 2 / rate + step / 2, step),
        View("energy", "dB", energy, start + step / 2, step),
    ]


def mel_ticks(log_mel: LogMel) -> tuple[tuple[float, str], ...]:
    """Return the positions of round frequencies among the bands of a log-mel, in kHz."""

    def mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    scale = log_mel.mel.mel_scale
    low, high = float(scale.f_min), float(scale.f_max)
    place = [(log_mel.n_features * (mel(hz) - mel(low)) / (mel(high) - mel(low)), hz) for hz in TICKS_HZ]
    return tuple((at, f"{hz / 1000:g}") for at, hz in place if low < hz < high)


def mel_of(rate: int) -> LogMel:
    """Return the log-mel of pictures."""
    return LogMel(rate, N_MELS, WINDOW_MS, HOP_MS, LOW_HZ)


def draw_columns(
    figure: "SubFigure", columns: Sequence[Sequence[View]], titles: Sequence[str], heights: Sequence[float]
) -> None:
    """Draw the views of several recordings, one recording a column, one view a row, with common axes."""
    grid = figure.subplots(
        len(columns[0]), len(columns), squeeze=False, sharex=True, sharey="row", height_ratios=list(heights)
    )
    seconds = max(len(column[0].values) * column[0].step for column in columns)
    for axes_of_row, row in zip(grid, zip(*columns, strict=True), strict=True):
        limits = _common(row)
        for axes, view in zip(axes_of_row, row, strict=True):
            draw_view(axes, view, limits)
        axes_of_row[0].set_ylabel(f"{row[0].name}\n({row[0].unit})")
    for axes, title in zip(grid[0], titles, strict=True):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set(xlim=(0, seconds))
    grid[-1, 0].xaxis.get_major_locator().set_params(integer=True, nbins=4)
    layout: Any = figure.get_layout_engine()  # of `ser.report.drawing`
    layout.set(w_pad=0.04, h_pad=0.03, wspace=0, hspace=0)
    figure.supxlabel("time (s)", fontsize="medium")
    figure.align_ylabels(list(grid[:, 0]))


def _common(row: Sequence[View]) -> tuple[float, float]:
    """Return limits for several views: those of the widest."""
    lows, highs = zip(*(view.limits for view in row), strict=True)
    if row[0].name == "waveform":
        largest = max(map(abs, (*lows, *highs)))
        return -largest, largest
    return min(lows), max(highs)


def draw_view(axes: "Axes", view: View, limits: tuple[float, float]) -> None:
    """Draw one view; ``limits`` are those of its colours or heights."""
    if view.is_image:
        right = view.start + view.values.shape[1] * view.step
        low, high = limits
        axes.imshow(
            view.values,
            origin="lower",
            aspect="auto",
            cmap=IMAGES,
            vmin=low,
            vmax=high,
            extent=(view.start, right, *view.extent),
            interpolation="nearest",
        )
        axes.set_facecolor("0.93")
    else:
        times = view.start + view.step * np.arange(len(view.values))
        wave = view.name == "waveform"
        axes.plot(times, view.values, color=LINE, linewidth=0.4 if wave else 1.1, rasterized=wave)
        margin = 0.05 * (limits[1] - limits[0]) or 1.0
        axes.set_ylim(limits[0] - margin, limits[1] + margin)
        axes.grid(color="0.92", linewidth=0.5)
    if view.ticks:
        axes.set_yticks([at for at, _ in view.ticks], [text for _, text in view.ticks])
    axes.tick_params(length=2, pad=2)
