"""`Predictor.segments`: each segment has the answer to that piece alone, and other programs can open the files."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.corpora.formats.audformat import audformat_rows
from ser.errors import AudioError, ConfigError
from ser.inference.predictor import Predictor
from ser.inference.segments import Segments, envelope
from tests.inference.conftest import probabilities, speech

RATE = 16000


@pytest.fixture
def call(tmp_path: Path) -> Path:
    """A recording of 7.3 s, of which 3 to 5 s are silent."""
    samples = speech(7.3)
    samples[3 * RATE : 5 * RATE] = 0
    soundfile.write(tmp_path / "call.wav", samples, RATE)
    return tmp_path / "call.wav"


def test_each_window_has_the_answer_to_that_piece_alone(model: Predictor, call: Path) -> None:
    found = model.segments(call, window=2, hop=0.5)
    samples, _ = soundfile.read(call, dtype="float32")
    start = [*np.arange(0, 5.1, 0.5), 5.3]
    assert list(found.table) == ["start", "end", "label", *model.classes]
    np.testing.assert_allclose(found.table["start"], start)
    np.testing.assert_allclose(found.table["end"], np.array(start) + 2)
    silent = found.table["start"] == 3
    assert found.table["label"].isna().tolist() == silent.tolist()
    parts = [samples[round(s * RATE) : round(s * RATE) + 2 * RATE] for s in np.array(start)[~silent]]
    expected = model.predict(parts, rate=RATE)
    np.testing.assert_allclose(found.table.loc[~silent, list(model.classes)], probabilities(expected), atol=1e-6)
    assert found.table.loc[~silent, "label"].tolist() == expected["label"].tolist()
    spans = found.spans
    assert (spans["start"][0], spans["end"].iloc[-1]) == (0, pytest.approx(7.3))
    assert spans["start"][1:].tolist() == spans["end"][:-1].tolist()
    assert spans["start"].tolist()[1:3] == [1.25, 1.75]


def test_a_recording_shorter_than_a_window_is_one_segment(model: Predictor) -> None:
    table = model.segments(speech(1.2), rate=RATE).table
    assert table[["start", "end"]].to_numpy().tolist() == [[0.0, 1.2]]
    whole = model.predict(speech(1.2), rate=RATE)
    np.testing.assert_allclose(table[list(model.classes)], probabilities(whole), atol=1e-6)


@pytest.fixture
def turns(tmp_path: Path) -> Path:
    lines = [
        "SPKR-INFO call 1 <NA> <NA> <NA> unknown bob <NA>",
        "SPEAKER call 1 1.5 1.25 <NA> <NA> bob <NA> <NA>",
        "SPEAKER call 1 0 2 <NA> <NA> ann <NA> <NA>",
        "SPEAKER other 1 0 900 <NA> <NA> cid <NA> <NA>",
        "SPEAKER call 1 5.1 2.22 <NA> <NA> ann <NA> <NA>",
    ]
    (tmp_path / "turns.rttm").write_text("\n".join(lines))
    return tmp_path / "turns.rttm"


def test_turns_are_segments(model: Predictor, call: Path, turns: Path, tmp_path: Path) -> None:
    found = model.segments(call, turns=turns)
    assert found.table[["start", "end", "speaker"]].to_numpy().tolist() == [
        [0.0, 2.0, "ann"], [1.5, 2.75, "bob"], [5.1, 7.3, "ann"],
    ]  # fmt: skip
    samples, _ = soundfile.read(call, dtype="float32")
    parts = [samples[round(s * RATE) : round(e * RATE)] for s, e in found.table[["start", "end"]].to_numpy()]
    expected = probabilities(model.predict(parts, rate=RATE))
    np.testing.assert_allclose(found.table[list(model.classes)], expected, atol=1e-6)
    found.table[["start", "end"]].to_csv(tmp_path / "turns.csv", index=False)
    again = model.segments(call, turns=tmp_path / "turns.csv").table
    np.testing.assert_allclose(again[list(model.classes)], expected, atol=1e-6)


def test_a_long_turn_is_scored_in_windows(model: Predictor, tmp_path: Path) -> None:
    samples = speech(40.0)
    (tmp_path / "turns.csv").write_text("start,end,speaker\n0,40,ann\n0,2,\n")
    table = model.segments(samples, rate=RATE, turns=tmp_path / "turns.csv").table
    whole = probabilities(model.predict(samples, rate=RATE))
    np.testing.assert_allclose(table[list(model.classes)].iloc[[1]], whole, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "begin,end\n0,1\n", "CSV with the columns start and end in seconds; got .*start"),
        ("a.csv", "start,end\n0,soon\n", "could not convert string"),
        ("a.csv", "", "No columns"),
        ("a.csv", "start,end\n", "has none of it"),
        ("a.csv", "start,end\n2,1\n", r"within the 7\.30 s of .*; .* has one of 2 to 1 s"),
        ("a.csv", "start,end\n0,9\n", "has one of 0 to 9 s"),
        ("a.csv", "start,end\n,1\n", "has one of nan to 1 s"),
        ("a.rttm", "SPEAKER call 1 0\n", "must be an RTTM file"),
        ("a.rttm", "SPEAKER a 1 0 1 - - x\nSPEAKER b 1 0 1 - - x\n", "has none of it"),
        ("b.csv", None, "No such file"),
    ],
)
def test_unusable_turns_are_named(
    model: Predictor, call: Path, tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=words):
        model.segments(call, turns=tmp_path / name)


def test_wrong_arguments_are_refused(model: Predictor, call: Path) -> None:
    for window in (0, -1, float("nan"), 31, "3"):
        with pytest.raises(ConfigError, match=r"window must be 0\.1 to 30 seconds; got"):
            model.segments(call, window=window)  # type: ignore[arg-type]
    for hop in (0, 2.5, None):
        with pytest.raises(ConfigError, match=r"hop must be 0\.1 to 2 seconds; got"):
            model.segments(call, window=2, hop=hop)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="audio must be one recording; got 2"):
        model.segments([call, call])
    with pytest.raises(AudioError, match=r"missing\.wav: unreadable"):
        model.segments("missing.wav")
    with pytest.raises(ConfigError, match="must be a file for audformat"):
        model.segments(speech(1.0), rate=RATE).to_audformat("x")


@pytest.fixture
def labelled(model: Predictor, call: Path) -> Segments:
    """Segments whose labels are known: a, a, silence, a with a quote, b."""
    found: Segments = model.segments(call, window=1, hop=1)
    assert len(found.spans) == 8
    labels = pd.Series(["a", "a", "a", None, None, 'a "x"', "b", "b"], dtype=object)
    wide = found.spans.assign(label=labels)
    return Segments(found.table, wide, found.classes, found.seconds, found.source, found.stamps)


def test_textgrid_has_intervals_that_follow_each_other(labelled: Segments, tmp_path: Path) -> None:
    labelled.to_textgrid(tmp_path / "call.TextGrid")
    text = (tmp_path / "call.TextGrid").read_text()
    assert text.startswith('File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 7.3\n')
    found = re.findall(r'intervals \[\d+\]:\nxmin = (\S+)\nxmax = (\S+)\ntext = "(.*)"', text)
    assert found == [("0", "3", "a"), ("3", "5", ""), ("5", "6", 'a ""x""'), ("6", "7.3", "b")]
    assert "intervals: size = 4\n" in text


def test_textgrid_has_a_tier_for_every_speaker(model: Predictor, call: Path, turns: Path, tmp_path: Path) -> None:
    model.segments(call, turns=turns).to_textgrid(tmp_path / "call.TextGrid")
    tiers = re.split(r"item \[\d\]:", (tmp_path / "call.TextGrid").read_text())[1:]
    assert [re.findall('name = "(.*)"', tier) for tier in tiers] == [["ann"], ["bob"]]
    for tier in tiers:
        ends = re.findall(r"intervals \[\d+\]:\nxmin = (\S+)\nxmax = (\S+)\n", tier)
        assert (ends[0][0], ends[-1][1]) == ("0", "7.3")
        assert [end for _, end in ends[:-1]] == [start for start, _ in ends[1:]]


def test_subtitles_have_the_labels(labelled: Segments, tmp_path: Path) -> None:
    labelled.to_srt(tmp_path / "call.srt")
    assert (tmp_path / "call.srt").read_text() == (
        "1\n00:00:00,000 --> 00:00:03,000\na\n\n"
        '2\n00:00:05,000 --> 00:00:06,000\na "x"\n\n'
        "3\n00:00:06,000 --> 00:00:07,300\nb\n"
    )


def test_audformat_can_be_read_again(model: Predictor, call: Path, turns: Path, tmp_path: Path) -> None:
    found = model.segments(call, turns=turns)
    found.to_audformat(tmp_path / "database")
    read = audformat_rows(tmp_path / "database")
    assert read is not None
    assert read.problems == []
    rows = pd.DataFrame([row for _, row in read.rows])
    assert rows["emotion"].tolist() == found.table["label"].tolist()
    assert rows["speaker"].tolist() == ["ann", "bob", "ann"]
    assert pd.to_timedelta(rows["start"]).dt.total_seconds().tolist() == [0, 1.5, 5.1]
    np.testing.assert_allclose(rows[list(model.classes)].astype(float), found.table[list(model.classes)], rtol=1e-12)


def test_picture_has_the_waveform_above_probabilities_that_sum_to_one(
    model: Predictor, call: Path, tmp_path: Path
) -> None:
    found = model.segments(call, window=1, hop=0.5)
    figure = found.plot(tmp_path / "call.png")
    assert (tmp_path / "call.png").stat().st_size > 10_000
    above, below = figure.axes
    assert above.get_xlim() == below.get_xlim() == (0, pytest.approx(7.3))
    tops = max(path.vertices[:, 1].max() for patch in below.collections for path in patch.get_paths())
    assert tops == pytest.approx(1)
    samples, _ = soundfile.read(call, dtype="float32")
    low, high = envelope(found.source)
    assert (low.min(), high.max()) == (samples.min(), samples.max())
    assert not high[450:650].any(), "3.3 to 4.7 s are silent"


@pytest.mark.corpora
def test_windows_of_real_speech_have_answers(model: Predictor, tmp_path: Path) -> None:
    root = Path(os.environ.get("SER_CORPORA") or "missing")
    files = sorted(f for f in root.glob("ravdess/Actor_*/*") if f.suffix in (".wav", ".flac"))[::150][:3]
    if not files:
        pytest.skip("no real recordings: SER_CORPORA names no folder")
    for file in files:
        found = model.segments(file, window=1, hop=0.25)
        sound = found.table["label"].notna()
        assert sound.sum() > 5
        np.testing.assert_allclose(found.table.loc[sound, list(model.classes)].sum(axis=1), 1)


@pytest.fixture
def spoken(clips: list[Path]) -> np.ndarray:
    """A clip of the demo between 3 s of noise and 2 s of silence."""
    samples, rate = soundfile.read(clips[0], dtype="float32")
    assert rate == RATE
    return np.concatenate([0.05 * speech(3.0), samples, np.zeros(2 * RATE, np.float32)])


def test_segments_without_speech_are_not_answered(model: Predictor, spoken: np.ndarray, tmp_path: Path) -> None:
    plain = model.segments(spoken, rate=RATE, window=1, hop=0.5)
    found = model.segments(spoken, rate=RATE, window=1, hop=0.5, speech=True)
    assert list(found.table) == ["start", "end", "speech", "label", *model.classes]
    assert plain.speech is None
    assert found.speech is not None
    assert found.speech[0][0] == pytest.approx(3, abs=0.4)
    assert found.speech[-1][1] <= found.seconds - 1.5
    shares = found.table["speech"].to_numpy()
    assert (shares[:4] == 0).all()
    assert 0.9 < shares.max() <= 1
    answered = found.table["label"].notna().to_numpy()
    assert (answered == (shares > 0)).all()
    values = [table.loc[answered, list(model.classes)] for table in (found.table, plain.table)]
    pd.testing.assert_frame_equal(*values, check_exact=False, atol=1e-6)
    figure = found.plot(tmp_path / "call.png")
    bars = figure.axes[0].collections[-1].get_paths()
    assert [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in bars] == [
        tuple(pytest.approx(edge) for edge in region) for region in found.speech.tolist()
    ]


def test_all_of_a_recording_may_be_no_speech(model: Predictor) -> None:
    for samples in (np.zeros(5 * RATE, np.float32), speech(5.0)):
        found = model.segments(samples, rate=RATE, speech=True)
        assert found.speech is not None
        assert found.speech.shape == (0, 2)
        assert found.table["label"].isna().all()
