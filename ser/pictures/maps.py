"""Maps of all clips, and in numbers how well they tell classes and speakers apart."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ser.pictures import charts, separation
from ser.pictures.album import Album
from ser.pictures.page import Rows, Shown
from ser.report.format import percent

log = logging.getLogger(__name__)
CLASS, SPEAKER = "class", "speaker"
ACROSS = "class, among other speakers"
TITLES = {"pca": "Principal components", "umap": "UMAP", "tsne": "t-SNE"}


@dataclass(frozen=True)
class Alike:
    """How often the nearest clip is of the same group, how often one drawn at random is, and the first beyond chance."""

    nearest: float
    chance: float

    @property
    def beyond_chance(self) -> float:
        """The share on the scale where chance is 0 and always is 1."""
        return separation.beyond_chance(self.nearest, self.chance)


@dataclass(frozen=True)
class Maps:
    """Places of clips on maps, their groups, and how often the nearest is of the same group.

    Attributes:
        places: ``(clip, 2)`` by the name of a map.
        titles, axes: Of each map, and of its two axes.
        groups: The classes, and where they are known the speakers, of the clips.
        alike: By what groups are: `CLASS`, `SPEAKER`, and `ACROSS`.
        sampled: Number of clips drawn, of how many.
    """

    places: Mapping[str, np.ndarray]
    titles: Mapping[str, str]
    axes: Mapping[str, tuple[str, str]]
    groups: Mapping[str, pd.Series]
    alike: Mapping[str, Alike]
    sampled: tuple[int, int]

    def sentence_on(self, by: str) -> str:
        """Return what the numbers say about classes or speakers."""
        if by not in self.alike:
            return ""
        alike = self.alike[by]
        found, chance = percent(alike.nearest), percent(alike.chance)
        return f"The nearest clip is of the same {by} for {found} of clips; by chance {chance}."

    def sentences(self) -> list[str]:
        """Return what follows from the numbers."""
        drawn, of = self.sampled
        found = [f"A random sample of {drawn} of {of} clips."] if drawn < of else []
        if SPEAKER not in self.alike:
            return [*found, "Speakers are unknown, or there is one: they cannot be compared with classes."]
        if CLASS not in self.alike:
            return [*found, "There is one class: nothing separates classes."]
        one, other = self.alike[CLASS].beyond_chance, self.alike[SPEAKER].beyond_chance
        better, worse = ("Speakers", "classes") if other > one else ("Classes", "speakers")
        return [*found, f"{better} separate better than {worse}, beyond what chance gives."]

    def table(self) -> Rows:
        """Return the numbers."""
        headings = ["nearest clip is of the same", "found", "by chance", "beyond chance"]
        rows = [[by, percent(a.nearest), percent(a.chance), f"{a.beyond_chance:.2f}"] for by, a in self.alike.items()]
        return Rows(headings, rows)


def map_clips(
    vectors: np.ndarray, classes: pd.Series, speakers: pd.Series, most: int, seed: int, extra: str | None = "umap"
) -> Maps:
    """Place clips on maps, by principal components, and by UMAP (if it is installed) or t-SNE.

    Args:
        vectors: ``(clip, number)``.
        classes: Of each clip.
        speakers: Of each clip; they may be missing.
        most: Clips that are drawn; a random sample of more.
        seed: Of the sample and of the maps.
        extra: ``umap``, ``tsne``, or ``None`` for principal components alone.
    """
    count = len(vectors)
    rows = np.sort(np.random.default_rng(seed).permutation(count)[:most])
    classes, speakers = (names.iloc[rows].reset_index(drop=True) for names in (classes, speakers))
    scaled = separation.standardised(vectors[rows])
    components, shares = separation.principal_components(scaled)
    places = {"pca": components}
    axes = {"pca": (f"component 1 ({percent(shares[0])} of the variance)", f"component 2 ({percent(shares[1])})")}
    possible = extra == "tsne" or (extra == "umap" and separation.has_umap())
    if extra and possible and len(scaled) > 4 and scaled.shape[1] > 2:
        places[extra] = (separation.tsne_points if extra == "tsne" else separation.umap_points)(scaled, seed)
        axes[extra] = ("", "")
    groups = {CLASS: classes}
    if speakers.notna().all() and len(speakers.unique()) > 1:
        groups[SPEAKER] = speakers
    return Maps(places, TITLES, axes, groups, _alike(scaled, groups), (len(rows), count))


def draw_maps(album: Album, maps: Maps) -> list[Shown]:
    """Draw every map, once by each kind of group."""
    shown = []
    for name, places in maps.places.items():
        for by, groups in maps.groups.items():
            title = f"{maps.titles[name]}, by {by}"
            charts.points(album, f"{name}_{by}", title, maps.axes[name], places, groups)
            shown.append(Shown(f"{name}_{by}", f"{title}. {maps.sentence_on(by)}"))
    return shown


def _alike(vectors: np.ndarray, groups: Mapping[str, pd.Series]) -> dict[str, Alike]:
    found = {}
    for by, names in groups.items():
        if len(names.unique()) > 1:
            found[by] = Alike(*separation.nearest_is_alike(vectors, names.to_numpy()))
    if CLASS in found and SPEAKER in found:
        classes, speakers = (groups[by].to_numpy() for by in (CLASS, SPEAKER))
        found[ACROSS] = Alike(*separation.nearest_is_alike(vectors, classes, speakers))
    return found
