"""Comparing runs: what is one system, what can be compared, what has a section of its own, what is set apart and why."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from ser.comparison import tables as tables_module
from ser.comparison.leaderboard import compare, rank_systems
from ser.comparison.rows import Equality, Opinion
from ser.comparison.systems import checked, find, names
from ser.errors import ConfigError, RunError
from ser.evaluation import predictions
from ser.evaluation.comparison import holm, paired
from ser.evaluation.crossed import second_opinion
from ser.evaluation.profile import profile
from ser.evaluation.summary import read_metrics, summarise, write_metrics
from ser.runs.folder import RunFolder
from tests.composed import composed

CLASSES = ("angry", "neutral", "sad")
FOLDS = 3
SPLITS = ["aaaa", "bbbb", "cccc"]

Make = Callable[..., Path]


def scored(skill: float, seed: int, fold: int | None = None, corpus: str = "x") -> pd.DataFrame:
    """12 speakers in 3 folds, 3 classes 4 times each; the targets are the same whatever the seed."""
    target, speaker = np.tile(np.repeat(np.arange(3), 4), 12), np.repeat(np.arange(12), 12)
    p = np.exp(np.random.default_rng(seed).normal(size=(144, 3)) + skill * np.eye(3)[target])
    about = {
        "utterance": [f"{corpus}/{i}" for i in range(144)],
        "corpus": corpus,
        "speaker": [f"{corpus}/{s:02}" for s in speaker],
        "sex": "male",
        "sentence": [f"{corpus}/{i % 7}" for i in range(144)],
        "fold": speaker // 4,
        "target": [CLASSES[t] for t in target],
    }
    shares = zip(CLASSES, (p / p.sum(axis=1, keepdims=True)).T, strict=True)
    table = pd.DataFrame(about).assign(**{f"p_{name}": share for name, share in shares})
    return table if fold is None else table[table["fold"] == fold].reset_index(drop=True)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Leave a finished run below ``tmp_path/runs``: of all folds, or of one."""

    def run(
        name: str, model: str = "cnn.CNN", skill: float = 1.0, seed: int = 0, fold: int | None = None, **more: Any
    ) -> Path:
        folder = tmp_path / "runs" / name
        corpus, splits = more.get("corpus", "x"), more.get("splits", SPLITS)
        table = scored(skill, seed + int(10 * skill), fold, corpus)
        about = {
            "stamps": more.get("stamps", []),
            "corpora": [corpus],
            **more.get("across", {}),
            "labels": more.get("labels", "native; target: intended"),
            "protocol": more.get("protocol", "speaker_cv"),
            "fingerprint": more.get("fingerprint", "f00d"),
            "seed": seed,
            "splits": {str(k): splits[k] for k in (range(FOLDS) if fold is None else [fold])},
            "train_seconds": 30.0 if fold is None else 10.0,
            "parameters": more.get("parameters", 1000),
        }
        config = {
            "seed": seed,
            "fold": "all" if fold is None else fold,
            "model": {"_target_": f"ser.models.{model}", "width": more.get("width", 8)},
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.002},
            "augment": more.get("augment", {}),
            "data": {"corpora": {corpus: {"_target_": "ser.corpora.x.X", "root": more.get("root", "here")}}},
            "logger": {"name": more.get("logger", "csv")},
            "labels": {"name": about["labels"].partition(";")[0]},
            "protocol": {"name": about["protocol"], **more.get("across", {})},
            "paths": {"run": str(folder)},
        }
        folder.mkdir(parents=True)
        OmegaConf.save(OmegaConf.create(config), folder / "config.yaml")
        predictions.write_predictions(table, folder / "predictions.parquet")
        write_metrics({**summarise(table), "run": about}, folder / "metrics.json")
        return folder

    return run


