"""Pictures of attributions: by class over bands and relative time, and for single clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ser.features.functionals import names_of
from ser.features.logmel import LogMel
from ser.pictures import attribution, charts
from ser.pictures.album import COLUMN, PAGE, Album
from ser.pictures.chosen import clips_shown, explained_rows, output_kind, outputs_of, title, unit_of
from ser.pictures.explained import Explained
from ser.pictures.page import Rows, Section, Shown
from ser.pictures.views import IMAGES, mel_ticks
from ser.report.format import percent
from ser.runtime.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TITLE = "What the answers rest on"
BINS = 40
"""Parts of relative time."""
SIGNED = "PuOr_r"
"""Colours from against to for, which colour-blind readers can tell apart."""
PANELS = 4
"""Panels beside each other."""
TOP = 12
"""Rows of features that are listed."""


@dataclass(frozen=True)
class Rest:
    """Attributions of the clips of one output, averaged.

    Attributes:
        shares: ``(feature, BINS)``, integrated gradients in units of the output, which sum to what it differs by from the
            average frame's.
        salient: ``(feature,)``, mean saliency over frames.
        clips: Number of clips.
        missed: The largest share of an output's difference that integrated gradients missed.
    """

    shares: np.ndarray
    salient: np.ndarray
    clips: int
    missed: float


def attributions_section(album: Album, shown: Explained, plain: Mapping[str, Any]) -> Section:
    """Draw attributions by class and of single clips."""
    chosen = clips_shown(shown, plain)
    found: dict[str, Rest] = {}
    for at, name in enumerate(shown.model.classes):
        if (rows := explained_rows(shown, at, plain["clips"], plain["seed"])).size:
            found[name] = average(shown, rows, at, plain["steps"])
    pictures = [_draw_single(album, shown, chosen, plain["steps"], plain["clip"] is not None)] if chosen else []
    if found:
        pictures = [_draw_classes(album, shown, found), _draw_rows(album, shown, found), *pictures]
    missed = max((rest.missed for rest in found.values()), default=0.0)
    toward = "each number" if shown.model.numeric else "the class that was predicted"
    unit = "the number's standard deviations" if shown.model.numeric else "logits"
    sentences = [
        f"Integrated gradients share out, in {unit}, why the output of {toward} differs from that of the average frame of "
        "training: orange speaks for it, purple against it. Saliency is how strongly a small change of a point would change "
        f"the output. At most {plain['clips']} clips of each class are averaged, right or wrong; their {shown.side} "
        f"predictions are those that the run stored. The sums are off by at most {percent(missed)}.",
        "An attribution says what the model used, not what makes an emotion; two models that are equally good may differ.",
    ]
    return Section(TITLE, sentences, pictures, _table(shown, found) if found else None)


def average(shown: Explained, where: np.ndarray, output: int, steps: int) -> Rest:
    """Return the averaged attributions of some rows of the table towards one output."""
    features, frames, _ = attribution.normalised_clip(shown.model, shown.data, shown.rows[where], shown.own)
    target = torch.full((len(where),), output, device=features.device)
    shares, salient, missed = attribution.attributed(shown.model, features, frames, target, steps)
    totals = shares.sum(dim=(1, 2))
    off = (missed.abs() / totals.abs().clamp(min=1e-3)).max()
    binned = attribution.in_relative_time(shares, frames, BINS).mean(dim=0)
    rows = (salient.sum(dim=2) / frames[:, None]).mean(dim=0)
    return Rest(binned.cpu().double().numpy(), rows.cpu().double().numpy(), len(where), float(off))


def _draw_classes(album: Album, shown: Explained, found: Mapping[str, Rest]) -> Shown:
    """Draw the averages, a panel an output, to one scale."""
    names = list(found)[: 3 * PANELS]
    columns, rows = min(PANELS, len(names)), -(-len(names) // PANELS)
    most = max(float(np.quantile(abs(found[name].shares), 0.995)) for name in names) or 1.0
    with album.drawing("attributions", (PAGE, 0.7 + 1.75 * rows)) as figure:
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for axes in grid.ravel()[len(names) :]:
            axes.remove()
        for axes, name in zip(grid.ravel(), names, strict=False):
            image = _image(axes, found[name].shares, SIGNED, (-most, most), (0.0, 100.0))
            axes.set_title(f"{charts.short(name)} ({found[name].clips})")
        _label_rows(shown, list(grid[:, 0]))
        figure.supxlabel("share of the clip (%)", fontsize="medium")
        figure.colorbar(image, ax=grid, label=f"{unit_of(shown)} per point", shrink=0.8, aspect=30)
    caption = (
        f"Integrated gradients by {output_kind(shown)}, averaged over clips (their number in brackets), to one scale."
    )
    return Shown("attributions", caption, wide=True)


def _draw_rows(album: Album, shown: Explained, found: Mapping[str, Rest]) -> Shown:
    """Draw how much each row of the features counts, a line an output."""
    names = list(found)[: charts.COLOURS]
    values = np.stack([found[name].salient / max(found[name].salient.sum(), 1e-30) for name in names])
    charts.lines(
        album,
        "saliency",
        "Saliency by row of the features",
        100 * values,
        names,
        _row_axis(shown),
        "share of the saliency (%)",
    )
    return Shown("saliency", f"Saliency by {output_kind(shown)}, averaged over time; each line sums to 100 %.")


def _draw_single(album: Album, shown: Explained, where: Sequence[int], steps: int, asked: bool) -> Shown:
    """Draw features, integrated gradients and saliency of single clips, a column a clip."""
    rows = shown.rows[np.array(where)]
    features, frames, batch = attribution.normalised_clip(shown.model, shown.data, rows, shown.own)
    outputs = outputs_of(shown, where).to(features.device)
    shares, salient, _ = attribution.attributed(shown.model, features, frames, outputs, steps)
    with shown.model.evaluating():
        plain, _ = shown.model.extract(batch.waveform, batch.lengths)
    most = float(np.quantile(abs(shares.cpu().numpy()), 0.998)) or 1.0
    bright = float(np.quantile(salient.cpu().numpy(), 0.998)) or 1.0
    titles = [title(shown, at, int(output)) for at, output in zip(where, outputs, strict=True)]
    with album.drawing("clips", (PAGE if len(where) > 1 else COLUMN, 5.0)) as figure:
        grid = figure.subplots(3, len(where), squeeze=False, sharex=True, sharey=True)
        for column, count in enumerate(frames.tolist()):
            end = float(batch.lengths[column]) / shown.model.audio.sample_rate
            drawn = plain[column, :, :count].cpu().numpy()
            low, high = np.quantile(drawn, [0.05, 0.999])
            _image(grid[0, column], drawn, IMAGES, (float(low), float(high)), (0.0, end))
            _image(grid[1, column], shares[column, :, :count].cpu().numpy(), SIGNED, (-most, most), (0.0, end))
            _image(grid[2, column], salient[column, :, :count].cpu().numpy(), IMAGES, (0.0, bright), (0.0, end))
            grid[0, column].set_title(titles[column], fontsize="small")
        grid[0, 0].set_xlim(0, float(batch.lengths.max()) / shown.model.audio.sample_rate)
        for axes, name in zip(
            grid[:, 0], (type(shown.model.features).__name__, "integrated\ngradients", "saliency"), strict=True
        ):
            _label_rows(shown, [axes], f"{name}\n")
        layout: Any = figure.get_layout_engine()
        layout.set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
        figure.supxlabel("time (s)", fontsize="medium")
    ids = ", ".join(shown.table["utterance"].iloc[at] for at in where)
    what = "The clip asked for" if asked else "Of each class, the clip that was right with the highest probability"
    return Shown(
        "clips",
        f"{what}: features as computed, integrated gradients, saliency. {counted(len(where), 'clip').capitalize()}: {ids}.",
        wide=len(where) > 1,
    )


def _image(
    axes: "Axes", values: np.ndarray, colours: str, limits: tuple[float, float], ends: tuple[float, float]
) -> Any:
    low, high = limits
    axes.set_facecolor("0.93")
    axes.tick_params(length=2, pad=2)
    return axes.imshow(
        values, origin="lower", aspect="auto", cmap=colours, vmin=low, vmax=high, extent=(*ends, 0, len(values)),
        interpolation="nearest",
    )  # fmt: skip


def _row_axis(shown: Explained) -> tuple[str, Sequence[tuple[float, str]]]:
    """Return the label and the ticks of the rows of the features."""
    features = shown.model.features
    if isinstance(features, LogMel):
        return "kHz, mel scale", mel_ticks(features)
    return "row of the features", ()


def _label_rows(shown: Explained, axes: Sequence["Axes"], before: str = "") -> None:
    label, ticks = _row_axis(shown)
    for one in axes:
        one.set_ylabel(f"{before}{label}")
        if ticks:
            one.set_yticks([at for at, _ in ticks], [text for _, text in ticks])


def _table(shown: Explained, found: Mapping[str, Rest]) -> Rows:
    """Return the rows of the features with the most saliency, over all outputs."""
    values = np.mean([rest.salient / max(rest.salient.sum(), 1e-30) for rest in found.values()], axis=0)
    names = names_of(shown.model.features)
    order = np.argsort(-values, kind="stable")[:TOP]
    return Rows(["row of the features", "share of the saliency"], [[names[i], percent(values[i])] for i in order])
