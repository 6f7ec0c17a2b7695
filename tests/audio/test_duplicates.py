import hashlib
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ser.audio import duplicates
from ser.audio.decode import AudioSettings, resample
from ser.audio.duplicates import compare_clips, find_duplicates, words_of
from ser.audio.store import Store, prepare
from ser.corpora.demo import Demo
from ser.corpora.ravdess import Ravdess

RATE = 16000
SOURCE = "demo/m01_s2_sad_1"


@pytest.fixture(scope="module")
def demo(stores: Path) -> Store:
    return prepare(Demo(), stores, AudioSettings())


@pytest.fixture
def clip(demo: Store) -> np.ndarray:
    """Two seconds of synthetic speech, in units of int16."""
    return clip_of(demo, SOURCE)


def clip_of(store: Store, utterance: str) -> np.ndarray:
    row = store.manifest[store.manifest["id"] == utterance]
    start, length = int(row["start"].item()), int(row["length"].item())
    return np.asarray(store.samples[start : start + length], dtype=np.float64)


def store_of(folder: Path, clips: dict[str, np.ndarray], sample_rate: int = RATE) -> Store:
    """A store of these clips, rounded and clipped to int16."""
    folder.mkdir()
    samples = [np.clip(np.rint(c), -32768, 32767).astype("<i2") for c in clips.values()]
    np.concatenate(samples).tofile(folder / "waveforms.i16")
    lengths = [len(s) for s in samples]
    manifest = pd.DataFrame({"id": list(clips), "length": lengths, "start": np.cumsum(lengths) - lengths})
    manifest["sha256"] = [hashlib.sha256(s.tobytes()).hexdigest() for s in samples]
    content = hashlib.sha256("".join([*clips, *manifest["sha256"]]).encode()).hexdigest()
    return Store(folder, manifest, {"settings": {"sample_rate": sample_rate}, "fingerprint": content})