def test_single_folds_are_pooled_to_what_a_run_of_all_folds_has(make: Make, tmp_path: Path) -> None:
    make("whole/0")
    for fold in range(FOLDS):
        make(f"folds/{fold}", fold=fold)
    rows = [rank_systems(*find([tmp_path / "runs" / name]))[0].sections[0].group.rows for name in ("whole", "folds")]
    (whole,), (folds,) = rows
    assert folds.folds == (0, 1, 2)
    assert len(folds.runs) == 3
    assert replace(folds, runs=(), parameters=None) == replace(whole, runs=(), parameters=None)
    stored = read_metrics(tmp_path / "runs/whole/0/metrics.json")
    assert whole.score == stored["uar"]
    assert (whole.low, whole.high) == (stored["uar_interval"]["low"], stored["uar_interval"]["high"])
    assert whole.mean == pytest.approx(stored["folds"]["uar_mean"])
    assert whole.sd == pytest.approx(stored["folds"]["uar_sd"])
    assert whole.seed_sd is None
    assert (whole.others["accuracy"], whole.others["macro_f1"]) == (stored["accuracy"], stored["macro_f1"])
    assert whole.others["cross_entropy"] == stored["cross_entropy"]
    for key in ("accuracy", "macro_f1"):
        assert whole.bounds[key] == (stored[f"{key}_interval"]["low"], stored[f"{key}_interval"]["high"])
    error = profile(RunFolder(tmp_path / "runs/whole/0").predictions)["calibration"]["ece_interval"]
    assert whole.bounds["ece"] == pytest.approx((error["low"], error["high"]))


def test_spread_over_seeds_stands_apart_from_that_over_folds(make: Make, tmp_path: Path) -> None:
    stored = [read_metrics(make(str(seed), seed=seed) / "metrics.json") for seed in range(3)]
    comparison, tables = rank_systems(*find([tmp_path / "runs"]))
    (row,) = comparison.sections[0].group.rows
    assert row.seeds == (0, 1, 2)
    assert row.score == pytest.approx(np.mean([s["uar"] for s in stored]))
    assert row.others["macro_f1"] == pytest.approx(np.mean([s["macro_f1"] for s in stored]))
    assert row.seed_sd == pytest.approx(np.std([s["uar"] for s in stored], ddof=1))
    assert all(low < row.others[key] < high for key, (low, high) in row.bounds.items())
    assert set(row.bounds) == {"accuracy", "macro_f1", "ece"}
    folds = np.mean([[fold["uar"] for fold in s["folds"]["each"]] for s in stored], axis=0)
    assert row.mean == pytest.approx(np.mean(folds))
    assert row.sd == pytest.approx(np.std(folds, ddof=1))
    assert row.train_seconds == 30.0
    assert [len(table) for table in tables[0]["cnn"]] == [144] * 3
    assert comparison.sections[0].pairs == ()
    assert "no other system" in comparison.sections[0].headline


def test_a_system_is_the_same_wherever_its_corpus_lies_and_its_log_goes(make: Make, tmp_path: Path) -> None:
    make("0", seed=0, root="here", logger="csv")
    make("1", seed=1, root="there", logger="wandb")
    assert len(rank_systems(*find([tmp_path / "runs"]))[0].sections[0].group.rows) == 1


def test_the_folders_of_folds_are_not_runs_of_their_own(make: Make, tmp_path: Path) -> None:
    make("all")
    for fold in range(FOLDS):
        part = make(f"all/fold_{fold}", fold=fold, parameters=77)
        (part / "config.yaml").unlink()
    runs, _ = find([tmp_path / "runs"])
    assert len(runs) == 1
    (alone,), _ = find([tmp_path / "runs/all/fold_1"])  # by name, its configuration is the one above it
    assert alone.splits == {1: "bbbb"}
    assert alone.system == runs[0].system


def test_parameters_come_from_the_folds_where_the_whole_says_none(make: Make, tmp_path: Path) -> None:
    whole = make("all")
    stored = read_metrics(whole / "metrics.json")
    del stored["run"]["parameters"]
    write_metrics(stored, whole / "metrics.json")
    (none,), _ = find([whole])
    assert none.parameters is None
    make("all/fold_0", fold=0, parameters=77)
    (found,), _ = find([whole])
    assert found.parameters == 77


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"labels": "six; target: intended"}, "other labels: six; target: intended against native; target: intended"),
        ({"protocol": "random", "splits": ["d", "e", "f"]}, "other split: random against speaker_cv"),
        ({"splits": ["d", "e", "f"]}, "other splits of the same protocol"),
        ({"fingerprint": "beef"}, "other recordings or audio settings: fingerprint beef against f00d"),
        ({"fold": 1}, "fold 1 only, of folds 0 to 2"),
    ],
)
def test_incomparable_runs_are_set_apart_with_a_reason(
    make: Make, tmp_path: Path, other: dict[str, Any], reason: str
) -> None:
    make("0", width=4, **other)
    make("1", "cnn.CNN", skill=1.0)
    make("2", "bilstm.BiLSTM", skill=0.5)
    comparison, (tables,) = rank_systems(*find([tmp_path / "runs"]))
    assert [row.system for row in comparison.sections[0].group.rows] == ["cnn, width=8", "bilstm"]
    assert list(tables) == ["cnn, width=8", "bilstm"]
    (group,) = comparison.apart
    assert group.apart == reason
    assert [row.system for row in group.rows] == ["cnn, width=4"]


