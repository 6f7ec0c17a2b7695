"""From a folder of clips, and from a table, to a trained, audited and carded run, without code."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf

from ser.errors import BadCorpusError, ConfigError
from ser.protocols.plan import planned
from ser.runs.folder import RunFolder
from ser.runs.identity import run_name
from ser.runs.verification import verify
from ser.runtime.composition import composed
from tests.conftest import Settings
from tests.runs.conftest import write_run

GERMAN = ("Wut", "Freude", "Trauer", "Langeweile")


def clip(file: Path, hertz: float, seed: int) -> None:
    """A third of a second of a tone in noise."""
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).normal(scale=0.1, size=5600)
    soundfile.write(file, 0.3 * np.sin(2 * np.pi * hertz * np.arange(5600) / 16000) + noise, 16000)


def trained(settings: Settings, *overrides: str) -> RunFolder:
    from ser.training.experiment import train

    train(settings("protocol.folds=3", "trainer.max_epochs=1", f"paths.runs={Path.cwd() / 'runs'}", *overrides))
    (run,) = (Path.cwd() / "runs").iterdir()
    return RunFolder(run)


def test_folders_of_classes_give_a_carded_run_stamped_for_unknown_speakers(settings: Settings, tmp_path: Path) -> None:
    for i, label in enumerate(("anger", "bored", "joy")):
        for take in range(6):
            clip(tmp_path / "clips" / label / f"{take}.wav", 150 * (i + 1), 10 * i + take)
    run = trained(settings, "data=folders", f"data.root={tmp_path / 'clips'}")
    assert run.metrics["run"]["stamps"] == ["speakers unknown (split by recording)"]
    assert run.card is not None
    assert run.card["classes"] == ["angry", "bored", "happy"]
    assert {(f["level"], f["kind"]) for f in run.audit or []} >= {
        ("stamp", "unknown speakers"),
        ("note", "unknown sentences"),
        ("note", "unknown sex"),
    }
    assert run.predictions["sex"].isna().all()
    page = (run.path / "card.html").read_text()
    assert "speakers unknown" in page
    assert "of 6 recordings" in page
    assert "6 speakers" not in page
    assert all(check.ok is not False for check in verify(run.path, stores=str(settings()["paths"]["stores"])))


@pytest.mark.slow
def test_german_table_with_boredom_trains_on_its_own_labels_and_on_common_ones(
    settings: Settings, tmp_path: Path
) -> None:
    lines = ["path;label;speaker;sex;language;split"]
    for i, (speaker, sex) in enumerate(zip("abcd", "wwmm", strict=True)):
        for j, label in enumerate(GERMAN):
            clip(tmp_path / f"{speaker}{j}.wav", 150 * (j + 1), 10 * i + j)
            lines.append(f"{speaker}{j}.wav;{label};{speaker};{sex};{'en' if j else 'de'};train")
    (tmp_path / "meine.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    run = trained(settings, "data=table", "data.file=meine.csv")
    assert run.metrics["run"]["stamps"] == []
    assert run.card is not None
    assert run.card["classes"] == ["angry", "bored", "happy", "sad"]
    notes = planned(run.settings).stores[0].card["notes"]
    assert any("Langeweile as bored" in note for note in notes)
    assert any("Langeweile as bored" in note for corpus in run.card["corpora"] for note in corpus["notes"])
    assert run.profile is not None
    assert [row["group"] for row in run.profile["groups"]["further_language"]] == ["de", "en"]
    assert "By language" in (run.path / "card.html").read_text()
    assert all(check.ok is not False for check in verify(run.path, stores=str(settings()["paths"]["stores"])))
    merged = composed("train", ["data=table", "data.file=meine.csv", "labels=four", "labels.merge.bored=null"])
    merged.paths.stores = str(tmp_path / "stores")
    assert planned(merged).labelled.dropped == {"bored": 4}


def two_tables(folder: Path) -> list[str]:
    """Write two tables of four speakers each; return the settings that name them."""
    for name in ("one", "two"):
        lines = ["path,label,speaker"]
        for i, speaker in enumerate("abcd"):
            for j, label in enumerate(("angry", "sad")):
                clip(folder / name / f"{speaker}{j}.wav", 150 * (j + 1), 10 * i + j + 100 * (name == "two"))
                lines.append(f"{name}/{speaker}{j}.wav,{label},{speaker}")
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return ["data=table", "data.file=[one.csv,two.csv]"]


@pytest.mark.slow
def test_two_tables_are_two_corpora(tmp_path: Path, stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    both = two_tables(tmp_path)
    across = ["protocol=cross_corpus", "protocol.train=[two]", "protocol.test=[one]", f"paths.stores={stores}"]
    plan = planned(composed("train", [*both, *across]))
    (split,) = plan.splits
    assert plan.corpora == ("one", "two")
    assert set(plan.labelled.manifest["corpus"].iloc[split.test]) == {"one"}
    assert set(plan.labelled.manifest["corpus"].iloc[split.train]) == {"two"}
    named = composed("train", [*both, "data.name=[mine,yours]", "protocol=leave_one_corpus_out"])
    assert list(named.data.corpora) == ["mine", "yours"]
    assert len(planned({**named, "paths": {"stores": str(stores)}}).splits) == 2
    with pytest.raises(ConfigError, match=r"data\.name must be a list of 2 names.*got mine"):
        composed("train", [*both, "data.name=mine", "protocol=speaker_cv"])
    with pytest.raises(ConfigError, match=r"data\.name must be a different name for each corpus; got x, x"):
        composed("train", [*both, "data.name=[x,x]", "protocol=speaker_cv"])
    with pytest.raises(ConfigError, match="Several corpora have no protocol"):
        composed("train", both)


def test_card_across_corpora_says_who_trained_and_who_tested(
    tmp_path: Path, stores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    across = ["protocol=cross_corpus", "protocol.train=[two]", "protocol.test=[one]", f"paths.stores={stores}"]
    config = OmegaConf.to_container(composed("train", [*two_tables(tmp_path), *across]), resolve=True)
    assert run_name(config) == "two-to-one-cnn-cross_corpus"
    run = RunFolder(write_run(tmp_path / "run", config, range(1)))
    title = "CNN trained on two, tested on one, cross_corpus, fold 0"
    assert run.card["title"] == title
    assert f"<h1>{title}</h1>" in (run.path / "card.html").read_text()


def test_one_table_may_have_a_name(tmp_path: Path) -> None:
    named = composed("train", ["data=[table,folders]", "data.file=a.csv", "data.root=clips", "protocol=speaker_cv"])
    assert list(named.data.corpora) == ["table", "folders"]
    (name,) = composed("train", ["data=table", "data.file=a.csv", "data.name=mine"]).data.corpora
    assert name == "mine"


def test_problems_of_a_table_are_told_before_another_corpus_is_decoded(
    tmp_path: Path, tiny_demo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.csv").write_text("path,label\nno.wav,sad\n")
    data = ["data=[demo,table]", f"+data.corpora.demo.root={tiny_demo}", "data.file=my.csv", "protocol=speaker_cv"]
    with pytest.raises(BadCorpusError, match=r"no\.wav does not exist"):
        planned(composed("train", [*data, "paths.stores=stores"]))
    assert not (tmp_path / "stores").exists()


@pytest.mark.parametrize(
    ("overrides", "at", "value"),
    [
        (["data=folders", "data.pattern={speaker}/{label}_*"], ("data", "pattern"), "{speaker}/{label}_*"),
        (
            ["data=table", "data.file=~/my clips (1), [new]=ünï日本.csv"],
            ("data", "file"),
            "~/my clips (1), [new]=ünï日本.csv",
        ),
        (["data=table", "data.file=it's #1.csv"], ("data", "file"), "it's #1.csv"),
        (["labels.merge.bored=neutral"], ("labels", "merge", "bored"), "neutral"),
        (["labels.merge.müde=null"], ("labels", "merge", "utf8-6dc3bc6465"), None),
    ],
)
def test_paths_patterns_and_labels_are_settings_as_typed(
    overrides: list[str], at: tuple[str, ...], value: object
) -> None:
    found = composed("train", overrides)
    for key in at[:-1]:
        found = found[key]
    assert found[at[-1]] == value
