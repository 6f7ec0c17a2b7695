import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from ser.errors import ConfigError
from ser.pictures import explore as pages
from ser.pictures import maps, separation
from ser.pictures.album import Album
from ser.pictures.collection import GROUP, Collection, collected, side_by_side
from ser.pictures.measures import Measures
from tests.composed import composed


def texts(page: Path) -> str:
    """What a reader of a page sees, without pictures."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL)))


@pytest.fixture
def explored(tiny_demo: Path, stores: Path, tmp_path: Path) -> Callable[..., Path]:
    def explored(*overrides: str) -> Path:
        data = f"+data.corpora.demo.root={tiny_demo}", f"paths.stores={stores}", f"out={tmp_path / 'page'}"
        return pages.explore(OmegaConf.create(composed(*data, "device=cpu", *overrides, config="explore")))

    return explored


@pytest.fixture
def page(explored: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(maps.separation, "find_spec", lambda name: None)  # UMAP compiles for ten seconds
    return explored()


@pytest.mark.slow
def test_page_counts_what_the_manifest_holds_and_needs_nothing_beside_it(page: Path, collection: Collection) -> None:
    seen, html = texts(page), page.read_text()
    for group, count in collection.clips["emotion"].value_counts().items():
        assert f"{group} {count} 6 1 " in seen  # clips, speakers, sentences
    assert "36 clips, 6 speakers, 6 classes" in seen
    assert "synthetic speech" in seen.lower()
    pictures = re.findall(r'src="(.*?)"', html)
    assert pictures
    assert all(uri.startswith("data:image/png;base64,") for uri in pictures)
    assert not re.search(r"<script|<link|https?://(?!www.w3)", html)
    drawn = list(page.parent.glob("*.png"))
    assert len(drawn) == len(pictures)


def test_a_page_with_a_wrong_setting_is_refused_and_leaves_nothing(
    explored: Callable[..., Path], tmp_path: Path
) -> None:
    for override, words in (("points=1", "points must be an integer of 2"), ("vector=gif", "vector must be null, pdf")):
        with pytest.raises(ConfigError, match=words):
            explored(override)
    assert list(tmp_path.iterdir()) == []


def test_measures_are_those_of_each_clip_alone(collection: Collection, measures: Measures) -> None:
    for row in (0, 17, 35):
        samples = collection.waveform(row).astype(np.float64)
        frames = np.lib.stride_tricks.sliding_window_view(samples - samples.mean(), 512)[::160, 56:456]
        levels = 10 * np.log10((frames**2).mean(axis=1))
        loud = levels > levels.max() - 30
        found = measures.table.iloc[row]
        assert found["duration"] == pytest.approx(len(samples) / 16000)
        assert found["loudness"] == pytest.approx(levels[loud].mean(), abs=1e-3)
        assert found["silence"] == pytest.approx(100 * (1 - loud.mean()), abs=1e-4)


def test_one_speaker_says_one_sentence_in_all_classes(collection: Collection) -> None:
    rows, shared = side_by_side(collection, 8)
    chosen = collection.clips.loc[rows]
    assert tuple(chosen[GROUP]) == collection.groups
    assert len(chosen["speaker"].unique()) == len(chosen["sentence"].unique()) == 1
    assert chosen["speaker"].iloc[0] in shared


def test_clips_without_speakers_and_sentences_are_still_found(collection: Collection) -> None:
    unknown = Collection(collection.stores, collection.clips.assign(speaker=None, sentence=None), collection.groups)
    rows, shared = side_by_side(unknown, 3)
    assert len({unknown.clips[GROUP].iloc[row] for row in rows}) == 3
    assert shared == "speakers differ or are unknown, sentences differ or are unknown"


def test_neighbours_tell_speakers_from_classes(collection: Collection, measures: Measures) -> None:
    found_maps = maps.map_clips(
        measures.vectors, collection.clips[GROUP], collection.clips["speaker"], 3000, seed=0, extra="tsne"
    )
    scaled = separation.standardised(measures.vectors)
    found, chance = separation.nearest_is_alike(scaled, collection.clips["speaker"].to_numpy())
    assert found_maps.alike["speaker"] == maps.Alike(found, chance)
    assert chance == pytest.approx(5 / 35)  # six clips a speaker
    better = found_maps.alike["speaker"].beyond_chance > found_maps.alike["class"].beyond_chance
    said = "Speakers separate better than classes" if better else "Classes separate better than speakers"
    assert said in found_maps.sentences()[0]


def test_a_corpus_of_one_class_and_unknown_speakers_has_a_page(
    collection: Collection, measures: Measures, tmp_path: Path
) -> None:
    clips = collection.clips.assign(speaker=None, sex=None, sentence=None, intensity=None, **{GROUP: "angry"})
    one = Collection(collection.stores, clips, ("angry",))
    album = Album(tmp_path)
    assert "Not stated for any clip: speaker, sex, intensity." in pages._counts(album, one).sentences
    assert pages._distributions(album, one, measures).table is None
    found = maps.map_clips(measures.vectors, clips[GROUP], clips["speaker"], 3000, 0, "tsne")
    assert found.alike == {}
    assert "Speakers are unknown, or there is one" in found.sentences()[0]


def test_numbers_are_grouped_by_thirds(collection: Collection) -> None:
    from ser.corpora.dimensions import Dimensions

    (store,) = collection.stores
    arousal = pd.Series(np.arange(36) / 36)
    numbered = type(store)(store.folder, store.manifest.assign(further_arousal=arousal, emotion=None), store.card)
    found = collected({"demo": numbered}, Dimensions(["arousal"]))
    assert found.groups == ("low arousal", "middle arousal", "high arousal")
    assert found.clips[GROUP].value_counts().tolist() == [12, 12, 12]
