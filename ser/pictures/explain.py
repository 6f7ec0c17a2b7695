"""What a run's answers rest on, as one page: attributions, its last layer, and its surest mistakes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ser.baselines.classical import Classical
from ser.errors import ConfigError
from ser.evaluation.measure import measure_in
from ser.evaluation.summary import summarise
from ser.features.functionals import Functionals
from ser.models.encoders.embedding import Embedding
from ser.pictures.album import Album
from ser.pictures.attribution import NO_CAPTUM, has_captum, layer_below
from ser.pictures.explained import TABLES, Explained, explained_fold
from ser.pictures.heat import TITLE, attributions_section
from ser.pictures.importance import importances_section
from ser.pictures.maps import draw_maps, map_clips
from ser.pictures.mistakes import mistakes_section
from ser.pictures.page import Page, Section, check_integers, write_album_page
from ser.pictures.waves import waveform_section
from ser.report.format import writer
from ser.runs.identity import model_name
from ser.runtime.words import counted

if TYPE_CHECKING:
    from omegaconf import DictConfig

PAGE_FILE = "explain.html"
LEAST = {"clips": 1, "steps": 1, "mistakes": 0, "points": 2, "seed": 0}
"""Smallest values of the settings that are integers."""


def explain(config: "DictConfig") -> Path:
    """Write the page of the run that a configuration names, and return its path.

    Raises:
        SerError: If the run is not finished, its recordings are gone or others, or a setting is out of its range.
    """
    from omegaconf import OmegaConf

    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    _check(plain)
    shown = explained_fold(plain)
    out = Path(plain["out"] or shown.fold.path / f"explain_{shown.side}").expanduser()
    album = Album(out, tuple(shown.fold.about["stamps"]), plain["vector"])
    sections = [_rest(album, shown, plain), _embeddings(album, shown, plain), mistakes_section(shown, plain)]
    return write_album_page(Page(*_heading(shown), sections), album, PAGE_FILE)


def _rest(album: Album, shown: Explained, plain: dict[str, Any]) -> Section:
    """Return what the answers rest on: features of a vector, the waveform of an encoder, or rows and frames of features."""
    if isinstance(shown.model, Classical):
        return importances_section(album, shown, shown.model, plain)
    if not has_captum():
        if plain["clip"] is not None:
            raise ConfigError(f"clip must be null for this run. {NO_CAPTUM}")
        return Section(TITLE, [NO_CAPTUM])
    reads_waveform = isinstance(shown.model.features, Embedding)  # whose features have no axis of frequency
    return (waveform_section if reads_waveform else attributions_section)(album, shown, plain)


def _check(plain: dict[str, Any]) -> None:
    check_integers(plain, LEAST)
    for name, allowed in (("side", tuple(TABLES)), ("map", ("umap", "tsne"))):
        if plain[name] not in allowed:
            raise ConfigError(f"{name} must be {' or '.join(allowed)}; got {plain[name]!r}.")


def _heading(shown: Explained) -> tuple[str, str, dict[str, str]]:
    """Return title, lead and facts."""
    summary = summarise(shown.table)
    measure = measure_in(summary)
    score = writer(measure)(summary[measure.key])
    speakers = len(shown.table["speaker"].unique())
    lead = (
        f"{shown.side.capitalize()} speakers, as the run predicted them: {counted(len(shown.table), 'utterance')} of "
        f"{counted(speakers, 'speaker')}, {measure.name} {score}."
    )
    facts = {
        "run": shown.fold.whole.name,
        "fold": str(shown.data.fold),
        "model": model_name(shown.fold.config["model"]),
        "features": _described(shown.model.features),
        "normalised by": shown.model.normalise.by,
        "corpora": ", ".join(shown.data.plan.corpora),
    }
    return f"What {shown.fold.whole.name} listens to", lead, facts


def _described(features: nn.Module) -> str:
    """Return the name of some features, and of what they are functionals of."""
    name = type(features).__name__
    return f"{name} of {_described(features.of)}" if isinstance(features, Functionals) else name


def _embeddings(album: Album, shown: Explained, plain: dict[str, Any]) -> Section:
    vectors, what = layer_below(shown.model, shown.data, shown.rows, shown.own)
    maps = map_clips(vectors, shown.groups, shown.table["speaker"], plain["points"], plain["seed"], plain["map"])
    about = f"Each point is a {shown.side} clip, placed by the {vectors.shape[1]} {what}."
    return Section(
        "Maps of what the outputs are made from", [about, *maps.sentences()], draw_maps(album, maps), maps.table()
    )