def two_corpora(make: Make) -> None:
    """Two models on x; both on y, where the other one is better, and one of them under another split, too."""
    for corpus, skills in (("x", (2.0, 0.5)), ("y", (0.5, 2.0))):
        own = {"corpus": corpus, "fingerprint": f"of {corpus}", "splits": [f"{corpus}{k}" for k in range(FOLDS)]}
        for model, skill in zip(("cnn.CNN", "bilstm.BiLSTM"), skills, strict=True):
            make(f"{corpus}-{model}", model, skill, **own)
    make("z", skill=3.0, corpus="y", fingerprint="of y", protocol="random", splits=["d", "e", "f"])


def test_every_corpus_has_a_section_and_only_a_mistake_is_set_apart(make: Make, tmp_path: Path) -> None:
    two_corpora(make)
    comparison, tables = rank_systems(*find([tmp_path / "runs"]))
    assert [section.group.name for section in comparison.sections] == ["x", "y"]
    assert [section.best for section in comparison.sections] == ["cnn", "bilstm"]
    assert [[table["corpus"].iloc[0] for seeds in its.values() for table in seeds] for its in tables] == [
        ["x", "x"],
        ["y", "y"],
    ]
    for section in comparison.sections:
        ((one, other, difference),) = [(pair.one, pair.other, pair.difference) for pair in section.pairs]
        best, second = section.group.rows
        assert (one, other) == (best.system, second.system)
        assert difference == pytest.approx(best.score - second.score)
        assert best.score == read_metrics(Path(best.runs[0]) / "metrics.json")["uar"]
    (group,) = comparison.apart
    assert (group.name, group.apart) == ("y", "other split: random against speaker_cv")


def test_each_direction_across_corpora_has_a_section_that_says_it(make: Make, tmp_path: Path) -> None:
    for name, train, test in (("there", "a", "b"), ("back", "b", "a")):
        make(
            name,
            corpus="a+b",
            across={"trained_on": [train], "tested_on": [test]},
            splits=[f"{name}{k}" for k in "012"],
        )
    comparison, _ = rank_systems(*find([tmp_path / "runs"]))
    told = ["trained on a, tested on b, speaker_cv", "trained on b, tested on a, speaker_cv"]
    assert [section.group.where for section in comparison.sections] == told
    assert comparison.apart == ()
    html = compare([tmp_path / "runs"], out=tmp_path / "out").joinpath("comparison.html").read_text()
    assert all(f"<h2>{text}</h2>" in html or f"<h3>{text}</h3>" in html for text in told)
    assert 'id="trained_on_a_tested_on_b"' in html


def test_section_equals_the_comparison_of_its_corpus_alone(make: Make, tmp_path: Path) -> None:
    two_corpora(make)
    both, _ = rank_systems(*find([tmp_path / "runs"]))
    alone, _ = rank_systems(*find(sorted((tmp_path / "runs").glob("x-*"))))
    assert both.sections[0] == alone.sections[0]


def test_the_table_of_systems_and_corpora_has_a_gap_where_a_system_was_not_trained(make: Make, tmp_path: Path) -> None:
    two_corpora(make)
    make("svm", "svm.SVM", skill=3.0)  # the best on x, but x only
    make_on_x = rank_systems(*find([tmp_path / "runs"]))[0]
    assert [len(section.group.rows) for section in make_on_x.sections] == [2, 2]  # other splits than those of x
    assert [group.apart for group in make_on_x.apart if group.name == "x"] == [
        "other recordings or audio settings: fingerprint f00d against of x"
    ]
    own = {"corpus": "x", "fingerprint": "of x", "splits": [f"x{k}" for k in range(FOLDS)]}
    make("svm on x", "svm.SVM", skill=4.0, **own)
    comparison, _ = rank_systems(*find([tmp_path / "runs"]))
    assert comparison.systems[-1] == "svm", "the highest, but on one corpus only"
    assert [comparison.row("svm", section) is None for section in comparison.sections] == [False, True]
    text = tables_module.markdown(comparison).splitlines()
    (line,) = [line for line in text if line.startswith("| svm |") and line.count("|") == 4]
    assert line.split("|")[3].strip() == ""


