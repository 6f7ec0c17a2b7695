"""The corpora whose recordings no test has: their layouts, names, tables and counts, on files made up with released names."""

from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.cafe import SENTENCES as CAFE_SENTENCES
from ser.corpora.cafe import Cafe
from ser.corpora.corpus import Corpus
from ser.corpora.dimensions import Dimensions
from ser.corpora.emodb import EmoDb
from ser.corpora.emovo import AGES, SENTENCES, Emovo
from ser.corpora.enterface import Enterface
from ser.corpora.esd import Esd
from ser.corpora.iemocap import Iemocap
from ser.corpora.labels import LabelScheme
from ser.corpora.manifest import Utterance, to_table
from ser.corpora.meld import Meld
from ser.corpora.msp_podcast import MspPodcast
from ser.corpora.shemo import Shemo
from ser.corpora.urdu import Urdu
from ser.errors import BadCorpusError
from ser.protocols.plan import Plan, plan_folds
from ser.protocols.split import Protocol
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.runtime.instantiate import instantiate
from tests.composed import composed

Facts = tuple[str, str | None, str | None, str, str | None]
"""The end of an id, and of a speaker, the sex, the emotion, and the end of a sentence."""


def facts(clip: Utterance) -> Facts:
    speaker, sentence = (end and end.partition("/")[2] for end in (clip.speaker, clip.sentence))
    return clip.id.partition("/")[2], speaker, clip.sex, clip.emotion, sentence


def tones(root: Path, paths: list[str]) -> Path:
    """Make a tone of 0.2 s under each path, each of its own frequency, so that no two recordings are the same."""
    for i, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        wave = 0.3 * np.sin(2 * np.pi * (200 + 40 * i) * np.arange(3200) / 16000)
        soundfile.write(root / path, wave, 16000)
    return root


NAMED: list[tuple[type[Corpus], str, Facts]] = [
    (EmoDb, "wav/03a01Fa.wav", ("03a01Fa", "03", "male", "happy", "a01")),
    (EmoDb, "emodb/wav/16B10Lb.wav", ("16b10Lb", "16", "female", "bored", "b10")),
    (Emovo, "EMOVO/m1/gio-m1-b1.wav", ("gio-m1-b1", "m1", "male", "happy", "b1")),
    (Emovo, "f3/pau-f3-d2.WAV", ("pau-f3-d2", "f3", "female", "fear", "d2")),
    (Cafe, "Colère/Fort/01-C-2-1.wav", ("01-C-2-1", "01", "male", "angry", "1")),
    (Cafe, "Neutre/12-N-1-6.wav", ("12-N-1-6", "12", "female", "neutral", "6")),
    (Shemo, "female/F03S02.wav", ("F03S02", "F03", "female", "sad", None)),
    (Shemo, "male/M02F01.wav", ("M02F01", "M02", "male", "fear", None)),
    (Urdu, "Neutral/SM5_F61_N089.wav", ("SM5_F61_N089", "SM5", "male", "neutral", None)),
    (Urdu, "SF1_F3_H03.wav", ("SF1_F3_H03", "SF1", "female", "happy", None)),
    (Esd, "0011/Angry/0011_000351.wav", ("0011_000351", "0011", "male", "angry", "English001")),
    (Esd, "0001/Surprise/train/0001_001750.wav", ("0001_001750", "0001", "female", "surprise", "Chinese350")),
    (Enterface, "subject 1/anger/sentence 2/s1_an_2.wav", ("s1_an_2", "s1", None, "angry", "an2")),
    (Enterface, "subject 11/fear/sentence 1/s12_fe_1.wav", ("s11_fe_1", "s11", None, "fear", "fe1")),
    (Enterface, "subject 3/sadness/sentence 5/s_3_sa_5.wav", ("s3_sa_5", "s3", None, "sad", "sa5")),
    (Enterface, "subject 16/surprise/sentence 3/s16_su_3avi.wav", ("s16_su_3", "s16", None, "surprise", "su3")),
    (Enterface, "subject 6/disgust/s6_di.wav", ("s6_di", "s6", None, "disgust", None)),
]
OTHERS: list[tuple[type[Corpus], str]] = [
    *((EmoDb, name) for name in ("04a01Fa.wav", "03a03Fa.wav", "03a01Xa.wav", "03a01F.wav")),
    *((Emovo, name) for name in ("gio-m4-b1.wav", "gio-m1-b4.wav", "joy-m1-b1.wav")),
    *((Cafe, name) for name in ("13-C-1-1.wav", "01-N-2-1.wav", "01-C-3-1.wav", "01-C-1-7.wav")),
    *((Shemo, name) for name in ("X03S02.wav", "F03D02.wav", "F3S02.wav")),
    *((Urdu, name) for name in ("SX1_F1_A01.wav", "SM1_F1_D01.wav")),
    *((Esd, name) for name in ("0021/Angry/0021_000351.wav", "0011/Fear/0011_000351.wav", "0011_000351.wav")),
    *((Enterface, name) for name in ("s1_ne_1.wav", "s1_an_6.wav", "s45_an_1.wav")),
]