def rows(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    return list(table[["one", "other", "kind"]].itertuples(index=False, name=None))


def through(rate: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda clip: resample(resample(clip, RATE, rate), rate, RATE)


ALTERATIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "through 8 kHz": through(8000),
    "through 44.1 kHz": through(44100),
    "a tenth as loud": lambda clip: 0.1 * clip,
    "inverted": lambda clip: -clip,
    "clipped": lambda clip: np.clip(clip, -0.5 * clip.max(), 0.5 * clip.max()),
    "trimmed at both ends by 0.3 s and half a hop": lambda clip: clip[4880:-4880],
    "behind silence": lambda clip: np.concatenate([np.zeros(7777), clip]),
    "noise at 20 dB": lambda clip: clip + np.random.default_rng(0).normal(0, 0.1 * clip.std(), len(clip)),
}


@pytest.mark.parametrize("alteration", ALTERATIONS)
def test_altered_copy_is_near_identical_only_to_its_source(
    alteration: str, clip: np.ndarray, demo: Store, tmp_path: Path
) -> None:
    voice = demo.manifest[demo.manifest["speaker"] == "demo/m01"]  # everything that it could be mistaken for
    other = Store(demo.folder, voice, demo.card)
    copy = store_of(tmp_path / "copy", {"copy": ALTERATIONS[alteration](clip)})
    found = find_duplicates([other, copy])
    assert rows(found) == [("copy", SOURCE, "near-identical")]
    assert duplicates.ALIKE <= found["similarity"].item() <= 1


def test_rates_of_stores_may_differ(clip: np.ndarray, tmp_path: Path) -> None:
    at_16, at_8 = store_of(tmp_path / "16", {"a": clip}), store_of(tmp_path / "8", {"b": clip[::2]}, sample_rate=8000)
    faster = store_of(tmp_path / "faster", {"c": clip[::2]})
    assert rows(find_duplicates([at_16, at_8])) == [("a", "b", "near-identical")]
    assert rows(find_duplicates([at_16, faster])) == []


def test_takes_of_a_sentence_are_not_duplicates(demo: Store) -> None:
    """Each voice of the demo corpus says everything twice, by one script: nothing recorded is more alike."""
    assert find_duplicates([demo]).empty
    alike = compare_clips([demo])
    ids = demo.manifest.set_index("sha256")["id"]
    same_script = [ids[a][:-1] == ids[b][:-1] for a, b in zip(alike["one"], alike["other"], strict=True)]
    assert sum(same_script) >= 5  # else this showed nothing
    assert alike["correlation"].max() < duplicates.CORRELATED - 0.2


def test_equal_samples_are_identical_within_and_across_stores(clip: np.ndarray, tmp_path: Path) -> None:
    one = store_of(tmp_path / "one", {"b": clip, "a": clip, "short": clip[:100]})
    two = store_of(tmp_path / "two", {"c": clip, "brief": clip[:100]})
    found = find_duplicates([one, two])
    pairs = [("a", "b"), ("a", "c"), ("b", "c"), ("brief", "short")]
    assert rows(found) == [(*pair, "identical") for pair in pairs]
    assert (found["similarity"] == 1).all()


def test_copy_of_two_identical_clips_is_near_identical_to_both(clip: np.ndarray, demo: Store, tmp_path: Path) -> None:
    unrelated = clip_of(demo, "demo/f02_s3_ang_1")
    clips = {"z": clip, "m": 0.5 * clip, "a": clip, "x": unrelated, "y": unrelated, "w": 0.5 * unrelated}
    assert rows(find_duplicates([store_of(tmp_path / "s", clips)])) == [
        ("a", "m", "near-identical"),
        ("a", "z", "identical"),
        ("m", "z", "near-identical"),
        ("w", "x", "near-identical"),
        ("w", "y", "near-identical"),
        ("x", "y", "identical"),
    ]


def test_overlapping_cuts_of_one_recording_are_duplicates(clip: np.ndarray, tmp_path: Path) -> None:
    parts = {"first": clip[:20000], "second": clip[5000:], "start": clip[:9000], "end": clip[-9000:]}
    found = {pair[:2] for pair in rows(find_duplicates([store_of(tmp_path / "s", parts)]))}
    assert ("first", "second") in found
    assert ("end", "start") not in found


def test_silence_hum_and_noise_are_not_duplicates(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    hum = 3000 * np.sin(2 * np.pi * 50 * np.arange(2 * RATE) / RATE)  # under the bands
    clips = {f"zeros {n}": np.zeros(n) for n in (100, 40000)}
    clips |= {f"noise {i}": random.normal(0, 1000, 40000) for i in range(4)}
    clips |= {f"hum {i}": hum + random.normal(0, 10, len(hum)) for i in range(4)}
    assert find_duplicates([store_of(tmp_path / "s", clips)]).empty


def test_shared_noise_floor_makes_no_duplicates(demo: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same three seconds of noise before each of two sentences, 40 dB under them, have no say."""
    floor = np.random.default_rng(0).normal(0, 1, 3 * RATE)
    speech = [clip_of(demo, name) for name in ("demo/f01_s1_ang_1", "demo/m02_s3_sad_1")]
    level = 0.01 * min(s.std() for s in speech)
    store = store_of(tmp_path / "s", {str(i): np.concatenate([level * floor, s]) for i, s in enumerate(speech)})
    assert compare_clips([store]).empty
    monkeypatch.setattr(duplicates, "GATE_DB", 100.0)
    assert len(compare_clips([store])) == 1  # they would, if noise were audible


def test_similarity_falls_with_noise(clip: np.ndarray, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, clip.std(), len(clip))
    noisy = {f"{db} dB": clip + 10 ** (-db / 20) * noise for db in (40, 30, 20)}
    found = find_duplicates([store_of(tmp_path / "s", {"": clip, **noisy})]).set_index(["one", "other"])["similarity"]
    similar = [found["", name] for name in noisy]
    assert all(more > less for more, less in pairwise([1, *similar]))


def test_independent_noises_share_half_their_bits() -> None:
    """Bits of neighbouring frames are dependent, so the 2000 frames count as some 150 x 32 bits: sd 0.7 %, here 4 sd."""
    first, second = (words_of(np.random.default_rng(i).normal(size=161_600))[0] for i in range(2))
    share = 1 - np.bitwise_count(first ^ second).mean() / 32
    assert share == pytest.approx(0.5, abs=0.03)


def test_word_holds_the_signs_of_differences_over_bands_and_frames() -> None:
    """By the definition, one bit at a time, with numpy's own Fourier transform in double precision."""
    wave = np.random.default_rng(0).normal(size=duplicates.FRAME + 5 * duplicates.HOP)
    window = np.hanning(duplicates.FRAME)
    power = [
        np.abs(np.fft.rfft(window * wave[i : i + duplicates.FRAME])) ** 2
        for i in range(0, 6 * duplicates.HOP, duplicates.HOP)
    ]
    edges = [round(hertz * duplicates.FRAME / duplicates.RATE) for hertz in duplicates.EDGES_HZ]
    energy = [[sum(p[low:high]) for low, high in pairwise(edges)] for p in power]
    words, unsure, says = words_of(wave)
    for n, word in enumerate(words):
        change = [(energy[n + 1][m] - energy[n + 1][m + 1]) - (energy[n][m] - energy[n][m + 1]) for m in range(32)]
        assert f"{word:032b}" == "".join("1" if c > 0 else "0" for c in change)
        least = sorted(range(32), key=lambda m: abs(change[m]))[: duplicates.UNSURE]
        assert set(unsure[n].tolist()) == {2 ** (31 - m) for m in least}
    assert len(words) == 5
    assert says.all()


def test_table_is_cached(clip: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = store_of(tmp_path / "one", {"a": clip}), store_of(tmp_path / "two", {"b": 0.5 * clip})
    cache = tmp_path / "cache"
    found = find_duplicates([one, two], cache)
    (kept,) = cache.iterdir()
    assert kept.name.startswith("duplicates-")
    assert kept.suffix == ".parquet"
    before = kept.stat().st_mtime_ns
    monkeypatch.setattr(duplicates, "compare_clips", None)  # reading needs none of it
    pd.testing.assert_frame_equal(find_duplicates([two, one], cache), found)
    assert kept.stat().st_mtime_ns == before
    monkeypatch.undo()
    assert find_duplicates([one], cache).empty  # other stores, another table
    assert find_duplicates([one], cache).empty
    monkeypatch.setattr(duplicates, "VERSION", -1)
    find_duplicates([one, two], cache)
    assert len(list(cache.iterdir())) == 3


def test_empty_tables_have_the_same_columns(clip: np.ndarray, tmp_path: Path) -> None:
    for found in (find_duplicates([]), find_duplicates([store_of(tmp_path / "s", {"a": clip})])):
        assert list(found.columns) == ["one", "other", "kind", "similarity"]
        assert found.empty
        assert found["similarity"].dtype == np.float64


def test_id_in_two_stores_is_an_error(clip: np.ndarray, tmp_path: Path) -> None:
    one, two = store_of(tmp_path / "one", {"a": clip}), store_of(tmp_path / "two", {"a": 0.5 * clip})
    with pytest.raises(ValueError, match="must hold each utterance once; got a twice"):
        find_duplicates([one, two])


@pytest.fixture
def ravdess(stores: Path) -> Store:
    root = Path(os.environ.get("SER_CORPORA", "nowhere")) / "ravdess"
    if not root.is_dir():
        pytest.skip("no real recordings: SER_CORPORA names no folder with RAVDESS")
    return prepare(Ravdess(root), stores, AudioSettings())


@pytest.mark.slow
@pytest.mark.corpora
def test_ravdess_has_one_duplicate_recording(ravdess: Store) -> None:
    """Its 720 pairs of takes hold one whose second take is the first; see `ser.corpora.ravdess`."""
    found = find_duplicates([ravdess])
    assert rows(found) == [(*pair, "identical") for pair in Ravdess.identical]