def test_speaker_adapted_runs_are_set_apart(make: Make, tmp_path: Path) -> None:
    make("plain", skill=1.0)
    make("adapted", "bilstm.BiLSTM", skill=2.0, stamps=["speaker-adapted"])
    comparison, _ = rank_systems(find([tmp_path / "runs"])[0])
    assert [row.system for row in comparison.sections[0].group.rows] == ["cnn"]
    (apart,) = comparison.apart
    assert [row.system for row in apart.rows] == ["bilstm"]
    assert apart.apart == "adapted to unlabelled recordings of its test speakers"
    assert apart.rows[0].stamps == ("speaker-adapted",)


def test_corpus_adapted_runs_are_set_apart_from_both_others(make: Make, tmp_path: Path) -> None:
    make("plain", skill=1.0)
    make("speaker", "bilstm.BiLSTM", skill=2.0, stamps=["speaker-adapted"])
    make("corpus", "svm.SVM", skill=2.0, stamps=["corpus-adapted"])
    comparison, _ = rank_systems(find([tmp_path / "runs"])[0])
    assert [row.system for row in comparison.sections[0].group.rows] == ["cnn"]
    assert {group.apart: group.rows[0].stamps for group in comparison.apart} == {
        "adapted to unlabelled recordings of its test speakers": ("speaker-adapted",),
        "adapted to the unlabelled test recordings of each corpus": ("corpus-adapted",),
    }


def test_among_groups_of_equal_size_more_folds_make_the_main_table(make: Make, tmp_path: Path) -> None:
    make("0", fold=0)
    make("1", "bilstm.BiLSTM")
    comparison, _ = rank_systems(*find([tmp_path / "runs"]))
    assert [row.system for row in comparison.sections[0].group.rows] == ["bilstm"]


def test_later_of_two_equal_runs_counts_and_the_other_is_named(make: Make, tmp_path: Path) -> None:
    make("2")
    make("10")
    comparison, _ = rank_systems(*find([tmp_path / "runs"]))
    (row,) = comparison.sections[0].group.rows
    assert [Path(run).name for run in row.runs] == ["10"]
    (note,) = comparison.notes
    assert note.endswith("10 has the same configuration, seed and fold")
    assert "runs/2: " in note


def test_a_folder_given_twice_counts_once(make: Make, tmp_path: Path) -> None:
    folder = make("0")
    runs, notes = find([folder, tmp_path / "runs", folder])
    assert (len(runs), notes) == (1, [])


def test_every_system_is_tested_against_the_best_and_the_baseline(make: Make, tmp_path: Path) -> None:
    skills = {"cnn.CNN": 2.0, "bilstm.BiLSTM": 1.0, "transformer.Transformer": 0.2}
    for number, (model, skill) in enumerate(skills.items()):
        make(str(number), model, skill, parameters=1000 - number)
    comparison, _ = rank_systems(*find([tmp_path / "runs"]))
    uars = {row.system: row.score for row in comparison.sections[0].group.rows}
    assert list(uars) == ["cnn", "bilstm", "transformer"]
    (section,) = comparison.sections
    assert (section.best, section.baseline) == ("cnn", "transformer")
    assert section.baseline_reason == "the fewest parameters"
    sides = [(pair.one, pair.other) for pair in section.pairs]
    assert sides == [("cnn", "bilstm"), ("cnn", "transformer"), ("bilstm", "transformer")]
    for pair in section.pairs:
        assert pair.difference == pytest.approx(uars[pair.one] - uars[pair.other])
        assert pair.low is not None
        assert pair.high is not None
        assert pair.low < pair.difference < pair.high
        assert pair.p <= pair.p_holm <= 3 * pair.p
    chosen, _ = rank_systems(*find([tmp_path / "runs"]), baseline="bilstm")
    assert [(pair.one, pair.other) for pair in chosen.sections[0].pairs][-1] == ("transformer", "bilstm")
    with pytest.raises(
        ConfigError, match=r'must be a system of the tables; got "svm"\. Choose one of: "cnn", "bilstm"'
    ):
        rank_systems(*find([tmp_path / "runs"]), baseline="svm")


