import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
import yaml

import ser.corpora
from ser.corpora.corpus import Corpus
from ser.corpora.crema import Crema
from ser.corpora.demo import Demo
from ser.corpora.labels import EMOTIONS
from ser.corpora.manifest import to_table
from ser.corpora.own import OwnRecordings
from ser.corpora.ravdess import Ravdess
from ser.corpora.savee import Savee
from ser.corpora.synonyms import emotion_of
from ser.corpora.tess import Tess
from ser.errors import CorpusNotFoundError, DownloadError
from ser.prepare import unpack_all
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import find_class
from tests.work import calls

Touch = Callable[[Iterable[str]], Path]


def declared() -> Iterator[tuple[str, type[Corpus]]]:
    """The name and class of each file in ``conf/data`` that is of one corpus."""
    for file in sorted((Path(conf_dir()) / "data").glob("*.yaml")):
        corpora = yaml.safe_load(file.read_text())["data"]["corpora"]
        assert list(corpora) == [file.stem]
        yield file.stem, find_class(corpora[file.stem]["_target_"], Corpus)


PUBLISHED = {name: corpus for name, corpus in declared() if not issubclass(corpus, OwnRecordings)}
CORPORA = [corpus for corpus in PUBLISHED.values() if corpus is not Demo]
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:c6f94b2592487c7556bd86df7df6e8f4420d1b9c11414aeec9d8e5e640b51495\nsize 72862\n"
)
CLIP = "03-01-05-01-01-01-01"


@pytest.mark.parametrize("suffix", [".wav", ".WAV", ".flac", ".Flac", ".ogg", ".mp3"])
def test_any_format_and_extension_case_is_found(touch: Touch, suffix: str) -> None:
    root = touch([f"Actor_01/{CLIP}{suffix}"])
    assert [u.id for u in Ravdess(root).utterances()] == [f"ravdess/{CLIP}"]


def test_clip_in_several_formats_is_used_once_in_the_preferred_one(touch: Touch) -> None:
    root = touch([f"a/{CLIP}.mp3", f"b/{CLIP}.ogg", f"c/d/{CLIP}.WAV", f"e/{CLIP}.flac"])
    assert [u.path.name for u in Ravdess(root).utterances()] == [f"{CLIP}.WAV"]


def test_copy_nearest_to_the_root_is_used(touch: Touch) -> None:
    root = touch([f"again/Actor_01/{CLIP}.wav", f"Actor_01/{CLIP}.wav"])
    assert [u.path.parent for u in Ravdess(root).utterances()] == [root / "Actor_01"]


def test_hidden_files_and_files_of_macos_are_ignored(touch: Touch) -> None:
    root = touch([f"Actor_01/._{CLIP}.wav", f"__MACOSX/Actor_01/{CLIP}.wav", f".download/{CLIP}.wav", f"x/{CLIP}.txt"])
    assert Ravdess(root).clips() == []
    assert Ravdess(root).strays() == []


def test_audio_with_other_names_is_listed_as_stray(touch: Touch) -> None:
    root = touch([f"{CLIP}.wav", "readme.txt", "song/03-02-05-01-01-01-01.wav", "extra.mp3"])
    corpus = Ravdess(root)
    assert [p.name for p in corpus.strays()] == ["extra.mp3", "03-02-05-01-01-01-01.wav"]
    assert len(corpus.clips()) + len(corpus.strays()) == 3


def test_links_are_followed_and_loops_end(touch: Touch) -> None:
    root = touch([f"data/Actor_01/{CLIP}.wav", "ravdess/readme.txt"])
    (root / "ravdess" / "Actor_01").symlink_to(root / "data" / "Actor_01", target_is_directory=True)
    (root / "data" / "Actor_01" / "loop").symlink_to(root / "data", target_is_directory=True)
    assert len(list(Ravdess(root / "ravdess").utterances())) == 1