@pytest.mark.parametrize(("corpus", "path", "expected"), NAMED, ids=lambda value: getattr(value, "name", None))
def test_released_name_is_parsed(corpus: type[Corpus], path: str, expected: Facts, tmp_path: Path) -> None:
    clip = corpus(tmp_path).parse(tmp_path / path)
    assert clip is not None
    assert facts(clip) == expected


@pytest.mark.parametrize(("corpus", "path"), OTHERS, ids=lambda value: getattr(value, "name", None))
def test_other_name_is_not_of_the_corpus(corpus: type[Corpus], path: str, tmp_path: Path) -> None:
    assert corpus(tmp_path).parse(tmp_path / path) is None


def emovo() -> Iterator[str]:
    yield from ("-".join(parts) + ".wav" for parts in product(Emovo.emotions, AGES, SENTENCES))


def cafe() -> Iterator[str]:
    for actor, emotion, intensity, sentence in product(range(1, 13), Cafe.emotions, "12", CAFE_SENTENCES):
        if (emotion, intensity) != ("N", "2"):
            yield f"{actor:02d}-{emotion}-{intensity}-{sentence}.wav"


def enterface() -> Iterator[str]:
    for subject, code, sentence in product(range(1, 45), Enterface.emotions, range(1, 6)):
        name = f"s{12 if subject == 11 else subject}_{code}"
        if subject == 6:
            yield f"subject 6/{code}/{name}.wav"
        elif (subject, code) != (23, "ha") or sentence <= 2:
            yield f"subject {subject}/{code}/sentence {sentence}/{name}_{sentence}.wav"


@pytest.mark.parametrize("names", [emovo, cafe, enterface])
def test_design_of_a_release_gives_its_counts(names: object, tmp_path: Path) -> None:
    corpus = {"emovo": Emovo, "cafe": Cafe, "enterface": Enterface}[names.__name__](tmp_path)
    parsed = [corpus.parse(tmp_path / name) for name in names()]
    clips = {clip.id: clip for clip in parsed if clip}
    assert corpus.differences(clips.values()) == []
    said = {clip.sentence for clip in clips.values() if clip.sentence}
    assert len(said) == {"emovo": 14, "cafe": 6, "enterface": 30}[corpus.name]


def test_folders_around_enterface_name_no_subject(tmp_path: Path) -> None:
    clip = Enterface(tmp_path / "subject 3").parse(tmp_path / "subject 3" / "s5_an_1.wav")
    assert clip is not None
    assert clip.speaker == "enterface/s5"


