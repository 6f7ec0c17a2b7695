"""Pictures of attributions over the waveform, for pretrained encoders: by class, of single clips and of mistakes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ser.datamodules.batch import Batch
from ser.pictures import charts
from ser.pictures.album import COLUMN, PAGE, Album
from ser.pictures.attribution import FRAME_MS, in_frames, in_relative_time, waveform_attributed
from ser.pictures.chosen import clips_shown, explained_rows, output_kind, outputs_of, title, unit_of
from ser.pictures.explained import Explained
from ser.pictures.heat import BINS, PANELS, TITLE
from ser.pictures.mistakes import mistaken
from ser.pictures.page import Section, Shown
from ser.pictures.views import View, draw_columns, views_of
from ser.report.format import decimal
from ser.runtime.words import counted

TICKS = tuple((BINS * share / 100, str(share)) for share in (0, 25, 50, 75, 100))


class Attributed(NamedTuple):
    """Attributions of a clip, ``(sample,)`` each, and by how much integrated gradients miss their sum."""

    clip: Batch
    shares: torch.Tensor
    salient: torch.Tensor
    missed: float


def waveform_section(album: Album, shown: Explained, plain: Mapping[str, Any]) -> Section:
    """Draw attributions over the waveform by class, of single clips and of mistakes."""
    chosen, steps = clips_shown(shown, plain), plain["steps"]
    found: dict[str, list[Attributed]] = {}
    for at, name in enumerate(shown.model.classes):
        if (rows := explained_rows(shown, at, plain["clips"], plain["seed"])).size:
            found[name] = [_attributed(shown, int(row), at, steps) for row in rows]
    pictures = [_draw_classes(album, shown, found)] if found else []
    if chosen:
        what = "The clip asked for" if plain["clip"] is not None else "Of each class, the surest right answer"
        pictures.append(_draw_clips(album, shown, chosen, steps, "clips", what))
    if (wrong := mistaken(shown)[0][: min(PANELS, plain["mistakes"])].tolist()) and plain["clip"] is None:
        what = "The largest errors" if shown.model.numeric else "The surest mistakes, towards what was predicted"
        pictures.append(_draw_clips(album, shown, wrong, steps, "mistakes", what))
    missed = max((abs(one.missed) for clips in found.values() for one in clips), default=0.0)
    toward = "each number" if shown.model.numeric else "the class that was predicted"
    unit = "the number's standard deviations" if shown.model.numeric else "logits"
    sentences = [
        f"Integrated gradients share out, in {unit}, why the output of {toward} differs from that of white noise as loud as "
        f"the clip, over the waveform, summed over parts of {FRAME_MS} ms: above zero speaks for it, below against it. "
        "Saliency is how strongly a small change of the waveform would change the output. At most "
        f"{plain['clips']} clips of each class are averaged, right or wrong; their {shown.side} predictions are those that "
        f"the run stored. The sums are off by at most {decimal(missed)} {unit}.",
        "An attribution says what the model used, not what makes an emotion; two models that are equally good may differ. "
        "An encoder attends to the whole clip: what it reads at one place may be decided by another.",
    ]
    return Section(TITLE, sentences, pictures)


def _attributed(shown: Explained, at: int, output: int, steps: int) -> Attributed:
    """Return the attributions of a row of the table towards an output."""
    clip = shown.data.gather(torch.tensor([int(shown.rows[at])]), shown.model.device)
    return Attributed(clip, *waveform_attributed(shown.model, clip, shown.own, output, steps))


def _draw_classes(album: Album, shown: Explained, found: Mapping[str, Sequence[Attributed]]) -> Shown:
    """Draw the averages over clips, a line an output, in relative time."""
    names = list(found)[: charts.COLOURS]
    values = np.stack([np.mean([_binned(one) for one in found[name]], axis=0) for name in names])
    axis = ("share of the clip (%)", TICKS)
    charts.lines(
        album, "attributions", "Integrated gradients over time", values, names, axis, f"{unit_of(shown)} per part"
    )
    return Shown("attributions", f"Integrated gradients by {output_kind(shown)}, averaged over clips.")


def _binned(one: Attributed) -> np.ndarray:
    binned = in_relative_time(one.shares[None, None], torch.tensor([len(one.shares)]), BINS)
    return np.asarray(binned[0, 0].cpu().numpy())


def _draw_clips(album: Album, shown: Explained, where: Sequence[int], steps: int, name: str, what: str) -> Shown:
    """Draw log-mel energies, integrated gradients and saliency of single clips, a column a clip."""
    outputs = outputs_of(shown, where).tolist()
    columns = [_views(shown, _attributed(shown, at, output, steps)) for at, output in zip(where, outputs, strict=True)]
    titles = [title(shown, at, output) for at, output in zip(where, outputs, strict=True)]
    wide = len(where) > 1
    with album.drawing(name, (PAGE if wide else COLUMN, 4.4)) as figure:
        draw_columns(figure, columns, titles, [1.0, 1.0, 0.7])
    ids = ", ".join(shown.table["utterance"].iloc[at] for at in where)
    count = counted(len(where), "clip").capitalize()
    return Shown(
        name, f"{what}: log-mel energies, integrated gradients and saliency by {FRAME_MS} ms. {count}: {ids}.", wide
    )


def _views(shown: Explained, one: Attributed) -> list[View]:
    """Return a clip's log-mel energies, and its attributions by frame."""
    rate = shown.model.audio.sample_rate
    views = {view.name: view for view in views_of(one.clip.waveform[0].cpu().numpy(), rate)}
    shares, salient = (in_frames(values, rate).cpu().numpy() for values in (one.shares, one.salient))
    share = 100 * salient / max(float(salient.sum()), 1e-30)
    start, step = FRAME_MS / 2000, FRAME_MS / 1000
    return [
        views["log-mel"],
        View("integrated gradients", unit_of(shown), shares, start, step),
        View("saliency", "%", share, start, step),
    ]
