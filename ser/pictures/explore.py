"""What corpora hold, as one page and its pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from torch import nn

from ser.corpora.labels import Labels
from ser.inference.load import device_named
from ser.pictures import charts
from ser.pictures.album import PAGE, Album
from ser.pictures.collection import GROUP, Collection, collected, side_by_side
from ser.pictures.maps import Maps, draw_maps, map_clips
from ser.pictures.measures import PER_CLIP, SILENT_DB, Measures, measure_clips
from ser.pictures.page import Page, Rows, Section, Shown, check_integers, write_album_page
from ser.pictures.separation import eta_squared
from ser.pictures.views import draw_columns, mel_of, mel_ticks, views_of
from ser.protocols.plan import prepared
from ser.protocols.stamps import SYNTHETIC
from ser.runtime.instantiate import instantiate
from ser.runtime.words import counted

if TYPE_CHECKING:
    from omegaconf import DictConfig

CLIPS = 8
"""Clips beside each other that a page has room for."""
HEIGHTS = {"waveform": 0.7, "spectrogram": 1.2, "log-mel": 1.2, "MFCC": 0.8, "pitch": 0.8, "energy": 0.8}
"""Heights of the views of a clip, relative to each other."""
LISTED = 12
"""Numbers of a vector that are listed with their effect sizes."""
WHY_SPEAKERS = (
    "As far as the clips of a speaker are near each other, a split that shares speakers between training and test promises "
    "more than new speakers will get; the share of classes among other speakers is what is left for them."
)
PAGE_FILE = "explore.html"


def explore(config: "DictConfig") -> Path:
    """Write the page of the corpora that a configuration names, and return its path.

    Raises:
        SerError: If a corpus is missing, or the labels do not fit it.
    """
    from omegaconf import OmegaConf

    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    return draw_corpora(plain)


def draw_corpora(plain: Mapping[str, Any], extra: str | None = "umap") -> Path:
    """Write the page of the corpora of some settings, and return its path.

    Args:
        plain: The settings of ``conf/explore.yaml``.
        extra: See `ser.pictures.maps.map_clips`.

    Raises:
        SerError: As `explore`.
    """
    device, features = device_named(plain["device"]), instantiate(plain["features"], nn.Module)
    check_integers(plain, {"points": 2, "seed": 0})
    stores = prepared(plain)
    out = Path(plain["out"] or Path("explore") / "+".join(stores)).expanduser()
    stamps = (SYNTHETIC,) if any(store.card["synthetic"] for store in stores.values()) else ()
    album = Album(out, stamps, plain["vector"])
    collection = collected(stores, instantiate(plain["labels"], Labels))
    measures = measure_clips(collection, features, device)
    groups, speakers = collection.clips[GROUP], collection.clips["speaker"]
    maps = map_clips(measures.vectors, groups, speakers, plain["points"], plain["seed"], extra)
    sections = [
        _counts(album, collection),
        _lengths(album, collection, measures),
        _examples(album, collection),
        _distributions(album, collection, measures),
        _maps(album, maps, type(features).__name__),
        _spectra(album, collection, measures),
    ]
    return write_album_page(Page(*_heading(collection), sections, collection.remarks), album, PAGE_FILE)


def _heading(collection: Collection) -> tuple[str, str, dict[str, str]]:
    """Return title, lead and facts."""
    clips = collection.clips
    title = ", ".join(store.card["title"] for store in collection.stores)
    title = title[0].upper() + title[1:]
    hours = clips["length"].sum() / collection.rate / 3600
    speakers = clips["speaker"].nunique()
    known = counted(speakers, "speaker") if speakers else "speakers unknown"
    classes = f"{len(collection.groups)} class{'es' * (len(collection.groups) != 1)}"
    lead = f"{counted(len(clips), 'clip')}, {known}, {classes}, {hours:.2f} hours."
    licences = "; ".join(dict.fromkeys(store.card["licence"] for store in collection.stores))
    problems = sum(len(store.card["problems"]) for store in collection.stores)
    trimmed = collection.stores[0].card["settings"]["trim_db"]
    facts = {
        "classes": ", ".join(collection.groups),
        "sampling rate": f"{collection.rate} Hz",
        "ends": "kept" if trimmed is None else f"silence cut {trimmed:g} dB below the loudest frame",
        "problems": f"{problems}, listed by python -m ser.prepare" if problems else "none found",
        "licence": licences,
    }
    return title, lead, facts


def _counts(album: Album, collection: Collection) -> Section:
    clips = collection.clips
    sex = clips["sex"].fillna("sex unknown")
    by = {"class": clips[GROUP], "speaker": clips["speaker"], "sex": clips["sex"], "intensity": clips["intensity"]}
    shown, unknown = [], []
    sentences: list[str] = []
    for name, values in by.items():
        if values.isna().all():
            unknown.append(name)
            continue
        if name in ("sex", "intensity") and len(values.unique()) == 1:
            sentences.append(f"All clips have the {name} {values.iloc[0]}.")
            continue
        parts = sex if name in ("class", "speaker") else clips[GROUP]
        table = pd.crosstab(values.fillna("unknown"), parts)
        if name == "class":
            table = table.reindex(list(collection.groups))
        charts.counts(album, f"counts_{name}", f"Clips by {name}", table)
        divided = f", divided by {'sex' if parts is sex else 'class'}" * (len(table.columns) > 1)
        shown.append(Shown(f"counts_{name}", f"Clips by {name}{divided}."))
    sentences += [f"Not stated for any clip: {', '.join(unknown)}."] if unknown else []
    return Section("What is there", sentences, shown, _classes(collection))


def _classes(collection: Collection) -> Rows:
    """Return the table of the classes: clips, speakers, sentences and lengths."""
    rows = []
    for group in collection.groups:
        clips = collection.clips[collection.clips[GROUP] == group]
        seconds = clips["length"] / collection.rate
        known = [
            str(clips[column].nunique()) if clips[column].notna().any() else "unknown"
            for column in ("speaker", "sentence")
        ]
        rows.append([group, str(len(clips)), *known, f"{seconds.median():.2f}", f"{seconds.sum() / 60:.1f}"])
    return Rows(["class", "clips", "speakers", "sentences", "median length (s)", "minutes"], rows)


def _lengths(album: Album, collection: Collection, measures: Measures) -> Section:
    shown = []
    for name in ("duration", "loudness", "silence"):
        charts.histogram(
            album, name, f"{name.capitalize()} of the clips", PER_CLIP[name], measures.table[name].to_numpy()
        )
        shown.append(Shown(name, f"{name.capitalize()} of all clips; dashed: the median."))
    silent = int((measures.table["loudness"] < -90).sum())
    sentences = [
        f"Frames at least {SILENT_DB:g} dB below the loudest frame of their clip count as silence; loudness is of the others."
    ]
    sentences += [f"{counted(silent, 'clip')} of digital silence."] if silent else []
    return Section("Durations, loudness, silence", sentences, shown)


def _examples(album: Album, collection: Collection) -> Section:
    rows, shared = side_by_side(collection, CLIPS)
    columns = [views_of(collection.waveform(row), collection.rate) for row in rows]
    names = [charts.short(collection.clips[GROUP].iloc[row]) for row in rows]
    heights = [HEIGHTS[view.name] for view in columns[0]]
    with album.drawing("examples", (PAGE, 0.8 + 1.1 * sum(heights))) as figure:
        draw_columns(figure, columns, names, heights)
    clips = ", ".join(collection.clips["id"].iloc[row] for row in rows)
    caption = f"One clip a class, to one scale: {shared}. The clips: {clips}."
    more = len(collection.groups) - len(rows)
    sentences = [f"{counted(more, 'class')} with fewer clips have no room here."] if more else []
    return Section("One clip of each class", sentences, [Shown("examples", caption, wide=True)])


def _distributions(album: Album, collection: Collection, measures: Measures) -> Section:
    groups = collection.clips[GROUP]
    shown = []
    for name, label in PER_CLIP.items():
        values = measures.table[name].to_numpy()
        effect = _effect(values, groups)
        charts.violins(
            album, f"by_class_{name}", f"{name.capitalize()}, η² {effect}", label, values, groups, collection.groups
        )
        shown.append(
            Shown(f"by_class_{name}", f"{label[0].upper()}{label[1:]} by class. White: median; bar: quartiles.")
        )
    sentences = [
        "η² is the share of the variance of a number that lies between the classes: 0.01 is called small, 0.06 medium, "
        "0.14 large (Cohen, 1988). The table has the numbers of the maps below that classes differ most in, and how much "
        "speakers differ in them."
    ]
    return Section("Features by class", sentences, shown, _effects(collection, measures))


def _effects(collection: Collection, measures: Measures) -> Rows | None:
    """Return the numbers of the vectors in which classes differ most; nothing where there is one class."""
    by_class = eta_squared(measures.vectors, collection.clips[GROUP].to_numpy())
    if np.isnan(by_class).all():
        return None
    known = collection.clips["speaker"].notna().to_numpy()
    by_speaker = np.full(len(by_class), np.nan)
    if known.any():
        by_speaker = eta_squared(measures.vectors[known], collection.clips["speaker"][known].to_numpy())
    order = np.argsort(-np.nan_to_num(by_class, nan=-1), kind="stable")[:LISTED]
    rows = [[measures.names[i], _eta(by_class[i]), _eta(by_speaker[i])] for i in order]
    return Rows(["number", "η² by class", "η² by speaker"], rows)


def _effect(values: np.ndarray, groups: pd.Series) -> str:
    return _eta(float(eta_squared(values, groups.to_numpy())))


def _eta(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.2f}"


def _maps(album: Album, maps: Maps, feature: str) -> Section:
    about = f"Each point is a clip, placed by functionals of its {feature}, each standardised over all clips."
    return Section("Maps of all clips", [about, *maps.sentences(), WHY_SPEAKERS], draw_maps(album, maps), maps.table())


def _spectra(album: Album, collection: Collection, measures: Measures) -> Section:
    axis = ("frequency (kHz, mel scale)", mel_ticks(mel_of(collection.rate)))
    level = measures.spectrum - measures.spectrum.mean(axis=1, keepdims=True)
    groups = collection.groups[: charts.COLOURS]
    for name, title, values in (
        ("spectra", "Mean mel spectrum by class", measures.spectrum),
        ("spectra_level", "The same at equal level", level),
    ):
        means = np.stack([values[(collection.clips[GROUP] == group).to_numpy()].mean(axis=0) for group in groups])
        charts.lines(album, name, title, means, groups, axis, "mean level (dB)")
    shown = [
        Shown("spectra", "Log-mel in dB, averaged over the frames of a clip that are not silent, then over clips."),
        Shown("spectra_level", "As before, each clip's mean over bands taken off: what is not loudness."),
    ]
    return Section("Mean spectrum of each class", (), shown)
