"""Broken and odd recordings: what becomes of each in a store, under strict and in a prediction; docs/broken_input.md."""

import logging
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile

from ser.audio.checks import KINDS
from ser.audio.decode import AudioSettings, read_audio, read_recording, resample
from ser.audio.store import Store, prepare
from ser.corpora.folders import Folders
from ser.errors import AudioError, BadCorpusError
from ser.inference.predictor import Predictor
from tests.audio.test_store import POINTER
from tests.untrained import untrained

SETTINGS = AudioSettings()
DOC = Path(__file__).parents[2] / "docs" / "broken_input.md"


def speech(seconds: float = 1.0, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Noise whose power falls with frequency and whose loudness comes and goes, ``(sample,)`` with a peak of 0.5."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(round(seconds * rate)))
    spectrum /= 1 + np.arange(len(spectrum)) * rate / 2 / len(spectrum) / 500
    grid = np.arange(0, seconds + 1, 0.1)
    syllables = np.interp(np.arange(round(seconds * rate)) / rate, grid, rng.uniform(0.1, 1, len(grid)))
    samples = np.fft.irfft(spectrum, round(seconds * rate)) * syllables
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32)


def cut(path: Path, share: float) -> None:
    """Drop the end of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: round(share * len(content))])


def with_size(path: Path, size: int) -> None:
    """Change the size of the data that a WAV's header states."""
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", size)
    path.write_bytes(content)


def wav(samples: np.ndarray, rate: int = 16000, subtype: str = "PCM_16") -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples, rate, subtype=subtype)


def wav_cut(path: Path) -> None:
    soundfile.write(path, speech(), 16000)
    cut(path, 0.6)


def flac_cut(path: Path) -> None:
    soundfile.write(path, speech(), 16000)
    cut(path, 0.6)


def with_channels(*channels: np.ndarray) -> Callable[[Path], None]:
    return wav(np.stack(channels, axis=1))


class Case(NamedTuple):
    """A broken recording: what it is, how it is made, and its kind, ``""`` for one that is fine."""

    what: str
    make: Callable[[Path], None]
    kind: str
    suffix: str = ".wav"


clipped = np.clip(4 * speech(), -0.9, 0.9)
CASES = (
    Case("a page of HTML in its place", lambda path: path.write_text("<html>404</html>" * 100), "unreadable"),
    Case("a file without bytes", lambda path: path.touch(), "empty"),
    Case("a header without samples", wav(np.zeros(0, np.float32)), "empty"),
    Case("a Git-LFS pointer", lambda path: path.write_text(POINTER), "LFS pointer"),
    Case("a WAV whose end is missing", wav_cut, "cut short"),
    Case("a FLAC whose end is missing", flac_cut, "unreadable", ".flac"),
    Case("a rate of 400 Hz", wav(speech(), 400), "impossible rate"),
    Case("a rate of 1 Hz", wav(speech(), 1), "impossible rate"),
    Case(
        "samples that are not numbers", wav(np.where(np.arange(16000) == 7, np.nan, speech()), subtype="FLOAT"), "NaN"
    ),
    Case("int16 values stored as floats", wav(32768 * speech(), subtype="FLOAT"), "integer scale"),
    Case("silence", wav(np.zeros(16000, np.float32)), "silent"),
    Case("silence with a DC offset", wav(np.full(16000, 0.1, np.float32)), "silent"),
    Case("50 ms of sound", wav(speech(0.05)), "too short"),
    Case("stereo with a dead channel", with_channels(speech(), 0 * speech()), "dead channel"),
    Case("stereo with a channel of DC alone", with_channels(speech(), 0 * speech() + np.float32(0.05)), "dead channel"),
    Case("stereo in opposite phase", with_channels(speech(), -speech()), "opposite phase"),
    Case("a recording that is clipped", wav(clipped), "clipping"),
    Case("float samples beyond full scale", wav(4 * speech(), subtype="FLOAT"), "clipping"),
    Case("a DC offset", wav(speech() + np.float32(0.1)), "DC offset"),
    Case("a telephone's recording at 16 kHz", wav(resample(speech(rate=8000), 8000, 16000)), "band-limited"),
    Case("a rate of 8000 Hz", wav(speech(rate=8000), 8000), "wrong rate"),
    Case("video without ffmpeg", lambda path: path.write_bytes(b"\0\0\0\x20ftypM4A "), "no decoder", ".m4a"),
    Case("a recording as it should be", wav(speech()), ""),
    Case("24-bit stereo at 48 kHz", wav(np.stack([speech(rate=48000)] * 2, axis=1), 48000, "PCM_24"), ""),
)


@pytest.fixture(scope="module")
def model() -> Predictor:
    """A small model, not trained."""
    return Predictor(untrained())


