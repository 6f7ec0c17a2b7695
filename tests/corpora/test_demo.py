import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from ser.corpora.demo import FOLDER, Demo
from ser.corpora.manifest import to_table
from ser.errors import CorpusNotFoundError

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return to_table(Demo().utterances())


@pytest.fixture(scope="module")
def waveforms(table: pd.DataFrame) -> dict[str, np.ndarray]:
    found = {}
    for path in table["path"]:
        waveform, sample_rate = soundfile.read(path, always_2d=True)
        assert (sample_rate, waveform.shape[1]) == (16000, 1), path
        found[Path(path).stem] = waveform[:, 0]
    return found


def test_counts_match_the_class(table: pd.DataFrame) -> None:
    assert Demo().differences(Demo().utterances()) == []
    assert len(table) == 480
    assert table["speaker"].nunique() == 10
    assert Counter(table["emotion"]) == dict.fromkeys(EMOTIONS, 80)


def test_sexes_are_balanced(table: pd.DataFrame) -> None:
    assert table.groupby("sex")["speaker"].nunique().to_dict() == {"female": 5, "male": 5}


def test_each_speaker_says_each_sentence_twice_in_each_emotion(table: pd.DataFrame) -> None:
    cells = Counter(zip(table["speaker"], table["sentence"], table["emotion"], strict=True))
    every = itertools.product(table["speaker"].unique(), (f"demo/s{i}" for i in range(1, 5)), EMOTIONS)
    assert cells == dict.fromkeys(every, 2)


def test_demo_is_declared_synthetic() -> None:
    assert Demo.synthetic
    assert "synthetic" in Demo.title
    assert "CC0" in Demo.licence
    readme = (FOLDER / "README.md").read_text()
    assert "Synthetic" in readme
    assert "CC0" in readme


def test_demo_is_at_most_three_megabytes() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 3_000_000


def test_folder_contains_only_clips_and_a_readme() -> None:
    assert Demo().strays() == []
    assert {path.name for path in FOLDER.iterdir() if path.suffix != ".ogg"} == {"README.md"}


def test_no_clip_is_silent_clipped_or_of_unusual_length(waveforms: dict[str, np.ndarray]) -> None:
    for name, waveform in waveforms.items():
        assert 0.8 < len(waveform) / 16000 < 4.0, name
        assert -36 < 10 * np.log10(np.mean(waveform**2)) < -15, name
        assert 0.1 < np.abs(waveform).max() < 0.99, name


def test_all_clips_differ(waveforms: dict[str, np.ndarray]) -> None:
    assert len({waveform.tobytes() for waveform in waveforms.values()}) == 480


def test_every_speaker_is_slower_when_sad_than_when_angry(
    table: pd.DataFrame, waveforms: dict[str, np.ndarray]
) -> None:
    seconds = table["path"].map(lambda path: len(waveforms[Path(path).stem]) / 16000)
    mean = table.assign(seconds=seconds).pivot_table("seconds", "speaker", "emotion")
    assert (mean["sad"] > mean["neutral"]).all()
    assert (mean["neutral"] > mean["angry"]).all()


def test_every_speaker_is_brighter_when_angry_than_when_sad(
    table: pd.DataFrame, waveforms: dict[str, np.ndarray]
) -> None:
    def share_above_1_khz(path: str) -> float:
        power = np.abs(np.fft.rfft(waveforms[Path(path).stem], 65536)) ** 2
        return float(power[4096:].sum() / power.sum())

    share = table["path"].map(share_above_1_khz)
    mean = table.assign(share=share).pivot_table("share", "speaker", "emotion")
    assert (mean["angry"] > mean["neutral"]).all()
    assert (mean["neutral"] > mean["sad"]).all()


def test_level_alone_hardly_predicts_the_emotion(table: pd.DataFrame, waveforms: dict[str, np.ndarray]) -> None:
    level = table["path"].map(lambda path: 10 * np.log10(np.mean(waveforms[Path(path).stem] ** 2)))
    groups = level.groupby(table["emotion"])
    assert groups.mean().max() - groups.mean().min() < 2 * groups.std().mean()


@pytest.mark.parametrize(
    "name", ["README.md", "f06_s1_ang_1.ogg", "f01_s5_ang_1.ogg", "f01_s1_joy_1.ogg", "x_f01_s1_ang_1.ogg"]
)
def test_other_file_names_are_ignored(name: str) -> None:
    assert Demo().parse(Path(name)) is None


def test_root_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "m02_s3_fea_2.ogg").write_bytes((FOLDER / "m02_s3_fea_2.ogg").read_bytes())
    (clip,) = Demo(tmp_path).utterances()
    assert (clip.speaker, clip.sex, clip.emotion, clip.repetition) == ("demo/m02", "male", "fear", 2)


def test_empty_root_error_says_that_the_demo_is_in_the_package(tmp_path: Path) -> None:
    with pytest.raises(CorpusNotFoundError, match="comes with the package"):
        Demo(tmp_path).utterances()