@pytest.mark.parametrize("folder", ["RAVDESS", "Ravdess", "Audio_Speech_Actors_01-24", "ravdess_speech"])
def test_folder_is_found_in_another_case_or_by_an_alias(touch: Touch, folder: str) -> None:
    root = touch([f"{folder}/{CLIP}.wav"])
    assert len(list(Ravdess(root / "ravdess").utterances())) == 1


def test_empty_folder_does_not_hide_the_folder_with_the_corpus(touch: Touch) -> None:
    root = touch(["CREMA-D/AudioWAV/1001_DFA_ANG_XX.wav"])
    (root / "crema").mkdir()
    assert len(list(Crema(root / "crema").utterances())) == 1


def test_path_of_the_corpus_itself_works_like_its_parent(touch: Touch) -> None:
    root = touch([f"RAVDESS/Actor_01/{CLIP}.wav"])
    assert Ravdess(root / "RAVDESS" / "ravdess").root == root / "RAVDESS"


def test_neighbouring_corpus_is_not_used(touch: Touch) -> None:
    root = touch(["crema/AudioWAV/1001_DFA_ANG_XX.wav"])
    with pytest.raises(CorpusNotFoundError):
        Ravdess(root / "ravdess").utterances()


@pytest.mark.parametrize("corpus", CORPORA)
def test_missing_corpus_error_says_where_to_get_it_and_exits_with_2(tmp_path: Path, corpus: type[Corpus]) -> None:
    with pytest.raises(CorpusNotFoundError) as error:
        corpus(tmp_path / corpus.name).utterances()
    told = str(error.value)
    for fact in (
        corpus.licence,
        corpus.homepage,
        corpus.doi,
        str(tmp_path),
        f"paths.corpora=/folder/with/{corpus.name}",
    ):
        assert fact in told
    command = f"python -m ser.prepare data={corpus.name} download=true"
    assert (command in told) == bool(corpus.downloads)
    assert error.value.exit_code == 2


def test_folder_with_other_audio_is_reported(touch: Touch) -> None:
    with pytest.raises(CorpusNotFoundError, match=r"none of the 2 audio files .* e\.g\. one\.wav"):
        Tess(touch(["one.wav", "two.wav"])).utterances()


def test_counts_that_differ_from_the_release_are_reported(touch: Touch) -> None:
    corpus = Savee(touch(["DC_a01.wav"]))
    told = corpus.differences(corpus.utterances())
    assert "SAVEE: 1 clip here, 480 in the release." in told
    assert "SAVEE: 0 neutral clips here, 120 in the release." in told


@pytest.mark.parametrize("corpus", CORPORA)
def test_facts_of_a_corpus_are_consistent(corpus: type[Corpus]) -> None:
    assert len(set(corpus.emotions.values())) == len(corpus.emotions) >= 4
    for emotion in corpus.emotions.values():
        assert emotion in EMOTIONS or emotion_of(emotion) == emotion == emotion.lower()
    if corpus.expected_per_emotion:
        assert set(corpus.expected_per_emotion) == set(corpus.emotions.values())
        assert sum(corpus.expected_per_emotion.values()) == corpus.expected_utterances
    assert all((corpus.language, corpus.licence, corpus.citation, corpus.downloads or corpus.how_to_get))
    assert corpus.homepage.startswith("http")
    assert all(id_.startswith(f"{corpus.name}/") for id_ in corpus.known_bad)
    for item in corpus.downloads:
        assert item.url.startswith("https://")
        assert item.checksum is None or item.checksum.partition(":")[0] in ("md5", "sha256")