def test_esd_says_each_sentence_with_every_emotion() -> None:
    numbers = {emotion: range(350 * i + 1, 350 * (i + 1) + 1) for i, emotion in enumerate(Esd.emotions)}
    paths = [f"x/{s}/{e}/{s}_{n:06d}.wav" for s in ("0010", "0011") for e, block in numbers.items() for n in block]
    clips = [Esd("x").parse(Path(path)) for path in paths]
    said = Counter(clip.sentence for clip in clips)
    assert (len(said), set(said.values())) == (2 * 350, {5})
    assert 10 * len(clips) == Esd.expected_utterances


def test_sexes_of_a_release_are_those_that_it_states() -> None:
    def women(corpus: Corpus, paths: list[str]) -> int:
        return sum(corpus.parse(corpus.root / path).sex == "female" for path in paths)

    speakers = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    assert women(EmoDb("x"), [f"{speaker}a01Na.wav" for speaker in speakers]) == 5
    assert women(Esd("x"), [f"Sad/{speaker:04d}_000001.wav" for speaker in range(1, 11)]) == 5
    assert women(Esd("x"), [f"Sad/{speaker:04d}_000001.wav" for speaker in range(11, 21)]) == 5


BLOCK = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[6.2901 - 8.2357]\t{0}_F000\tneu\t[2.5000, 2.5000, 2.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral; Sadness;\t(tired)
C-F1:\tAnger;\t()
A-E3:\tval 3; act 2; dom  2;\t()

[9.0000 - 11.2000]\t{0}_M000\texc\t[2.0000, 3.5000, 3.0000]
C-E2:\tExcited;\t()
C-E4:\tHappiness;\t()
A-E3:\tval 2; act 4; dom  3;\t()

[11.9000 - 12.2000]\t{0}_M001\txxx\t[3.0000, 3.0000, 3.0000]
C-E2:\tExcited;\t()
C-E4:\tHappiness;\t()
"""


@pytest.fixture
def iemocap(tmp_path: Path) -> Iemocap:
    """Three utterances of each session, with a whole dialogue and the files of single listeners beside them."""
    root = tmp_path / "iemocap"
    for i in range(1, 6):
        name, session = f"Ses0{i}F_impro01", root / f"Session{i}"
        tones(session, [f"sentences/wav/{name}/{name}_{turn}.wav" for turn in ("F000", "M000", "M001")])
        tones(session, [f"dialog/wav/{name}.wav"])
        for folder in ("dialog/EmoEvaluation/Categorical", "dialog/transcriptions"):
            (session / folder).mkdir(parents=True)
        (session / "dialog/EmoEvaluation" / f"{name}.txt").write_text(BLOCK.format(name))
        (session / "dialog/EmoEvaluation/Categorical" / f"{name}_e1_cat.txt").write_text(f"{name}_F000 :Anger; ()\n")
        words = f"{name}_F000 [006.2901-008.2357]: Excuse  me.\nM: [BREATHING]\n"
        (session / "dialog/transcriptions" / f"{name}.txt").write_text(words)
    return Iemocap(root)


def test_iemocap_labels_votes_and_words_are_read(iemocap: Iemocap) -> None:
    woman, man, undecided, *_ = iemocap.utterances()
    assert facts(woman) == ("Ses01F_impro01_F000", "01F", "female", "neutral", "excuse me.")
    assert facts(man) == ("Ses01F_impro01_M000", "01M", "male", "excited", None)
    assert woman.votes == {"neutral": 2, "sad": 1}
    assert woman.further == {"kind": "improvised", "valence": "2.5000", "arousal": "2.5000", "dominance": "2.5000"}
    assert undecided.emotion == "undecided"
    assert undecided.votes == {"excited": 1, "happy": 1}
    assert [path.name for path in iemocap.strays()] == [f"Ses0{i}F_impro01.wav" for i in range(1, 6)]


def plan_of(corpus: Corpus, folder: Path) -> Plan:
    """The plan of a corpus's own configuration."""
    config = composed(f"data={corpus.name}")
    labels, protocol = instantiate(config["labels"], LabelScheme), instantiate(config["protocol"], Protocol)
    return plan_folds({corpus.name: prepare(corpus, folder, AudioSettings(16000))}, labels, protocol)


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [("iemocap", [2.5, 2.5, 2.5]), ("iemocap", [2.0, 3.5, 3.0]), ("msp", [4.0, 2.2, 2.6])],
)
def test_valence_arousal_and_dominance_can_be_targets(
    corpus: str, expected: list[float], request: pytest.FixtureRequest
) -> None:
    manifest = to_table(request.getfixturevalue(corpus).utterances())
    labelled = Dimensions(["valence", "arousal", "dominance"]).apply(manifest)
    assert len(labelled.target) == len(manifest)
    assert expected in labelled.target.tolist()


