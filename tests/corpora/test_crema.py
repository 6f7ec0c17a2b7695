import csv
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from ser.corpora.crema import Crema
from ser.corpora.manifest import Utterance
from ser.errors import BadCorpusError

Touch = Callable[[Iterable[str]], Path]
LETTERS = {"A": "angry", "D": "disgust", "F": "fear", "H": "happy", "N": "neutral", "S": "sad"}
ACTORS = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
VOTES = (
    '"","A","D","F","H","N","S","fileName","numResponses"\n'
    '"100001",1,2,3,4,5,6,"1001_DFA_ANG_XX",21\n'
    '"200001",9,0,0,0,0,0,"1001_DFA_ANG_XX",9\n'
    '"300001",0,9,0,0,0,0,"1001_DFA_ANG_XX",9\n'
)


def parse(name: str) -> Utterance | None:
    return Crema("crema").parse(Path("AudioWAV") / name)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_file_name_fields_are_parsed() -> None:
    clip = parse("1002_IEO_HAP_LO.wav")
    assert clip is not None
    assert (clip.id, clip.speaker, clip.sex) == ("crema/1002_IEO_HAP_LO", "crema/1002", "female")
    assert (clip.sentence, clip.emotion, clip.intensity) == ("crema/IEO", "happy", "low")
    lower = parse("1002_ieo_hap_lo.WAV")
    assert lower is not None
    assert lower.id == clip.id


@pytest.mark.parametrize(
    "name",
    [
        "1092_IEO_HAP_LO.wav",
        "1000_IEO_HAP_LO.wav",
        "1002_XXX_HAP_LO.wav",
        "1002_IEO_SUR_LO.wav",
        "1002_IEO_HAP_VL.wav",
        "1002_HAP_IEO_LO.wav",
        "1002_IEO_HAP.wav",
    ],
)
def test_values_unused_in_the_release_are_ignored(name: str) -> None:
    assert parse(name) is None


def test_wav_is_preferred_to_mp3(touch: Touch) -> None:
    root = touch(["AudioMP3/1001_DFA_ANG_XX.mp3", "AudioWAV/1001_DFA_ANG_XX.wav", "AudioMP3/1001_DFA_DIS_XX.mp3"])
    assert [u.path.suffix for u in Crema(root).utterances()] == [".wav", ".mp3"]


def test_only_the_sex_is_known_without_the_tables(touch: Touch) -> None:
    (clip,) = Crema(touch(["1001_DFA_ANG_XX.wav"])).utterances()
    assert (clip.sex, clip.age, clip.race, clip.ethnicity, clip.votes) == ("male", None, None, None, None)


def test_votes_are_voice_only(touch: Touch) -> None:
    root = touch(["flat/1001_DFA_ANG_XX.wav", "flat/1001_DFA_DIS_XX.wav", "meta/processedResults/x"])
    (root / "meta" / "VideoDemographics.csv").write_text(ACTORS)
    (root / "meta" / "processedResults" / "tabulatedVotes.csv").write_text(VOTES)
    voted, not_voted = Crema(root).utterances()
    assert voted.votes == {"angry": 1, "disgust": 2, "fear": 3, "happy": 4, "neutral": 5, "sad": 6}
    assert (voted.age, voted.race, voted.ethnicity) == (51, "Caucasian", "Not Hispanic")
    assert not_voted.votes is None


@pytest.mark.parametrize(
    ("table", "text", "told"),
    [
        ("tabulatedVotes.csv", VOTES + VOTES.splitlines()[1], "two voice-only rows for 1001_DFA_ANG_XX"),
        ("tabulatedVotes.csv", VOTES.splitlines()[0] + '\n"100001",1', "line 2 must have 9 columns; got 2"),
        ("VideoDemographics.csv", "<html>404</html>", "must have the columns"),
    ],
)
def test_damaged_tables_are_rejected(touch: Touch, table: str, text: str, told: str) -> None:
    root = touch(["1001_DFA_ANG_XX.wav"])
    (root / table).write_text(text)
    with pytest.raises(BadCorpusError, match=told):
        Crema(root).utterances()


