"""Tables and pictures of sweeps, from run folders whose predictions are made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ser.comparison import classic, cross_corpus, leakage
from ser.comparison.report import Report
from ser.errors import RunError
from ser.evaluation import predictions
from ser.evaluation.summary import summarise, write_metrics
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.runtime import composition
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate
from tests.conftest import DOT, Settings

CLASSES = ("angry", "happy", "sad")
CLASSICS = ("tess_lstm", "tess_cnn_rnn", "savee_rf", "ravdess_tess", "four_corpora")


def table(corpus: str, right: float, seed: int, fold: int = 0) -> pd.DataFrame:
    """Twelve speakers, 9 clips each, of which a share is right."""
    random = np.random.default_rng(seed)
    rows = []
    for speaker in range(12):
        for clip in range(9):
            target = clip % 3
            said = target if random.random() < right else (target + 1) % 3
            p = np.where(np.arange(3) == said, 0.8, 0.1)
            about = {"utterance": f"{corpus}/{speaker}-{clip}", "corpus": corpus, "speaker": f"{corpus}/{speaker}"}
            about |= {"sex": ("female", "male")[speaker % 2], "sentence": f"{corpus}/{clip}", "fold": fold}
            rows.append(about | {"target": CLASSES[target]} | {f"p_{c}": v for c, v in zip(CLASSES, p, strict=True)})
    return pd.DataFrame(rows)


def run(
    folder: Path, scored: pd.DataFrame, protocol: dict[str, Any], stamps: list[str] | None = None, seed: int = 0
) -> None:
    folder.mkdir(parents=True)
    predictions.write_predictions(scored, folder / "predictions.parquet")
    about = {"corpora": sorted(scored["corpus"].unique()), "protocol": protocol["name"], "stamps": stamps or []}
    about |= {"seed": seed, "train_seconds": 1.0, "splits": {str(fold): "f00d" for fold in scored["fold"].unique()}}
    write_metrics({**summarise(scored), "run": about}, folder / "metrics.json")
    config = {"model": {"_target_": "ser.models.cnn.CNN"}, "optimizer": {}, "protocol": protocol}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


@pytest.fixture
def leaks(tmp_path: Path) -> Path:
    for corpus in ("here", "there"):
        run(tmp_path / f"{corpus}-cv", table(corpus, 0.6, 1), {"name": "speaker_cv"})
        run(
            tmp_path / f"{corpus}-random",
            table(corpus, 1.0, 2, 3),
            {"name": "random"},
            [f"{SPEAKER_DEPENDENT} (100 %)"],
        )
    return tmp_path


def test_a_leak_s_gain_is_the_difference_on_the_same_utterances(leaks: Path) -> None:
    rows = leakage.leaks([*leaks.iterdir()])
    assert rows[["corpus", "protocol"]].to_numpy().tolist() == [
        ["here", "random"], ["here", "speaker_cv"], ["there", "random"], ["there", "speaker_cv"]
    ]  # fmt: skip
    honest = summarise(table("here", 0.6, 1))["uar"]
    random, cv = rows.iloc[0], rows.iloc[1]
    assert (random["uar"], cv["uar"]) == (1.0, honest)
    assert random["gain"] == pytest.approx(1.0 - honest)
    assert random["gain_low"] < random["gain"] < random["gain_high"]
    assert random["p"] <= 2 / 2**12 + 1e-9  # right for every speaker
    assert np.isnan(cv["gain"])


def test_leaks_of_several_seeds_are_their_mean_with_an_interval(leaks: Path) -> None:
    again = table("here", 0.8, 7)
    run(leaks / "here-cv-1", again, {"name": "speaker_cv"}, seed=1)
    rows = leakage.leaks([*leaks.iterdir()]).set_index(["corpus", "protocol"])
    mean = np.mean([summarise(table("here", 0.6, 1))["uar"], summarise(again)["uar"]])
    one = rows.loc[("here", "speaker_cv")]
    assert (one["seeds"], rows.loc[("there", "speaker_cv"), "seeds"]) == (2, 1)
    assert one["uar"] == pytest.approx(mean)
    assert one["low"] < mean < one["high"]
    assert rows.loc[("here", "random"), "gain"] == pytest.approx(1.0 - mean), "against the mean of the seeds"


def test_the_report_of_leaks_is_a_table_a_file_and_a_picture(leaks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leakage.Leakage().write(leaks, [*leaks.iterdir()])
    assert "random" in capsys.readouterr().out
    assert (leaks / "leakage.png").stat().st_size > 10_000
    assert len(pd.read_csv(leaks / "leakage.csv")) == 4
    markdown = (leaks / "leakage.md").read_text()
    assert markdown.count(f"**{SPEAKER_DEPENDENT}**") == 2
    assert "100.0" in markdown


def test_each_training_set_and_test_corpus_is_a_cell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for train in ("here", "there", "others"):
        for test in ("here", "there"):
            right = 0.9 if train == test else 0.5
            protocol = {"name": "cross_corpus", "train": train, "test": test}
            run(tmp_path / f"{train}-{test}", table(test, right, 3), protocol)
    runs = [*tmp_path.iterdir()]
    cross_corpus.CrossCorpusMatrix().write(tmp_path, runs)
    rows = cross_corpus.transfers(runs).set_index(["train", "test"])
    assert len(rows) == 6
    assert rows.loc[("here", "here"), "uar"] == summarise(table("here", 0.9, 3))["uar"]
    assert rows.loc[("others", "there"), "low"] < rows.loc[("others", "there"), "uar"]
    assert (tmp_path / "cross_corpus.png").stat().st_size > 10_000
    lines = (tmp_path / "cross_corpus.md").read_text().splitlines()
    assert lines[0] == "| train \\ test | here | there |"
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["here", "there", "others"]
    assert "UAR in %" in capsys.readouterr().out


def classic_run(folder: Path, scored: pd.DataFrame, protocol: str, model: str = "cnn.CNN", seed: int = 0) -> None:
    name = f"{protocol}-{model}-{seed}"
    run(folder / name, scored, {"name": protocol}, [f"{SPEAKER_DEPENDENT} (100 %)"] * (protocol == "random"))
    more = {"labels": "native", "splits": {str(k): f"{protocol}{k}" for k in scored["fold"].unique()}, "seed": seed}
    summary = summarise(scored)
    about = {"corpora": sorted(scored["corpus"].unique()), "protocol": protocol} | more
    about |= {"fingerprint": "f00d", "train_seconds": 1.0, "stamps": [SPEAKER_DEPENDENT] * (protocol == "random")}
    write_metrics({**summary, "run": about}, folder / name / "metrics.json")
    config = {"model": {"_target_": f"ser.models.{model}"}, "protocol": {"name": protocol}, "seed": seed}
    (folder / name / "config.yaml").write_text(yaml.safe_dump({**config, "data": {"corpora": {}}}))


def test_classic_numbers_stand_beside_those_of_new_speakers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = {right: pd.concat([table("here", right, 1), table("there", right, 2)]) for right in (0.95, 0.9, 0.5, 0.4)}
    for model, random, new in (("cnn.CNN", 0.95, 0.4), ("bilstm.BiLSTM", 0.9, 0.5)):
        classic_run(tmp_path, both[random], "random", model)
        classic_run(tmp_path, both[new], "speaker_cv", model)
    report = classic.Classic("A random split", reported=0.995)
    (tmp_path / "explore").mkdir()
    (tmp_path / "explore" / "explore.html").write_text("as it was")
    report.write(tmp_path, [tmp_path])
    assert (tmp_path / "explore" / "explore.html").read_text() == "as it was"
    rows = pd.read_csv(tmp_path / "classic.csv").set_index(["model", "corpus", "split"])
    assert len(rows) == 2 * 3 * 2
    for model, corpus, split, scored in (
        ("cnn", "all", "original", both[0.95]),
        ("bilstm", "here", "independent", both[0.5].query("corpus == 'here'")),
    ):
        summary, row = summarise(scored), rows.loc[(model, corpus, split)]
        assert row[["accuracy", "uar", "f1"]].tolist() == pytest.approx(
            [summary[k] for k in ("accuracy", "uar", "macro_f1")]
        )
    first, second = rows.loc[("bilstm", "all", "original")], rows.loc[("bilstm", "all", "independent")]
    assert first["gap"] == pytest.approx(first["accuracy"] - second["accuracy"])
    assert first["gap_low"] < first["gap"] < first["gap_high"]
    assert rows["gap"].isna().to_numpy().tolist() == [split == "independent" for _, _, split in rows.index]
    printed = " ".join(capsys.readouterr().out.split())
    told = report.conclusion(rows.reset_index())
    assert told in printed
    assert told in (tmp_path / "classic.md").read_text()
    assert told.startswith(
        f"bilstm is right on {100 * first['accuracy']:.1f} % of the clips where their speakers train it"
    )
    assert "(such projects report 99.5 %)" in told
    assert "on 24 speakers, is knowledge of the speakers" in told
    assert (tmp_path / "classic.png").stat().st_size > 10_000


@pytest.mark.slow
def test_classic_report_has_pictures_of_the_corpora(
    tmp_path: Path, small_settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Made, but not drawn: tests/pictures draws them.
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, file, **_: Path(file).write_bytes(DOT))
    classic_run(tmp_path / "runs", table("demo", 0.9, 1), "random")
    (folder,) = (tmp_path / "runs").iterdir()
    settings = small_settings("features=functionals", "protocol=random")
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    classic.Classic("A random split").write(tmp_path, [folder])
    page = tmp_path / "explore" / "explore.html"
    assert f"Pictures of the corpora: {page}" in capsys.readouterr().out
    assert "36 clips, 6 speakers, 6 classes" in page.read_text()
    drawn = {file.stem for file in page.parent.glob("*.png")}
    assert {"examples", "by_class_pitch", "pca_class", "spectra"} <= drawn  # waveforms, distributions, maps, spectra
    assert not any(name.startswith("umap") for name in drawn)


def test_classic_report_says_why_it_has_no_pictures_of_the_corpora(
    tmp_path: Path, small_settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    classic_run(tmp_path / "runs", table("demo", 0.9, 1), "random")
    (folder,) = (tmp_path / "runs").iterdir()
    gone = f"paths.stores={tmp_path / 'stores'}", "data.corpora.demo.root=/nowhere"
    (folder / "config.yaml").write_text(yaml.safe_dump(small_settings(*gone)))
    classic.Classic("A random split").write(tmp_path, [folder])
    assert "No pictures of the corpora: " in capsys.readouterr().out
    assert (tmp_path / "classic.png").exists()
    assert not (tmp_path / "explore").exists()


@pytest.mark.parametrize("name", CLASSICS)
def test_jobs_of_a_classic_experiment_have_known_settings_only(name: str) -> None:
    config = composition.composed("train", [f"experiment=classic_{name}", "protocol=random", "hydra.mode=RUN"])
    assert config.protocol._target_.endswith(".RandomUtterances")
    assert config.fold == "all"


def test_classic_report_says_when_a_split_gains_nothing_or_is_missing(tmp_path: Path) -> None:
    classic_run(tmp_path, table("here", 0.5, 1), "random")
    report = classic.Classic("A random split")
    assert "no finished run" in report.conclusion(report.rows([tmp_path]))
    classic_run(tmp_path, table("here", 0.8, 1), "speaker_cv")
    assert "does not raise the number" in report.conclusion(report.rows([tmp_path]))
    few = [table("here", right, 1).query("speaker < 'here/11'") for right in (0.9, 0.4)]  # here/0, here/1 and here/10
    for scored, protocol in zip(few, ("random", "speaker_cv"), strict=True):
        classic_run(tmp_path / "few", scored, protocol)
    told = report.conclusion(report.rows([tmp_path / "few"]))
    assert told.endswith("p = 0.250 on 3 speakers, is not chance.")
    with pytest.raises(RunError, match=r"sweep\.report must have runs of protocol=loso or luna5"):
        classic.Classic("", "loso", "luna5").rows([tmp_path])


@pytest.mark.parametrize(
    ("name", "report"),
    [
        ("leakage", leakage.Leakage),
        ("cross_corpus_matrix", cross_corpus.CrossCorpusMatrix),
        *((f"classic_{name}", classic.Classic) for name in CLASSICS),
    ],
)
def test_an_experiment_sweeps_by_itself_and_reports_at_its_end(name: str, report: type[Report]) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        config = compose("train", [f"experiment={name}"], return_hydra_config=True)
    assert config.hydra.mode.name == "MULTIRUN"
    assert config.hydra.sweeper.params
    assert type(instantiate(OmegaConf.to_container(config.sweep.report), Report)) is report  # type: ignore[arg-type]
    assert config.fold == "all"