def test_iemocap_is_split_by_session_into_the_usual_four_by_default(iemocap: Iemocap, tmp_path: Path) -> None:
    plan = plan_of(iemocap, tmp_path / "stores")
    assert plan.labelled.classes == ("angry", "happy", "neutral", "sad")
    assert plan.labelled.dropped == {"undecided": 5}
    manifest = plan.labelled.manifest
    tested = [sorted(manifest["speaker"][split.test]) for split in plan.splits]
    assert tested == [[f"iemocap/0{i}F", f"iemocap/0{i}M"] for i in range(1, 6)]
    for split in plan.splits:
        sessions = [{speaker[8:10] for speaker in manifest["speaker"][rows]} for rows in split.sides().values()]
        assert set.union(*sessions) == {"01", "02", "03", "04", "05"}
        assert sum(map(len, sessions)) == 5


MELD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season\n"


@pytest.fixture
def meld(tmp_path: Path) -> Meld:
    """The same two names on each side of MELD, and a video without a label."""
    root = tmp_path / "meld"
    folders = {"train": "train/train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
    for side, folder in folders.items():
        tones(root, [f"{folder}/dia0_utt{i}.wav" for i in (0, 3)] + [f"{folder}/final_videos_testdia0_utt0.wav"])
        rows = f'1,"Well, hi.",Ross,joy,positive,0,0,8\n2,No \x92 way,{side} Nurse,anger,negative,0,3,8\n'
        rows += "3,Gone.,Ross,fear,negative,1,0,8\n"
        (root / f"{side}_sent_emo.csv").write_text(MELD + rows, encoding="cp1252", errors="replace")
    return Meld(root)


def test_meld_names_are_told_apart_by_side(meld: Meld) -> None:
    clips = list(meld.utterances())
    assert [clip.id for clip in clips] == [
        f"meld/{side}/dia0_utt{i}" for side in ("dev", "test", "train") for i in (0, 3)
    ]
    assert facts(clips[0])[1:] == ("Ross", "male", "happy", "well, hi.")
    assert facts(clips[1])[1:4] == ("dev Nurse", None, "angry")
    assert len(meld.strays()) == 3


def test_meld_released_split_is_stamped_for_its_shared_speakers(meld: Meld, tmp_path: Path) -> None:
    (split,) = plan_of(meld, tmp_path / "stores").splits
    assert {side: len(rows) for side, rows in split.sides().items()} == {"train": 2, "dev": 2, "test": 2}
    assert split.stamps == (SPEAKER_DEPENDENT,)


MSP = """FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set
MSP-PODCAST_0001_0008.wav,N,2.2,4.0,2.6,30,Male,Test1
MSP-PODCAST_0001_0009.wav,H,3.8,3.6,3.8,Unknown,Unknown,Test2
MSP-PODCAST_0002_0001.wav,C,4.1,4.8,4.0,39,Female,Train
MSP-PODCAST_0003_0001.wav,X,3.0,3.8,3.2,41,Female,Train
MSP-PODCAST_0004_0001.wav,N,2.4,4.2,2.8,52,Male,Development
"""


@pytest.fixture
def msp(tmp_path: Path) -> MspPodcast:
    root = tmp_path / "msp_podcast"
    names = [line.partition(",")[0] for line in MSP.splitlines()[1:]]
    tones(root, [f"Audios/{name}" for name in [*names, "MSP-PODCAST_9999_0001.wav"]])
    (root / "Labels").mkdir()
    (root / "Labels" / "labels_consensus.csv").write_text(MSP)
    return MspPodcast(root)


def test_msp_podcast_table_is_read(msp: MspPodcast) -> None:
    known, unknown, *rest = clips = list(msp.utterances())
    assert [clip.further.get("split") for clip in clips] == ["test", None, "train", "train", "dev"]
    assert facts(known) == ("MSP-PODCAST_0001_0008", "30", "male", "neutral", None)
    assert facts(unknown)[1:] == (None, None, "happy", None)
    assert [clip.emotion for clip in rest] == ["contempt", "undecided", "neutral"]
    assert [path.name for path in msp.strays()] == ["MSP-PODCAST_9999_0001.wav"]


def test_msp_podcast_released_split_has_no_shared_speaker(msp: MspPodcast, tmp_path: Path) -> None:
    plan = plan_of(msp, tmp_path / "stores")
    (split,) = plan.splits
    sides = {
        side: [id_.rpartition("/")[2] for id_ in plan.labelled.manifest["id"][rows]]
        for side, rows in split.sides().items()
    }
    assert sides == {
        "train": ["MSP-PODCAST_0002_0001"],
        "dev": ["MSP-PODCAST_0004_0001"],
        "test": ["MSP-PODCAST_0001_0008"],
    }
    assert split.stamps == ()
    assert plan.labelled.dropped == {"undecided": 1}


@pytest.mark.parametrize(
    ("corpus", "name", "told"),
    [
        (Iemocap, "Ses01F_impro01_F000.wav", r"Session\*/dialog/EmoEvaluation/\*\.txt, under .*; got none"),
        (Meld, "train_splits/dia0_utt0.wav", "MELD must have its labels, train_sent_emo.csv, under"),
        (MspPodcast, "MSP-PODCAST_0001_0008.wav", "MSP-Podcast must have its labels, labels_consensus.csv, under"),
    ],
)
def test_audio_without_its_labels_is_an_error(corpus: type[Corpus], name: str, told: str, tmp_path: Path) -> None:
    tones(tmp_path, [name])
    with pytest.raises(BadCorpusError, match=told):
        corpus(tmp_path).utterances()


def test_other_test_part_can_be_chosen(msp: MspPodcast) -> None:
    clips = MspPodcast(msp.root, test="Test2").utterances()
    assert [clip.further.get("split") for clip in clips] == [None, "test", "train", "train", "dev"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FileName,EmoClass\n", "must have the columns FileName, .*; got none named SpkrID, Gender, Split_Set, EmoAct"),
        (
            MSP + "MSP-PODCAST_0005_0001.wav,N\n",
            "line 7 must have 8 columns; got 2. Replace it with the table that MSP",
        ),
        (MSP + '"' + 70_000 * "a\n", "must be a row of a CSV; got field larger than field limit"),
    ],
)
def test_damaged_table_of_a_release_is_an_error(msp: MspPodcast, text: str, told: str) -> None:
    msp.labels_in("labels_consensus.csv").write_text(text)
    with pytest.raises(BadCorpusError, match=told):
        msp.utterances()


def test_label_that_the_release_does_not_have_leaves_the_clip_out(meld: Meld) -> None:
    table = meld.labels_in("dev_sent_emo.csv")
    table.write_text(table.read_text(errors="replace").replace("joy", "glee").replace("0,3,8", "zero,3,8"))
    assert [clip.id for clip in meld.utterances() if "/dev/" in clip.id] == []