def test_clips_damaged_only_as_mp3_are_used_as_wav() -> None:
    crema = Crema("crema")
    assert crema.wrong_with(parse("1076_MTI_NEU_XX.wav")) is None
    assert "no sound" in crema.wrong_with(parse("1076_MTI_NEU_XX.mp3"))
    assert "no sound" in crema.wrong_with(parse("1076_MTI_SAD_XX.wav"))


@pytest.fixture
def named(corpora_root: Path, touch: Touch) -> tuple[Crema, list[str], Path]:
    """The release's 7442 names as empty files, beside the released tables."""
    names = [row["Filename"] for row in rows(corpora_root / "crema" / "SentenceFilenames.csv")]
    root = touch(f"AudioWAV/{name}.wav" for name in names)
    for table in ("VideoDemographics.csv", "processedResults/tabulatedVotes.csv"):
        (root / table).parent.mkdir(exist_ok=True)
        (root / table).symlink_to(corpora_root / "crema" / table)
    return Crema(root), names, corpora_root / "crema"


@pytest.mark.slow
@pytest.mark.corpora
def test_every_released_name_agrees_with_the_released_tables(named: tuple[Crema, list[str], Path]) -> None:
    crema, names, _ = named
    clips = list(crema.utterances())
    assert crema.strays() == []
    assert crema.complete()
    assert crema.differences(clips) == []
    assert {u.id for u in clips} == {f"crema/{name}" for name in names}
    # Fields by position in the name: a swap of two would show in the counts.
    assert Counter(u.speaker for u in clips) == Counter(f"crema/{name[0:4]}" for name in names)
    assert Counter(u.sentence for u in clips) == Counter(f"crema/{name[5:8]}" for name in names)
    assert Counter(u.emotion for u in clips) == {
        "angry": 1271,
        "disgust": 1271,
        "fear": 1271,
        "happy": 1271,
        "neutral": 1087,
        "sad": 1271,
    }
    for clip in clips:
        assert LETTERS[clip.id.split("_")[2][0]] == clip.emotion
    assert Counter(u.intensity for u in clips) == {"unspecified": 6077, "low": 455, "medium": 455, "high": 455}
    assert {u.sentence for u in clips if u.intensity != "unspecified"} == {"crema/IEO"}
    assert Counter(Counter(u.speaker for u in clips).values()) == {82: 86, 81: 2, 76: 3}


@pytest.mark.corpora
def test_actors_match_the_released_table(named: tuple[Crema, list[str], Path]) -> None:
    crema, _, released = named
    table = {f"crema/{row['ActorID']}": row for row in rows(released / "VideoDemographics.csv")}
    actors = {u.speaker: u for u in crema.utterances()}
    assert set(actors) == set(table)
    for speaker, clip in actors.items():
        row = table[speaker]
        assert clip.sex == row["Sex"].lower()
        assert clip.age == int(row["Age"])
        assert clip.race == (None if row["Race"] == "Unknown" else row["Race"])
        assert clip.ethnicity == row["Ethnicity"]
    assert Counter(u.sex for u in actors.values()) == {"male": 48, "female": 43}


@pytest.mark.corpora
def test_votes_give_the_released_plurality_for_every_clip(named: tuple[Crema, list[str], Path]) -> None:
    crema, _, released = named
    plurality = {
        f"crema/{row['FileName']}": row["VoiceVote"] for row in rows(released / "processedResults/summaryTable.csv")
    }
    ties = 0
    for clip in crema.utterances():
        assert clip.votes is not None
        most = max(clip.votes.values())
        winners = [letter for letter, emotion in LETTERS.items() if clip.votes[emotion] == most]
        assert ":".join(winners) == plurality[clip.id]
        ties += len(winners) > 1
    assert ties == 644


@pytest.mark.corpora
def test_released_audio_is_found(corpora_root: Path) -> None:
    clips = list(Crema(corpora_root / "originals" / "crema").utterances())
    assert [u.path.suffix for u in clips] == [".wav"] + [".mp3"] * 6
    assert {u.speaker for u in clips} == {"crema/1001", "crema/1002"}