def test_two_seeds_of_each_are_compared_as_methods_and_one_as_weights(make: Make, tmp_path: Path) -> None:
    for model, skill in (("cnn.CNN", 2.0), ("bilstm.BiLSTM", 0.5)):
        make(f"{model}-0", model, skill)
    (pair,) = rank_systems(*find([tmp_path / "runs"]))[0].sections[0].pairs
    assert not pair.of_methods
    assert pair.opinion == Opinion(None, None, "it takes two seeds or more of both systems")
    make("cnn.CNN-1", "cnn.CNN", 2.0, seed=1)
    make("bilstm.BiLSTM-1", "bilstm.BiLSTM", 0.5, seed=1)
    comparison, (tables,) = rank_systems(*find([tmp_path / "runs"]))
    (section,) = comparison.sections
    assert section.pairs[0].of_methods
    p = second_opinion(tables["cnn"], tables["bilstm"]).p_value
    assert section.pairs[0].opinion == Opinion(p, p, None)
    assert "weights" not in section.headline


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
@pytest.mark.parametrize("margin", [2, 8, 12, 20])
def test_systems_are_equal_where_the_90_percent_interval_of_their_difference_lies_within_the_margin(
    make: Make, tmp_path: Path, seeds: tuple[int, ...], margin: float
) -> None:
    for model, skill in (("cnn.CNN", 1.0), ("bilstm.BiLSTM", 1.1)):
        for seed in seeds:
            make(f"{model}-{seed}", model, skill, seed=seed)
    comparison, (tables,) = rank_systems(*find([tmp_path / "runs"]), equivalent=margin)
    (pair,) = comparison.sections[0].pairs
    interval = paired(tables[pair.one], tables[pair.other], level=0.9).interval
    assert interval.low is not None
    assert interval.high is not None
    assert pair.equality is not None
    assert pair.equality.is_shown == (-margin / 100 < interval.low < interval.high < margin / 100)
    assert pair.equality.p == pair.equality.p_holm
    assert ("equal within" in comparison.sections[0].headline) == pair.equality.is_shown


def test_equality_of_several_pairs_is_corrected_and_of_few_speakers_not_tested(make: Make, tmp_path: Path) -> None:
    for number, model in enumerate(("cnn.CNN", "bilstm.BiLSTM", "transformer.Transformer")):
        make(str(number), model, 1.0 + 0.1 * number, parameters=1000 + number)
    runs, _ = find([tmp_path / "runs"])
    pairs = rank_systems(runs, equivalent=15)[0].sections[0].pairs
    given, corrected = zip(*((pair.equality.p, pair.equality.p_holm) for pair in pairs if pair.equality), strict=True)
    assert corrected == pytest.approx(holm(np.array(given)))
    for model in ("cnn.CNN", "bilstm.BiLSTM"):
        make(f"of 4 speakers/{model}", model, fold=0)
    (few,) = rank_systems(*find([tmp_path / "runs/of 4 speakers"]), equivalent=15)[0].sections[0].pairs
    assert few.equality == Equality(0.15, None, None)
    with pytest.raises(ConfigError, match="--equivalent must be above 0 and below 100 points; got 0"):
        rank_systems(runs, equivalent=0)


def test_system_names_state_the_difference_and_are_unique(make: Make, tmp_path: Path) -> None:
    make("0", augment={"warp": {"_target_": "ser.augment.warp.Warp"}})
    make("1", augment={})
    make("2", "bilstm.BiLSTM", protocol="a")  # on the same splits: the protocol's name is all that differs
    make("3", "bilstm.BiLSTM", protocol="b")
    systems = {row.system for row in rank_systems(*find([tmp_path / "runs"]))[0].sections[0].group.rows}
    assert systems == {"cnn, augment=warp", "cnn, augment=none", "bilstm", "bilstm #2"}


def test_systems_are_named_by_their_policies_of_augmentation() -> None:
    policies = ("light", "heavy", "none")
    systems = [composed(f"augment={policy}", "model=cnn") for policy in (*policies, "[warp,mixup]")]
    assert names(systems) == [f"cnn, augment={name}" for name in (*policies, "warp+mixup")]