def name_of(case: Case) -> str:
    return case.what.replace(" ", "_")


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with every broken recording, without ffmpeg."""
    monkeypatch.setattr("shutil.which", lambda name: None)
    for case in CASES:
        path = tmp_path / "clips" / "angry" / f"{name_of(case)}{case.suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        case.make(path)
    return tmp_path / "clips"


@pytest.fixture
def store(clips: Path, tmp_path: Path) -> Store:
    return prepare(Folders(clips), tmp_path / "stores", SETTINGS)


def test_every_broken_recording_is_listed_by_its_kind(store: Store) -> None:
    found = {
        (Path(p["path"]).stem, p["kind"], p["left_out"]) for p in store.card["problems"] if p["kind"] != "duplicate"
    }
    assert found == {(name_of(case), case.kind, KINDS[case.kind].left_out) for case in CASES if case.kind}
    kept = {Path(path).stem for path in store.manifest["path"]}
    assert kept == {name_of(case) for case in CASES if not case.kind or not KINDS[case.kind].left_out}


def test_strict_refuses_every_broken_recording(clips: Path, store: Store, tmp_path: Path) -> None:
    with pytest.raises(BadCorpusError, match=r"strict=true; got \d+ problems") as caught:
        prepare(Folders(clips), tmp_path / "stores", SETTINGS, strict=True)
    assert f"got {len(store.card['problems'])} problems" in str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_prediction_follows_the_same_rule(
    case: Case,
    model: Predictor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    path = tmp_path / f"clip{case.suffix}"
    case.make(path)
    if case.kind and KINDS[case.kind].left_out and case.kind != "too short":
        with pytest.raises(AudioError, match=rf"clip{case.suffix}: {case.kind}: "):
            model.predict(path)
        return
    with caplog.at_level(logging.WARNING, "ser"):
        assert len(model.predict(path, calibrated=False)) == 1
    told = [record.getMessage() for record in caplog.records if record.name.startswith("ser")]
    expected = [] if case.kind in ("", "too short") else [f"{path}: {case.kind}: "]
    assert [message[: len(start)] for message, start in zip(told, expected, strict=True)] == expected


def test_usable_channels_are_used(tmp_path: Path) -> None:
    one = tmp_path / "one.wav"
    wav(speech())(one)
    dead = (0 * speech(), 0 * speech() + np.float32(0.05))
    for make in (*(with_channels(speech(), channel) for channel in dead), with_channels(speech(), -speech())):
        make(tmp_path / "two.wav")
        np.testing.assert_array_equal(read_audio(tmp_path / "two.wav")[0], read_audio(one)[0])


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_sizes_of_pipes_are_no_error(tmp_path: Path, size: int) -> None:
    path = tmp_path / "piped.wav"
    wav(speech())(path)
    whole, _ = read_audio(path)
    with_size(path, size)
    if size:  # with 0, the decoder itself takes the size at its word
        np.testing.assert_array_equal(read_audio(path)[0], whole)
    else:
        with pytest.raises(AudioError, match="empty"):
            read_audio(path)


def test_header_that_promises_too_much_says_both_lengths(tmp_path: Path) -> None:
    path = tmp_path / "cut.wav"
    wav(speech(2.0))(path)
    cut(path, 0.25)
    with pytest.raises(AudioError, match=r"cut short: its header promises 2\.00 s, and 0\.50 s are there"):
        read_audio(path)


def test_a_clip_far_longer_than_the_rest_is_listed(tmp_path: Path) -> None:
    root = tmp_path / "clips" / "sad"
    root.mkdir(parents=True)
    for number, seconds in enumerate((1.0, 1.0, 2.0, 40.0)):
        wav(speech(seconds, 8000, seed=number), 8000)(root / f"{number}.wav")
    problems = prepare(Folders(root.parent), tmp_path / "stores", SETTINGS).card["problems"]
    (longer,) = [problem for problem in problems if problem["kind"] == "far longer"]
    assert (Path(longer["path"]).stem, longer["left_out"]) == ("3", False)
    assert "40 s, where half of the clips have 1.5 s or less" in longer["detail"]


def test_the_good_copy_is_taken_and_the_bad_one_named(tmp_path: Path) -> None:
    root = tmp_path / "clips" / "sad"
    root.mkdir(parents=True)
    wav(speech())(root / "1.flac")
    (root / "1.wav").write_text("not a recording")
    wav(speech(seed=1))(root / "2.wav")
    soundfile.write(root / "2.ogg", speech(seed=1), 16000)
    wav(speech(seed=2))(root / "3.wav")
    wav(speech(seed=3))(root / "3.flac")
    store = prepare(Folders(root.parent), tmp_path / "stores", SETTINGS)
    assert [Path(path).name for path in store.manifest["path"]] == ["1.flac", "2.wav", "3.wav"]
    problems = [(Path(p["path"]).name, p["kind"], p["left_out"]) for p in store.card["problems"]]
    assert problems == [("1.wav", "bad copy", False), ("3.flac", "two recordings", False)]


def test_a_problem_that_may_pass_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "clips" / "sad"
    root.mkdir(parents=True)
    for number in range(3):
        wav(speech(seed=number))(root / f"{number}.wav")
    decoded: list[str] = []
    locked = {"1.wav"}

    def reading(path: Path, piece: object) -> object:
        decoded.append(path.name)
        if path.name in locked:
            raise AudioError(path, "no access", "Permission denied")
        return read_recording(path, None)

    monkeypatch.setattr("ser.audio.clips.read_recording", reading)
    opened = Path.open
    monkeypatch.setattr(
        Path, "open", lambda path, *a, **k: opened(tmp_path / "none" if path.name in locked else path, *a, **k)
    )
    first = prepare(Folders(root.parent), tmp_path / "stores", SETTINGS)
    assert [(p["kind"], p["left_out"]) for p in first.card["problems"]] == [("no access", True)]
    assert prepare(Folders(root.parent), tmp_path / "stores", SETTINGS).card == first.card  # still locked
    assert len(decoded) == 3
    locked.clear()
    again = prepare(Folders(root.parent), tmp_path / "stores", SETTINGS)
    assert (again.card["problems"], len(again.manifest), decoded[3:]) == ([], 3, ["1.wav"])


@pytest.mark.parametrize("copy", [False, True], ids=["alone", "beside a copy"])
def test_an_installed_decoder_is_used_without_a_change_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: bool
) -> None:
    root = tmp_path / "clips" / "sad"
    root.mkdir(parents=True)
    wav(speech(seed=1))(root / "1.wav")
    (root / ("1.m4a" if copy else "2.m4a")).write_bytes(b"video")
    monkeypatch.setattr("shutil.which", lambda name: None)
    first = prepare(Folders(root.parent), tmp_path / "stores", SETTINGS)
    assert [p["kind"] for p in first.card["problems"]] == ["bad copy" if copy else "no decoder"]
    monkeypatch.setattr("shutil.which", lambda name: "/bin/false")  # an ffmpeg that decodes nothing
    again = prepare(Folders(root.parent), tmp_path / "stores", SETTINGS)
    assert "unreadable" in str(again.card["problems"])
    assert prepare(Folders(root.parent), tmp_path / "stores", SETTINGS, rebuild=True).card == again.card


@pytest.mark.parametrize("suffix", [".aiff", ".au", ".w64", ".caf", ".opus", ".rf64", ".mp3"])
def test_every_format_of_soundfile_is_found(tmp_path: Path, suffix: str) -> None:
    root = tmp_path / "clips" / "sad"
    root.mkdir(parents=True)
    kind = {".opus": "OGG", ".rf64": "RF64"}.get(suffix, suffix[1:].upper())
    soundfile.write(root / f"1{suffix}", speech(), 16000, format=kind, subtype="OPUS" if suffix == ".opus" else None)
    store = prepare(Folders(root.parent), tmp_path / "stores", SETTINGS)
    assert (len(store.manifest), store.card["problems"]) == (1, [])


FFMPEG = """#!{python}
import sys, soundfile
source, target = sys.argv[sys.argv.index("-i") + 1], sys.argv[-1]
if "broken" in source:
    sys.exit("moov atom not found")
