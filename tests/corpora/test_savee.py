from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.corpora.manifest import to_table
from ser.corpora.savee import SPEAKERS, Savee, sentence_of
from ser.protocols.loso import LeaveOneSpeakerOut


def parse(name: str):
    return Savee("savee").parse(Path(name))


@pytest.mark.parametrize("name", ["AudioData/DC/d03.wav", "DC_d03.wav", "AudioData/dc/D03.WAV", "ALL/dc_d03.flac"])
def test_both_layouts_give_the_same_clip(name: str) -> None:
    clip = parse(name)
    assert (clip.id, clip.speaker, clip.sex, clip.emotion) == ("savee/DC_d03", "savee/DC", "male", "disgust")


@pytest.mark.parametrize(
    ("code", "emotion"),
    [
        ("a", "angry"),
        ("d", "disgust"),
        ("f", "fear"),
        ("h", "happy"),
        ("n", "neutral"),
        ("sa", "sad"),
        ("su", "surprise"),
    ],
)
def test_emotion_letters_match_the_release(code: str, emotion: str) -> None:
    assert parse(f"JK_{code}07.wav").emotion == emotion


@pytest.mark.parametrize(
    "name", ["DC_a16.wav", "DC_n31.wav", "DC_a00.wav", "XX_a01.wav", "a01.wav", "DC_s1.wav", "DC_a1.wav"]
)
def test_other_file_names_are_ignored(name: str) -> None:
    assert parse(name) is None


def test_a_sentence_said_with_several_emotions_has_one_id() -> None:
    assert len({sentence_of(code, 2) for code in Savee.emotions} | {sentence_of("n", 17)}) == 1
    assert (parse("DC_n02.wav").repetition, parse("DC_n17.wav").repetition) == (1, 2)
    assert [sentence_of("n", n) for n in (19, 20, 25, 26, 30)] == ["a04", "a05", "su04", "su05", "h05"]


def test_design_has_87_sentences() -> None:
    # 3 common; 2 for each of 6 emotions; 10 generic for each of 6 emotions; 12 that only neutral has.
    pairs = [(code, n) for code in Savee.emotions for n in range(1, 31 if code == "n" else 16)]
    said = Counter(sentence_of(code, n) for code, n in pairs)
    assert len(said) == 3 + 2 * 6 + 10 * 6 + 12
    assert Counter(said.values()) == {8: 3, 2: 12, 1: 72}


@pytest.mark.corpora
def test_sentences_predict_the_emotion_as_the_notes_state(corpora_root: Path) -> None:
    manifest = to_table(Savee(corpora_root / "savee").utterances())
    emotions = manifest.groupby("sentence")["emotion"].nunique()
    right = pd.Series(np.nan, index=manifest.index)  # each clip's chance of a right guess from its sentence
    for split in LeaveOneSpeakerOut().splits(manifest):
        counts = pd.crosstab(*(manifest.drop(split.test)[column] for column in ("sentence", "emotion")))
        likely = counts / counts.sum()  # neutral has twice the clips; UAR counts every emotion the same
        best = likely.eq(likely.max(axis=1), axis=0)
        chance = best.div(best.sum(axis=1), axis=0)  # of several equal ones, any
        tested = manifest.loc[split.test, ["sentence", "emotion"]].itertuples(index=False)
        right[split.test] = [chance.loc[sentence, emotion] for sentence, emotion in tested]
    uar = right.groupby(manifest["emotion"]).mean().mean()
    # Of 15 clips of an emotion 12 are right, and 3 common sentences in 1 of 7; of neutral's 30, 12 and 6 in 1 of 7.
    assert uar == pytest.approx((6 * (12 + 3 / 7) / 15 + (12 + 6 / 7) / 30) / 7)
    note = f"{(emotions == 1).sum()} of the {len(emotions)} sentences are said with one emotion only"
    (told,) = (text for text in Savee.notes if text.startswith(note))
    assert f"has a UAR of {100 * uar:.1f} (chance {100 / 7:.1f})" in told


@pytest.mark.corpora
def test_release_has_the_published_counts(corpora_root: Path) -> None:
    corpus = Savee(corpora_root / "savee")
    clips = list(corpus.utterances())
    assert corpus.differences(clips) == []
    assert corpus.complete()
    assert corpus.strays() == []
    assert Counter(u.speaker for u in clips) == {f"savee/{s}": 120 for s in SPEAKERS}
    emotions = ("angry", "disgust", "fear", "happy", "sad", "surprise")
    assert Counter(u.emotion for u in clips) == {**dict.fromkeys(emotions, 60), "neutral": 120}


@pytest.mark.corpora
@pytest.mark.slow
@pytest.mark.parametrize("speaker", SPEAKERS)
def test_recordings_match_the_sentences_of_their_numbers(corpora_root: Path, speaker: str) -> None:
    """The neutral clip that aligns best with an emotion's own sentence is the one that claims to say it."""
    librosa = pytest.importorskip("librosa")
    clips = {u.id.partition("_")[2]: u for u in Savee(corpora_root / "savee").utterances() if u.speaker[-2:] == speaker}

    def mfcc(name: str) -> np.ndarray:
        waveform, rate = soundfile.read(clips[name].path, dtype="float32")
        waveform, rate = librosa.resample(waveform, orig_sr=rate, target_sr=16000), 16000
        waveform, _ = librosa.effects.trim(waveform, top_db=30)
        coefficients = librosa.feature.mfcc(y=waveform, sr=rate, n_mfcc=20, n_fft=512, hop_length=320)[1:]
        return (coefficients - coefficients.mean(1, keepdims=True)) / coefficients.std(1, keepdims=True)

    def distance(one: np.ndarray, other: np.ndarray) -> float:
        return float(librosa.sequence.dtw(one, other, backtrack=False)[-1, -1]) / (one.shape[1] + other.shape[1])

    neutral = {f"n{n:02d}": mfcc(f"n{n:02d}") for n in range(4, 31) if n not in (16, 17, 18)}
    for name in (f"{code}{n:02d}" for code in ("a", "d", "f", "h", "sa", "su") for n in (4, 5)):
        spoken = mfcc(name)
        nearest = min(neutral, key=lambda n: distance(spoken, neutral[n]))
        assert clips[nearest].sentence == clips[name].sentence
    everything = {f"n{n:02d}": mfcc(f"n{n:02d}") for n in range(1, 31)}
    for first in ("n01", "n02", "n03"):
        others = [n for n in everything if n != first]
        nearest = min(others, key=lambda n: distance(everything[first], everything[n]))
        assert clips[nearest].sentence == clips[first].sentence