def test_a_key_that_stands_in_two_places_is_named_in_full() -> None:
    def system(one: float, two: float) -> dict[str, Any]:
        return {"model": {"_target_": "a.CNN", "dropout": one, "head": {"dropout": two}}}

    assert names([system(0.1, 0.5), system(0.2, 0.6)]) == [
        "cnn, model.dropout=0.1, model.head.dropout=0.5",
        "cnn, model.dropout=0.2, model.head.dropout=0.6",
    ]


def test_unfinished_runs_are_listed(make: Make, tmp_path: Path) -> None:
    make("0")
    half = make("half")
    (half / "metrics.json").unlink()
    make("half/fold_0", fold=0)
    runs, notes = find([tmp_path / "runs"])
    assert len(runs) == 1
    assert notes == [f"{half}: not finished, but 1 of its folds is"]


def test_errors_say_what_is_missing_where(make: Make, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"There is no folder .*nowhere"):
        find([tmp_path / "nowhere"])
    with pytest.raises(RunError, match=r"no finished run .* below .*\. Train one"):
        find([tmp_path])
    folder = make("0")
    stored = read_metrics(folder / "metrics.json")
    write_metrics({**stored, "run": {"seed": 0}}, folder / "metrics.json")
    with pytest.raises(
        RunError, match=r"runs/0/metrics\.json must have all facts about the run; got no stamps, .*splits"
    ):
        find([tmp_path / "runs"])
    about = {**stored["run"], "splits": {"0": "a", "1": "b"}}
    write_metrics({**stored, "run": about}, folder / "metrics.json")
    with pytest.raises(RunError, match="predictions of 3 folds, but split hashes of 2 folds"):
        checked(RunFolder(folder))
    (folder / "metrics.json").unlink()
    with pytest.raises(RunError, match="1 is unfinished"):
        find([tmp_path / "runs"])


def command(*arguments: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "COLUMNS": "100", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    line = [sys.executable, "-m", "ser.compare", *arguments]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_command_writes_every_format_and_says_where(make: Make, tmp_path: Path) -> None:
    for number, model in enumerate(("cnn.CNN", "bilstm.BiLSTM", "transformer.Transformer")):
        make(str(number), model, skill=1.5 - 0.5 * number, stamps=["synthetic speech"])
    done = command("runs", "--out", "there", "--equivalent", "10", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    files = {str(path.relative_to(tmp_path)) for path in (tmp_path / "there").rglob("*.*")}
    pictures = ("speakers", "recall", "confusion", "reliability", "risk_coverage", "critical_difference")
    texts = {"there/pairs.csv", *(f"there/comparison.{suffix}" for suffix in ("csv", "md", "tex", "html"))}
    assert files == texts | {f"there/pictures/x/{name}.svg" for name in pictures}
    assert all(text in done.stdout for text in texts)
    assert "SYNTHETIC SPEECH" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    csv = pd.read_csv(tmp_path / "there/comparison.csv")
    for row in csv.itertuples():
        assert row.uar == pytest.approx(read_metrics(tmp_path / str(row.runs) / "metrics.json")["uar"], abs=1e-12)
    pairs, uars = pd.read_csv(tmp_path / "there/pairs.csv"), csv.set_index("system")["uar"]
    apart = uars[pairs["one"]].to_numpy() - uars[pairs["other"]].to_numpy()
    assert pairs["difference"].to_numpy() == pytest.approx(apart)
    assert (pairs["equality_margin"] == 0.1).all()
    assert ((pairs["equality_p"] <= pairs["equality_p_holm"]) & (pairs["equality_p_holm"] <= 1)).all()


def test_tests_of_an_earlier_comparison_do_not_stay(make: Make, tmp_path: Path) -> None:
    runs, out = [make("0"), make("1", "bilstm.BiLSTM")], tmp_path / "there"
    compare(runs, out=out)
    assert len(pd.read_csv(out / "pairs.csv")) == 1
    compare(runs[:1], out=out)
    assert not (out / "pairs.csv").exists()


def test_the_command_ends_with_a_sentence_and_help_fits_a_page(tmp_path: Path) -> None:
    done = command(str(tmp_path), folder=tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "no finished run" in done.stderr
    done = command("--help", folder=tmp_path)
    assert done.returncode == 0
    assert "--baseline NAME" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert list(tmp_path.iterdir()) == []
