import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.audio import clips
from ser.audio import store as waveforms
from ser.audio.decode import (
    AudioSettings,
    Recording,
    read_audio,
    read_recording,
    resample,
    standardise,
    to_int16,
    trim,
)
from ser.audio.store import prepare
from ser.corpora.crema import Crema
from ser.corpora.manifest import Piece
from ser.corpora.ravdess import Ravdess
from ser.corpora.savee import Savee
from ser.errors import AudioError, BadCorpusError, CorpusNotFoundError

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 83148\n"
SETTINGS = AudioSettings()
NAMES = ("DC_a01", "DC_h02", "JE_n01", "JK_sa01", "KL_su01")


def noise(seconds: float, seed: int = 0, rate: int = 16000) -> np.ndarray:
    """16-bit noise, as SAVEE's and CREMA-D's files hold sound."""
    return np.random.default_rng(seed).integers(-9000, 9000, round(seconds * rate)).astype(np.int16)


def sine(hertz: float, rate: int, seconds: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def savee(tmp_path: Path) -> Path:
    """Five clips under SAVEE's names, of 0.2 to 0.4 s."""
    root = tmp_path / "savee"
    root.mkdir()
    for i, name in enumerate(NAMES):
        soundfile.write(root / f"{name}.wav", noise(0.2 + 0.05 * i, seed=i), 16000)
    return root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "stores"


def left_in(home: Path) -> list[str]:
    """What lies in the stores' folder beside lock files."""
    return sorted(p.name for p in home.iterdir() if p.suffix != ".lock")


def clip(store: waveforms.Store, row: int) -> np.ndarray:
    start, length = store.manifest["start"][row], store.manifest["length"][row]
    return np.array(store.samples[start : start + length])


# Decoding


def test_every_16_bit_value_survives_unchanged(tmp_path: Path) -> None:
    every = np.arange(-32768, 32768, dtype=np.int16)
    soundfile.write(tmp_path / "x.wav", every, 16000, subtype="PCM_16")
    samples, rate = read_audio(tmp_path / "x.wav")
    np.testing.assert_array_equal(standardise(samples, rate, SETTINGS), every)


def test_full_scale_is_rounded_and_clipped() -> None:
    values = np.array([1.0, 1.5, -1.0, -1.5, 0.4 / 32768, 0.6 / 32768, -0.6 / 32768], dtype=np.float32)
    assert to_int16(values).tolist() == [32767, 32767, -32768, -32768, 0, 1, -1]


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = noise(0.1, 1), noise(0.1, 2)
    soundfile.write(tmp_path / "x.wav", np.stack([left, right], axis=1), 16000)
    samples, _ = read_audio(tmp_path / "x.wav")
    np.testing.assert_array_equal(samples * 65536, left.astype(np.float64) + right)


@pytest.mark.parametrize(
    ("suffix", "container", "subtype", "tolerance"),
    [
        (".wav", "WAV", "PCM_24", 0.0),
        (".wav", "WAV", "FLOAT", 0.0),
        (".wav", "AIFF", "PCM_16", 0.0),  # as two files of TESS are
        (".flac", "FLAC", "PCM_16", 0.0),
        (".ogg", "OGG", "VORBIS", 0.02),
        (".mp3", "MP3", "MPEG_LAYER_III", 0.02),
    ],
)
def test_each_format_is_decoded_unchanged(
    tmp_path: Path, suffix: str, container: str, subtype: str, tolerance: float
) -> None:
    wrote = sine(440, 16000)
    wrote = np.rint(wrote * 32768) / 32768
    path = tmp_path / f"x{suffix}"
    soundfile.write(path, wrote, 16000, format=container, subtype=subtype)
    samples, rate = read_audio(path)
    assert (rate, samples.dtype) == (16000, np.float32)
    middle = slice(2000, 14000)
    np.testing.assert_allclose(samples[middle], wrote[middle], rtol=0, atol=tolerance)


@pytest.mark.parametrize("rate", [96000, 48000, 44100, 24414, 22050, 8000])
def test_resampled_sine_is_the_sine_at_the_new_rate(rate: int) -> None:
    """Frequency, amplitude and time of the corpora's rates, against the closed form."""
    got = standardise(sine(1000, rate).astype(np.float32), rate, SETTINGS) / 32768
    expected = sine(1000, 16000)
    assert abs(len(got) - 16000) <= 1
    middle = slice(1000, 15000)
    np.testing.assert_allclose(got[middle], expected[middle], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("hertz", "rate"), [(9000, 48000), (20000, 44100), (40000, 96000), (11000, 24414)])
def test_resampling_does_not_alias(hertz: float, rate: int) -> None:
    got = resample(sine(hertz, rate).astype(np.float32), rate, 16000)
    assert np.abs(got[1000:15000]).max() < 0.5e-3  # 60 dB under what went in


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty: the file has no bytes"),
        (POINTER.encode(), "LFS pointer: run `git lfs pull`"),
        (b"<html>404</html>" * 100, "unreadable"),
        (None, "unreadable: No such file"),
    ],
)
def test_unreadable_file_is_named_with_the_reason(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(AudioError, match=f"{path}: {told}"):
        read_audio(path)


def test_trimming_cuts_silence_to_within_a_frame_and_no_sound() -> None:
    before, sound, after = 8000, 16000, 11000
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(before + sound + after)  # -80 dB
    tone = np.concatenate([np.zeros(before), sine(300, 16000), np.zeros(after)])
    ramp = np.arange(len(tone)) * 1e-12  # tells where a sample came from
    samples = tone + hiss + ramp
    kept = trim(samples, 16000, 30.0)
    start = int(np.flatnonzero(samples == kept[0])[0])
    np.testing.assert_array_equal(kept, samples[start : start + len(kept)])
    margin, frame = 800, 400  # 50 ms and 25 ms
    assert before - margin - frame <= start <= before - margin
    assert before + sound + margin <= start + len(kept) <= before + sound + margin + frame


def test_trimming_is_relative_to_the_loudest_frame() -> None:
    samples = np.concatenate([sine(300, 16000, 0.5, 0.01), sine(300, 16000, 0.5, 0.5)])  # 34 dB apart
    assert len(trim(samples, 16000, 40.0)) == 16000
    assert len(trim(samples, 16000, 30.0)) < 9300
    assert len(trim(samples * 1e-2, 16000, 40.0)) == 16000


@pytest.mark.parametrize("samples", [np.zeros(16000), np.ones(100), np.ones(401)])
def test_trimming_keeps_silent_and_short_clips_whole(samples: np.ndarray) -> None:
    np.testing.assert_array_equal(trim(samples, 16000, 30.0), samples)


# Stores


def test_store_holds_every_clip_and_then_zeros(savee: Path, home: Path) -> None:
    store = prepare(Savee(savee), home, SETTINGS)
    assert [Path(p).stem for p in store.manifest["path"]] == sorted(NAMES)
    for row, path in enumerate(store.manifest["path"]):
        wrote, _ = soundfile.read(path, dtype="int16")
        np.testing.assert_array_equal(clip(store, row), wrote)
    total, longest = store.manifest["length"].sum(), store.manifest["length"].max()
    assert len(store.samples) == total + longest
    assert not store.samples[total:].any()
    assert (store.card["samples"], store.card["longest"]) == (total, longest) == (24000, 6400)
    assert store.card["hours"] == pytest.approx(1.5 / 3600)
    assert store.card["problems"] == []


def test_writing_to_samples_does_not_change_the_file(savee: Path, home: Path) -> None:
    store = prepare(Savee(savee), home, SETTINGS)
    first = int(store.samples[0])
    store.samples[0] = first + 1
    assert int(prepare(Savee(savee), home, SETTINGS).samples[0]) == first


def test_trimming_is_optional(savee: Path, home: Path) -> None:
    padded = np.concatenate([np.zeros(16000, np.int16), noise(0.5), np.zeros(16000, np.int16)])
    soundfile.write(savee / "DC_a01.wav", padded, 16000)
    whole = prepare(Savee(savee), home, SETTINGS)
    np.testing.assert_array_equal(clip(whole, 0), padded)
    cut = prepare(Savee(savee), home, AudioSettings(trim_db=30.0))
    assert 8000 + 1600 <= cut.manifest["length"][0] <= 8000 + 1600 + 800
    assert cut.folder != whole.folder


BROKEN = {
    "unreadable": "1001_DFA_DIS_XX",
    "empty": "1001_DFA_FEA_XX",
    "silent": "1001_DFA_HAP_XX",
    "LFS pointer": "1001_DFA_NEU_XX",
    "NaN": "1001_DFA_SAD_XX",
    "too short": "1002_DFA_ANG_XX",
    "known bad": "1076_MTI_SAD_XX",
}


@pytest.fixture
def crema(tmp_path: Path) -> Path:
    """Under CREMA-D's names: two sound clips, two that are odd but kept, and one of each that cannot be used."""
    root = tmp_path / "crema" / "AudioWAV"
    root.mkdir(parents=True)
    path = {kind: root / f"{name}.wav" for kind, name in BROKEN.items()}
    soundfile.write(root / "1001_DFA_ANG_XX.wav", noise(0.3, 1), 16000)
    soundfile.write(root / "1003_DFA_ANG_XX.wav", noise(0.3, 2), 16000)
    soundfile.write(root / "1004_DFA_ANG_XX.wav", noise(0.3, 2), 16000)  # a duplicate
    soundfile.write(root / "1005_DFA_ANG_XX.wav", noise(0.3, 3, 8000), 8000)
    path["unreadable"].write_bytes(b"<html>404</html>" * 100)
    path["empty"].write_bytes(b"")
    soundfile.write(root / "1002_DFA_DIS_XX.wav", np.zeros(0, np.int16), 16000)  # a header without samples
    soundfile.write(path["silent"], np.full(16000, 20, np.int16), 16000)
    path["LFS pointer"].write_text(POINTER)
    soundfile.write(path["NaN"], np.array([0.5, np.nan] * 4000), 16000, subtype="FLOAT")
    soundfile.write(path["too short"], noise(0.09), 16000)
    soundfile.write(path["known bad"], noise(0.3, 4), 16000)
    return root.parent


def test_problems_are_listed_by_kind_and_other_clips_are_kept(crema: Path, home: Path) -> None:
    store = prepare(Crema(crema), home, SETTINGS)
    problems = {(p["utterance"].removeprefix("crema/"), p["kind"], p["left_out"]) for p in store.card["problems"]}
    assert problems == {
        *((name, kind, True) for kind, name in BROKEN.items()),
        ("1002_DFA_DIS_XX", "empty", True),
        ("1004_DFA_ANG_XX", "duplicate", False),
        ("1005_DFA_ANG_XX", "wrong rate", False),
    }
    assert len(store.card["problems"]) == 10
    details = {p["kind"]: p["detail"] for p in store.card["problems"]}
    assert "crema/1003_DFA_ANG_XX" in details["duplicate"]
    assert "8000 Hz" in details["wrong rate"]
    assert "90 ms" in details["too short"]
    assert all(Path(p["path"]).stem == p["utterance"].removeprefix("crema/") for p in store.card["problems"])
    kept = [f"crema/{actor}_DFA_ANG_XX" for actor in (1001, 1003, 1004, 1005)]
    assert store.manifest["id"].tolist() == kept
    assert (store.card["found"], store.card["utterances"]) == (12, 4)
    np.testing.assert_array_equal(clip(store, 0), noise(0.3, 1))
    np.testing.assert_array_equal(clip(store, 2), noise(0.3, 2))


def test_strict_names_every_problem_and_writes_nothing(crema: Path, home: Path) -> None:
    with pytest.raises(BadCorpusError, match="strict=true; got 9 problems") as caught:
        prepare(Crema(crema), home, SETTINGS, strict=True)
    for kind, name in BROKEN.items():
        # What the release itself has wrong is no error: nobody has a better copy.
        assert (f"{kind}: {crema / 'AudioWAV' / name}.wav" in str(caught.value)) == (kind != "known bad")
    assert "duplicate: " in str(caught.value)
    assert "wrong rate: " in str(caught.value)
    assert left_in(home) == []


def test_strict_applies_to_existing_stores_without_their_corpus(crema: Path, home: Path) -> None:
    prepare(Crema(crema), home, SETTINGS)
    with pytest.raises(BadCorpusError, match="got 9 problems"):
        prepare(Crema(crema), home, SETTINGS, strict=True)
    shutil.rmtree(crema)
    with pytest.raises(BadCorpusError, match="got 9 problems"):
        prepare(Crema(crema), home, SETTINGS, strict=True)


def test_strict_accepts_a_corpus_without_problems(savee: Path, home: Path) -> None:
    assert len(prepare(Savee(savee), home, SETTINGS, strict=True).manifest) == 5


def test_corpus_without_usable_files_is_an_error(savee: Path, home: Path) -> None:
    for path in savee.iterdir():
        path.write_text(POINTER)
    with pytest.raises(BadCorpusError, match=r"None of the 5 clips of SAVEE.*LFS pointer.*DC_a01\.wav"):
        prepare(Savee(savee), home, SETTINGS)
    assert left_in(home) == []


def test_card_counts_stray_audio(savee: Path, home: Path) -> None:
    soundfile.write(savee / "outtake.wav", noise(0.2), 16000)
    store = prepare(Savee(savee), home, SETTINGS)
    assert any("1 audio file " in note and "outtake.wav" in note for note in store.card["notes"])
    assert len(store.manifest) == 5


# When a store is prepared again


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded, as they are."""
    names: list[str] = []

    def counting(path: str | Path, piece: Piece | None) -> Recording:
        names.append(Path(path).stem)
        return read_recording(path, piece)

    monkeypatch.setattr(clips, "read_recording", counting)
    return names


def test_second_call_decodes_nothing(savee: Path, home: Path, decoded: list[str]) -> None:
    first = prepare(Savee(savee), home, SETTINGS)
    assert sorted(decoded) == sorted(NAMES)
    decoded.clear()
    second = prepare(Savee(savee), home, SETTINGS)
    assert decoded == []
    assert second.card == first.card
    pd.testing.assert_frame_equal(second.manifest, first.manifest)
    np.testing.assert_array_equal(second.samples, first.samples)


def change(root: Path) -> None:
    soundfile.write(root / "DC_a01.wav", noise(0.2, seed=99), 16000)


def add(root: Path) -> None:
    soundfile.write(root / "KL_n02.wav", noise(0.2, seed=98), 16000)


def remove(root: Path) -> None:
    (root / "DC_a01.wav").unlink()


def rename(root: Path) -> None:
    (root / "DC_a01.wav").rename(root / "DC_a02.wav")


@pytest.mark.parametrize(
    ("alter", "anew"), [(change, ["DC_a01"]), (add, ["KL_n02"]), (remove, []), (rename, ["DC_a02"])]
)
def test_changed_corpus_is_prepared_again_by_decoding_what_changed(
    savee: Path, home: Path, decoded: list[str], alter: Callable[[Path], None], anew: list[str]
) -> None:
    before = prepare(Savee(savee), home, SETTINGS)
    decoded.clear()
    alter(savee)
    after = prepare(Savee(savee), home, SETTINGS)
    assert decoded == anew
    assert after.fingerprint != before.fingerprint
    assert after.fingerprint == prepare(Savee(savee), home, SETTINGS, rebuild=True).fingerprint
    assert {Path(p).name for p in after.manifest["path"]} == {p.name for p in savee.iterdir()}
    for row, path in enumerate(after.manifest["path"]):
        np.testing.assert_array_equal(clip(after, row), soundfile.read(path, dtype="int16")[0])


def test_open_store_keeps_its_samples_when_another_job_replaces_it(savee: Path, home: Path) -> None:
    before = prepare(Savee(savee), home, SETTINGS)
    change(savee)
    after = prepare(Savee(savee), home, SETTINGS)
    assert (before.folder, before.fingerprint != after.fingerprint) == (after.folder, True)
    for store in (before, after):
        contents = [hashlib.sha256(clip(store, row).tobytes()).hexdigest() for row in range(len(store.manifest))]
        assert contents == store.manifest["sha256"].tolist()


def test_store_that_is_replaced_while_it_is_read_is_not_taken_for_its_own(
    savee: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(Savee(savee), home, SETTINGS)
    opened, parse = waveforms._open, Savee.parse

    def replaced_first(target: Path) -> waveforms.Store:
        monkeypatch.setattr(waveforms, "_open", opened)
        with monkeypatch.context() as other:  # a job that reads other labels
            other.setattr(Savee, "parse", lambda self, path: replace(parse(self, path), emotion="bored"))
            prepare(Savee(savee), home, SETTINGS)
        return opened(target)

    monkeypatch.setattr(waveforms, "_open", replaced_first)
    assert "bored" not in set(prepare(Savee(savee), home, SETTINGS).manifest["emotion"])


def test_rebuild_decodes_again(savee: Path, home: Path, decoded: list[str]) -> None:
    prepare(Savee(savee), home, SETTINGS)
    prepare(Savee(savee), home, SETTINGS, rebuild=True)
    assert len(decoded) == 2 * len(NAMES)


@pytest.mark.parametrize("file", ["waveforms.i16", "manifest.parquet", "card.json"])
def test_store_with_a_missing_file_is_prepared_again(savee: Path, home: Path, file: str) -> None:
    store = prepare(Savee(savee), home, SETTINGS)
    (store.folder / file).unlink()
    assert prepare(Savee(savee), home, SETTINGS).fingerprint == store.fingerprint


def test_truncated_store_is_prepared_again(savee: Path, home: Path) -> None:
    store = prepare(Savee(savee), home, SETTINGS)
    with (store.folder / "waveforms.i16").open("r+b") as file:
        file.truncate(100)
    assert len(prepare(Savee(savee), home, SETTINGS).samples) == 24000 + 6400


class Relabelled(Savee):
    """SAVEE with anger called fear."""

    emotions: ClassVar[dict[str, str]] = {**Savee.emotions, "a": "fear"}


def test_fingerprint_depends_on_settings_labels_and_samples(savee: Path, home: Path) -> None:
    seen = [prepare(Savee(savee), home, SETTINGS).fingerprint]
    seen.append(prepare(Savee(savee), home, AudioSettings(sample_rate=8000)).fingerprint)
    seen.append(prepare(Savee(savee), home, AudioSettings(trim_db=60.0)).fingerprint)
    seen.append(prepare(Relabelled(savee), home, SETTINGS).fingerprint)
    samples, _ = soundfile.read(savee / "DC_a01.wav", dtype="int16")
    samples[7] += 1
    soundfile.write(savee / "DC_a01.wav", samples, 16000)
    seen.append(prepare(Savee(savee), home, SETTINGS).fingerprint)
    assert len(set(seen)) == 5


def test_fingerprint_does_not_depend_on_path_or_date(
    savee: Path, home: Path, tmp_path: Path, decoded: list[str]
) -> None:
    here = prepare(Savee(savee), home, SETTINGS)
    shutil.copytree(savee, tmp_path / "elsewhere" / "savee")
    there = prepare(Savee(tmp_path / "elsewhere" / "savee"), home, SETTINGS)
    assert (there.fingerprint, len(decoded)) == (here.fingerprint, 10)
    assert there.folder != here.folder
    os.utime(savee / "DC_a01.wav", (0, 0))
    again = prepare(Savee(savee), home, SETTINGS)
    assert (again.fingerprint, len(decoded)) == (here.fingerprint, 11)


def test_store_opens_without_its_corpus(savee: Path, home: Path) -> None:
    before = prepare(Savee(savee), home, SETTINGS)
    shutil.rmtree(savee)
    after = prepare(Savee(savee), home, SETTINGS)
    assert after.fingerprint == before.fingerprint
    np.testing.assert_array_equal(after.samples, before.samples)


def test_missing_corpus_without_a_store_is_an_error(home: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match="SAVEE is not at"):
        prepare(Savee(tmp_path / "none"), home, SETTINGS)


# Nothing half-made


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_failed_preparation_leaves_nothing_and_can_be_repeated(
    savee: Path, home: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    def stopping(path: Path, piece: Piece | None) -> Recording:
        if Path(path).stem == "JE_n01":
            raise stop
        return read_recording(path, piece)

    with monkeypatch.context() as patch:
        patch.setattr(clips, "read_recording", stopping)
        with pytest.raises(stop):
            prepare(Savee(savee), home, SETTINGS)
    assert left_in(home) == []
    assert len(prepare(Savee(savee), home, SETTINGS).manifest) == 5


def _full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class FullDisk:
    """A file that takes 8000 bytes."""

    def __init__(self, file: Any) -> None:
        self.file, self.room = file, 8000

    def __enter__(self) -> "FullDisk":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> None:
        self.room -= len(data)
        if self.room < 0:
            _full()
        self.file.write(data)


def full_for_samples(patch: pytest.MonkeyPatch) -> None:
    opened = Path.open

    def full(path: Path, mode: str = "r", *more: Any, **named: Any) -> Any:
        file = opened(path, mode, *more, **named)
        return FullDisk(file) if path.name == "waveforms.i16" and "w" in mode else file

    patch.setattr(Path, "open", full)


def full_for_manifest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pd.DataFrame, "to_parquet", _full)


def full_for_card(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Path, "write_text", _full)


@pytest.mark.parametrize("fill", [full_for_samples, full_for_manifest, full_for_card])
@pytest.mark.parametrize("older", [False, True])
def test_full_disk_keeps_the_old_store_and_no_partial_one(
    savee: Path, home: Path, monkeypatch: pytest.MonkeyPatch, fill: Callable[[pytest.MonkeyPatch], None], older: bool
) -> None:
    before = prepare(Savee(savee), home, SETTINGS) if older else None
    with monkeypatch.context() as patch:
        fill(patch)
        with pytest.raises(OSError, match="No space left"):
            prepare(Savee(savee), home, SETTINGS, rebuild=True)
    assert left_in(home) == ([before.folder.name] if before else [])
    after = prepare(Savee(savee), home, SETTINGS)
    assert len(after.manifest) == 5
    assert before is None or before.fingerprint == after.fingerprint


PREPARE = """
import sys, time
from pathlib import Path
from ser.audio import clips
from ser.audio import store as waveforms
from ser.corpora.savee import Savee

corpus, home, log, stop_at = Savee(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
read = clips.read_recording

def logged(path, piece):
    with log.open("a") as file:
        file.write(f"{Path(path).stem}\\n")
    while stop_at and len(log.read_text().splitlines()) >= stop_at:
        time.sleep(0.05)
    time.sleep(0.05)
    return read(path, piece)

clips.read_recording = logged
log.with_suffix(f".{sys.argv[5]}").touch()
while not log.with_suffix(".go").exists():
    time.sleep(0.01)
print(waveforms.prepare(corpus, home, waveforms.AudioSettings()).fingerprint)
"""


def start(savee: Path, home: Path, log: Path, stop_at: int, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREPARE, str(savee), str(home), str(log), str(stop_at), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.01)


def lines(log: Path) -> Iterable[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_killed_preparation_leaves_no_store_and_can_be_repeated(savee: Path, home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.with_suffix(".go").touch()
    process = start(savee, home, log, 3, "one")
    wait_for(lambda: len(list(lines(log))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(home.glob("*/card.json"))
    assert not [name for name in left_in(home) if not name.endswith(".part")]
    store = prepare(Savee(savee), home, SETTINGS)
    assert len(store.manifest) == 5
    assert left_in(home) == [store.folder.name]


@pytest.mark.slow
def test_concurrent_processes_prepare_once(savee: Path, home: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(savee, home, log, 0, name) for name in ("one", "two")]
    wait_for(lambda: log.with_suffix(".one").exists() and log.with_suffix(".two").exists())
    log.with_suffix(".go").touch()
    fingerprints = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert sorted(lines(log)) == sorted(NAMES)
    assert fingerprints == [prepare(Savee(savee), home, SETTINGS).fingerprint] * 2


# Recordings as released


@pytest.fixture
def corpora() -> Path:
    folder = Path(os.environ.get("SER_CORPORA") or "nowhere")
    if not (folder / "originals").is_dir():
        pytest.skip("no real recordings: SER_CORPORA names no folder with originals")
    return folder


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("original", "converted", "rate", "container"),
    [
        ("tess/YAF_angry/YAF_germ_angry.wav", "tess/YAF_angry/YAF_germ_angry.flac", 24414, "AIFF"),
        ("tess/YAF_fear/YAF_neat_fear.wav", "tess/YAF_fear/YAF_neat_fear.flac", 24414, "AIFF"),
        ("tess/OAF_Fear/OAF_food_fear.wav", "tess/OAF_Fear/OAF_food_fear.flac", 96000, "WAV"),
        ("tess/YAF_sad/YAF_back_sad.wav", "tess/YAF_sad/YAF_back_sad.flac", 24414, "WAV"),
        ("savee/JK_sa01.wav", "savee/JK_sa01.flac", 44100, "WAV"),
        ("ravdess/Actor_05/03-01-02-01-02-02-05.wav", "ravdess/Actor_05/03-01-02-01-02-02-05.flac", 48000, "WAV"),
    ],
)
def test_originals_match_published_conversions(
    corpora: Path, original: str, converted: str, rate: int, container: str
) -> None:
    path = corpora / "originals" / original
    assert soundfile.info(path).format == container
    samples, found = read_audio(path)
    assert found == rate
    got = standardise(samples, found, SETTINGS).astype(np.float64)
    theirs = soundfile.read(corpora / converted, dtype="int16")[0].astype(np.float64)
    assert abs(len(got) - len(theirs)) <= 2
    n = min(len(got), len(theirs))
    assert np.linalg.norm(got[:n] - theirs[:n]) < 0.05 * np.linalg.norm(theirs)


@pytest.mark.corpora
def test_released_mp3s_decode(corpora: Path) -> None:
    paths = sorted((corpora / "originals" / "crema" / "AudioMP3").glob("*.mp3"))
    assert len(paths) == 6
    for path in paths:
        samples, rate = read_audio(path)
        assert rate == 44100
        assert 1.5 < len(samples) / rate < 4
        assert 0.01 < np.abs(samples).max() <= 1


@pytest.mark.corpora
def test_released_16_khz_wav_is_kept_bit_for_bit(corpora: Path, home: Path) -> None:
    store = prepare(Crema(corpora / "originals" / "crema"), home, SETTINGS)
    assert len(store.manifest) == 7
    wrote, _ = soundfile.read(store.manifest["path"][0], dtype="int16")
    np.testing.assert_array_equal(clip(store, 0), wrote)


@pytest.mark.corpora
def test_duplicate_of_ravdess_is_found_by_content(corpora: Path, home: Path) -> None:
    store = prepare(Ravdess(corpora / "originals" / "ravdess"), home, SETTINGS)
    (problem,) = store.card["problems"]
    assert problem["kind"] == "duplicate"
    assert {problem["utterance"], problem["detail"].split()[-1]} == set(Ravdess.identical[0])
    assert len(store.manifest) == 8