soundfile.write(target, [0.25, -0.25] * 4000, 8000, format="WAV", subtype="FLOAT")
"""


def test_video_is_decoded_by_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(FFMPEG.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    for name in ("clip.m4a", "broken.mp4"):
        (tmp_path / name).write_bytes(b"video")
    samples, rate = read_audio(tmp_path / "clip.m4a")
    np.testing.assert_array_equal(samples, np.tile([0.25, -0.25], 4000))
    assert rate == 8000
    with pytest.raises(AudioError, match=r"broken\.mp4: unreadable: ffmpeg: moov atom not found"):
        read_audio(tmp_path / "broken.mp4")


def test_without_ffmpeg_the_command_that_converts_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    (tmp_path / "a b.m4a").write_bytes(b"video")
    with pytest.raises(
        AudioError, match=r"no decoder: install ffmpeg, or convert the file: ffmpeg -i 'a b\.m4a' 'a b\.wav'"
    ):
        read_audio(tmp_path / "a b.m4a")


def test_documentation_lists_every_kind_and_case() -> None:
    rows = ["| kind | what it is | what becomes of it |", "|---|---|---|"]
    rows += [f"| {kind} | {rule.text} | {'left out' if rule.left_out else 'kept'} |" for kind, rule in KINDS.items()]
    rows += ["", "| recording | kind |", "|---|---|"]
    rows += [f"| {case.what} | {case.kind or 'none'} |" for case in CASES]
    table = "\n".join(rows)
    assert table in DOC.read_text(), f"docs/broken_input.md must hold this table:\n{table}"


def test_the_same_recording_under_two_labels_is_named_with_both(tmp_path: Path) -> None:
    for label in ("angry", "sad"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        wav(speech())(tmp_path / "clips" / label / "1.wav")
    (problem,) = prepare(Folders(tmp_path / "clips"), tmp_path / "stores", SETTINGS).card["problems"]
    assert (problem["utterance"], problem["kind"]) == ("folders/sad/1", "duplicate")
    assert problem["detail"] == "the same samples as folders/angry/1, which is labelled angry"
