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

from ser.comparison import cross_corpus, leakage
from ser.comparison.report import Report
from ser.evaluation import predictions
from ser.evaluation.summary import summarise, write_metrics
from ser.protocols.stamps import SPEAKER_DEPENDENT
from ser.runtime.conf_dir import conf_dir
from ser.runtime.instantiate import instantiate

CLASSES = ("angry", "happy", "sad")


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


def run(folder: Path, scored: pd.DataFrame, protocol: dict[str, Any], stamps: list[str] | None = None) -> None:
    folder.mkdir(parents=True)
    predictions.write_predictions(scored, folder / "predictions.parquet")
    about = {"corpora": sorted(scored["corpus"].unique()), "protocol": protocol["name"], "stamps": stamps or []}
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


@pytest.mark.parametrize(
    ("name", "report"), [("leakage", leakage.Leakage), ("cross_corpus_matrix", cross_corpus.CrossCorpusMatrix)]
)
def test_an_experiment_sweeps_by_itself_and_reports_at_its_end(name: str, report: type[Report]) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        config = compose("train", [f"experiment={name}"], return_hydra_config=True)
    assert config.hydra.mode.name == "MULTIRUN"
    assert config.hydra.sweeper.params
    assert type(instantiate(OmegaConf.to_container(config.sweep.report), Report)) is report  # type: ignore[arg-type]
    assert config.fold == "all"