def test_ids_speakers_and_sentences_are_unique_across_corpora(touch: Touch) -> None:
    root = touch(["c/1001_DFA_ANG_XX.wav", f"r/{CLIP}.wav", "s/DC_a01.wav", "t/OAF_back_ps.wav"])
    corpora: list[Corpus] = [Crema(root / "c"), Ravdess(root / "r"), Savee(root / "s"), Tess(root / "t")]
    table = to_table(u for corpus in corpora for u in corpus.utterances())
    assert list(table["speaker"]) == ["crema/1001", "ravdess/01", "savee/DC", "tess/OAF"]
    assert list(table["emotion"]) == ["angry", "angry", "angry", "surprise"]


def test_every_corpus_has_a_yaml_and_every_yaml_a_corpus(tmp_path: Path) -> None:
    modules = {m.stem for m in Path(ser.corpora.__file__).parent.glob("*.py") if "(Corpus):" in m.read_text()}
    assert set(PUBLISHED) == modules - {"own"} > {"crema", "demo", "emodb"}
    assert all(corpus(tmp_path / name).name == name for name, corpus in declared())


def row_of(corpus: type[Corpus]) -> str:
    """The row of a corpus in docs/corpora.md."""
    numbers = (corpus.expected_utterances, corpus.expected_speakers, corpus.hours)
    link = f"https://doi.org/{corpus.doi}" if corpus.doi else corpus.homepage
    emotions = ", ".join(sorted(corpus.emotions.values()))
    get = "`download=true`" if corpus.downloads else f"[there]({corpus.homepage})"
    shown = ("-" if number is None else f"{number}" for number in numbers)
    cells = (f"[`{corpus.name}`]({link})", corpus.language, corpus.material, *shown, emotions, corpus.licence, get)
    return f"| {' | '.join(cells)} |"


def test_page_of_corpora_has_the_facts_of_the_classes() -> None:
    head = "| `data=` | language | speech | clips | speakers | hours | emotions | licence | get it |"
    table = [head, "|---|---|---|---|---|---|---|---|---|", *map(row_of, CORPORA)]
    page = (Path(__file__).parents[2] / "docs" / "corpora.md").read_text()
    assert page.split("<!-- table -->")[1].strip().splitlines() == table


def test_corpora_do_not_import_torch_or_audio() -> None:
    code = (
        "import sys, ser.corpora.download, ser.corpora.crema, ser.corpora.ravdess, ser.corpora.savee, ser.corpora.tess\n"
        "print([m for m in ('torch', 'soundfile', 'pooch', 'requests') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_listing_takes_few_calls_per_clip(touch: Touch) -> None:
    root = touch(
        f"AudioWAV/{actor}_{sentence}_{emotion}_XX.wav"
        for actor in range(1001, 1092)
        for sentence in ("DFA", "IOM", "ITH", "ITS", "IWL", "IWW", "MTI", "TAI", "TIE", "TSI", "WSI", "IEO")
        for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
    )
    assert len(list(Crema(root).utterances())) == 6552
    assert calls(lambda: list(Crema(root).utterances())) < 400 * 6552  # 120 measured


def test_a_zip_file_that_is_not_unpacked_is_seen_and_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "SAVEE.zip", "w") as archive:
        archive.writestr("AudioData/DC_a01.wav", b"RIFF")
    corpus = Savee(tmp_path / "savee")
    assert corpus.zips() == [tmp_path / "SAVEE.zip"]
    with pytest.raises(CorpusNotFoundError, match=r"zip file   .*SAVEE\.zip: add unpack=true"):
        corpus.utterances()
    unpack_all(corpus)
    assert [clip.id for clip in corpus.utterances()] == ["savee/DC_a01"]
    assert corpus.zips() == []
    assert (tmp_path / "SAVEE.zip").exists()


def test_a_damaged_zip_file_of_the_user_s_is_kept(tmp_path: Path) -> None:
    (tmp_path / "savee.zip").write_bytes(b"PK damaged")
    corpus = Savee(tmp_path / "savee")
    with pytest.raises(DownloadError, match="must be a whole zip file"):
        unpack_all(corpus)
    assert (tmp_path / "savee.zip").exists()
    assert not (tmp_path / "savee").exists()
