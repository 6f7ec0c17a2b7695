"""A forged run is refused with the reason, whatever of its files was written again to fit; an honest one holds."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from omegaconf import OmegaConf

from ser.evaluation import predictions
from ser.models.checkpoint import add_findings
from ser.protocols.plan import planned
from ser.protocols.random_split import RandomUtterances
from ser.protocols.split_file import write_splits
from ser.rescoring.verified import verified
from ser.runs.folder import BEST, RunFolder, write_config
from ser.runs.identity import training_hashes
from ser.runs.results import write_fold, write_results
from ser.runs.verifying.check import Verdict, verdict
from ser.runtime.composition import composed
from ser.runtime.files import write_json
from tests.runs.conftest import write_run

pytestmark = pytest.mark.slow  # two dozen runs, of three seconds each
WHISPER = {"checkpoint": "openai/whisper-base", "revision": None, "sha256": "0" * 64}
LABELS = ("angry", "happy", "sad")
SMALL = ("model.channels=[4,4,4,4]", "model.width=8", "model.attention=4", "features.n_mels=40")

Table = Callable[[pd.DataFrame], pd.DataFrame]
Facts = dict[str, Any]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of six speakers with ages, whose clips listeners voted on."""
    folder = tmp_path_factory.mktemp("own")
    rng = np.random.default_rng(0)
    lines = ["path,label,speaker,sex,sentence,age,votes_angry,votes_happy,votes_sad"]
    for i, speaker in enumerate("abcdef"):
        for j, label in enumerate(LABELS):
            for take in range(2):
                tone = 0.3 * np.sin(2 * np.pi * 150 * (j + 1) * np.arange(5600) / 16000)
                file = f"{speaker}{j}{take}.wav"
                soundfile.write(folder / file, tone + rng.normal(scale=0.02 * (i + 1), size=5600), 16000)
                votes = ",".join(str(3 if other == label else 1) for other in LABELS)
                lines.append(f"{file},{label},{speaker},{'fm'[i % 2]},s{take},{20 + i},{votes}")
    (folder / "mine.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def settings(corpus: Path, tmp_path_factory: pytest.TempPathFactory, quick_pictures: None) -> Callable[..., Facts]:
    stores = tmp_path_factory.mktemp("stores")

    def of(*overrides: str) -> Facts:
        own = [f"data.file={corpus / 'mine.csv'}", "data=table", f"paths.stores={stores}"]
        folds = [] if "protocol=file" in overrides else ["protocol.folds=3"]
        config = composed("train", [*own, *SMALL, *folds, "fold=all", "normalise=training", *overrides])
        return dict(OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]

    return of


@pytest.fixture(scope="module")
def honest(settings: Callable[..., Facts], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three folds whose predictions are those of its checkpoints, to read only."""
    return write_run(tmp_path_factory.mktemp("runs") / "honest", settings(), range(3), scored=True)


@pytest.fixture
def run(honest: Path, tmp_path: Path) -> Path:
    """A copy to forge."""
    return Path(shutil.copytree(honest, tmp_path / "run"))


@pytest.fixture
def judged(settings: Callable[..., Facts]) -> Callable[..., tuple[Verdict, str]]:
    """Verify a run; its verdict, and the details of what does not hold."""
    stores = settings()["paths"]["stores"]

    def of(run: Path, **options: Any) -> tuple[Verdict, str]:
        checks = verified(run, stores=stores, **options)
        return verdict(checks), "\n".join(f"{check.name}: {check.detail}" for check in checks if not check.ok)

    return of


def forge(run: Path, about: Callable[[Facts], object] = lambda _: None, test: Table = lambda table: table) -> None:
    """Change what every fold says of itself, and its predictions; write all that is computed from them again."""
    for fold in RunFolder(run).folds:
        facts = fold.about
        about(facts)
        write_fold(RunFolder(fold.path), test(fold.predictions), fold.dev_predictions, facts)
    write_results(RunFolder(run), [])


@contextmanager
def edited(file: Path) -> Iterator[Any]:
    content = json.loads(file.read_text())
    yield content
    write_json(content, file)


def reconfigure(run: Path, change: Callable[[Facts], object]) -> None:
    config = RunFolder(run).settings
    change(config)
    write_config(run, config)
    write_results(RunFolder(run), [])


def test_honest_run_holds(honest: Path, judged: Callable[..., tuple[Verdict, str]]) -> None:
    assert judged(honest, rescore=True) == (Verdict(0, "holds"), "")
    assert judged(honest)[0] == Verdict(3, "holds, but not all was checked: predictions")


def test_honest_run_of_one_fold_of_a_file_holds(
    honest: Path, settings: Callable[..., Facts], judged: Callable[..., tuple[Verdict, str]], tmp_path: Path
) -> None:
    config = settings("protocol=file", f"protocol.path={honest / 'fold_2' / 'split.json'}")
    run = write_run(tmp_path / "run", config, range(1), scored=True)
    assert judged(run, rescore=True) == (Verdict(0, "holds"), "")


def test_predictions_of_a_random_generator_are_refused(run: Path, judged: Callable[..., tuple[Verdict, str]]) -> None:
    def invented(table: pd.DataFrame) -> pd.DataFrame:
        right = np.eye(3)[predictions.target_indices(table)]
        noise = np.random.default_rng(0).uniform(0.9, 1, size=(len(table), 1))
        return predictions.with_probabilities(table, right * noise + (1 - right) * (1 - noise) / 2)

    forge(run, test=invented)
    assert RunFolder(run).metrics["uar"] == 1.0
    found, why = judged(run, rescore=True)
    assert found.code == 1
    assert "predictions.parquet must hold what the checkpoint gives" in why
    assert judged(run)[0].code == 3


def test_missing_folds_are_stamped_and_the_stamp_cannot_be_taken_out(
    run: Path, judged: Callable[..., tuple[Verdict, str]]
) -> None:
    shutil.rmtree(run / "fold_1")
    forge(run)
    assert "2 of 3 folds" in RunFolder(run).about["stamps"]
    assert judged(run, rescore=True)[0].code == 0
    forge(run, lambda about: about.pop("folds"))
    found, why = judged(run)
    assert found.code == 1
    assert "does not have a stamp that the result must carry: 2 of 3 folds" in why


def test_changed_protocol_under_its_published_name_is_refused(
    run: Path, judged: Callable[..., tuple[Verdict, str]]
) -> None:
    assert RunFolder(run).about["protocol"] == "speaker_cv (changed)"
    forge(run, lambda about: about.update(protocol="speaker_cv"))
    found, why = judged(run)
    assert found.code == 1
    assert "protocol: speaker_cv, not speaker_cv (changed)" in why


def test_same_speakers_tested_in_every_fold_are_refused(
    run: Path, settings: Callable[..., Facts], judged: Callable[..., tuple[Verdict, str]], tmp_path: Path
) -> None:
    same = {"test": ["a", "b"], "dev": ["c", "d"]}
    target = "ser.protocols.speaker_lists.SpeakerLists"
    lists = {"_target_": target, "name": "luna5", "corpus": "table", "source": "x", "folds": [same] * 3}
    made = write_run(tmp_path / "made", {**settings(), "protocol": lists}, range(3), scored=True)
    assert RunFolder(made).about["protocol"] == "luna5 (changed)"
    forge(made, lambda about: about.update(protocol="luna5"))
    assert "protocol: luna5, not luna5 (changed)" in judged(made)[1]
    shutil.rmtree(run / "fold_1")
    shutil.copytree(run / "fold_0", run / "fold_1")
    with edited(run / "fold_1" / "metrics.json") as metrics:
        metrics["run"]["splits"] = {"1": metrics["run"]["splits"]["0"]}
    fold = RunFolder(run / "fold_1")
    tables = (table.assign(fold=1) for table in (fold.predictions, fold.dev_predictions))
    write_fold(fold, *tables, fold.about)
    write_results(RunFolder(run), [])
    found, why = judged(run)
    assert found.code == 1
    assert "are tested too often or never" in why


def test_removed_stamp_of_adaptation_is_refused(
    settings: Callable[..., Facts], judged: Callable[..., tuple[Verdict, str]], tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", settings("normalise=speaker", "fold=0"), range(1), scored=True)
    assert judged(run, rescore=True)[0].code == 0
    forge(run, lambda about: about.update(stamps=[]))
    found, why = judged(run)
    assert found.code == 1
    assert "does not have a stamp that the result must carry: speaker-adapted" in why


def test_invented_stamp_is_refused(run: Path, judged: Callable[..., tuple[Verdict, str]]) -> None:
    forge(run, lambda about: about["stamps"].append("few-shot"))
    assert "has a stamp that nothing gives: few-shot" in judged(run)[1]


def test_random_split_in_a_file_without_its_stamps_is_refused(
    settings: Callable[..., Facts], judged: Callable[..., tuple[Verdict, str]], tmp_path: Path
) -> None:
    manifest = planned(settings()).labelled.manifest
    splits = [replace(split, stamps=()) for split in RandomUtterances(3).splits(manifest)]
    write_splits(splits, manifest, tmp_path / "splits.json", "file")
    config = settings("protocol=file", f"protocol.path={tmp_path / 'splits.json'}", "audit=warn")
    run = write_run(tmp_path / "run", config, range(3), scored=True)
    for fold in RunFolder(run).folds:
        write_json([], fold.path / "audit.json")
    reconfigure(run, lambda config: config.update(audit="refuse"))
    forge(run, lambda about: about.update(stamps=[]))
    found, why = judged(run)
    assert found.code == 1
    assert "must carry: not speaker-independent (undeclared: dev and test share speakers)" in why
    assert "audit.json differs from an audit of the splits" in why


def test_removed_baseline_is_refused(run: Path, judged: Callable[..., tuple[Verdict, str]]) -> None:
    forge(run, lambda about: about["without_listening"][0].update(uar=0.9))
    assert "without_listening[0].uar: 0.9, not 0.333" in judged(run)[1]
    forge(run, lambda about: about.pop("without_listening"))
    found, why = judged(run)
    assert found.code == 3
    assert "does not say without_listening" in why


@pytest.mark.parametrize(
    ("fact", "value", "why"),
    [
        ("parameters", 7, "checkpoint: fold_0: the run differs from its checkpoint: parameters: 7, not"),
        ("encoder", WHISPER, "the run differs from its checkpoint: encoder"),
        ("dev_uar", 0.999, "metrics.json has a dev_uar of 0.999000, but dev_predictions.parquet gives"),
        ("folds", 2, "folds: 2, not 3"),
    ],
)
def test_invented_fact_is_refused(
    run: Path, judged: Callable[..., tuple[Verdict, str]], fact: str, value: Any, why: str
) -> None:
    forge(run, lambda about: about.update({fact: value}))
    found, told = judged(run)
    assert found.code == 1
    assert why in told


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda config: config.update(model={"_target_": "ser.models.bilstm.BiLSTM"}),
            "model._target_: ser.models.bilstm",
        ),
        (lambda config: config["model"].update(dropout=0.9), "model.dropout: 0.9, not 0.3"),
        (lambda config: config["optimizer"].update(lr=1.0), "the checkpoint is of another training: settings"),
    ],
)
def test_settings_of_another_model_are_refused(
    run: Path, judged: Callable[..., tuple[Verdict, str]], change: Callable[[Facts], object], why: str
) -> None:
    reconfigure(run, change)
    found, told = judged(run)
    assert found.code == 1
    assert why in told


@pytest.mark.parametrize("column", ["age", "v_sad"])
def test_invented_age_or_vote_is_refused(run: Path, judged: Callable[..., tuple[Verdict, str]], column: str) -> None:
    def invented(table: pd.DataFrame) -> pd.DataFrame:
        if column == "age":
            return table.assign(age=table["age"] + 1)
        return table.assign(v_angry=table["v_sad"], v_sad=table["v_angry"])

    assert column in RunFolder(run).predictions
    forge(run, test=invented)
    found, why = judged(run)
    assert found.code == 1
    assert f"the {column} of " in why or "the v_angry of " in why


def test_left_out_facts_are_refused(run: Path, judged: Callable[..., tuple[Verdict, str]]) -> None:
    forge(run, test=lambda table: table.drop(columns="age"))
    assert "must have the columns of the corpus; got a difference in age" in judged(run)[1]


def test_checkpoint_of_a_training_on_the_test_speakers_is_refused(
    run: Path, judged: Callable[..., tuple[Verdict, str]]
) -> None:
    shutil.copy(run / "fold_1" / BEST, run / "fold_0" / BEST)
    write_results(RunFolder(run), [])
    found, why = judged(run)
    assert found.code == 1
    assert "fold_0: the checkpoint is of another training: split" in why
    fold = RunFolder(run / "fold_0")
    facts = training_hashes(fold.config, fold.splits[0], fold.about["fingerprint"])
    add_findings(fold.path / BEST, None, None, facts)
    write_results(RunFolder(run), [])
    found, why = judged(run)
    assert found.code == 1
    assert "best.ckpt is normalised by other clips than those of its training side" in why


def test_checkpoint_that_does_not_name_its_training_is_not_checked(
    run: Path, judged: Callable[..., tuple[Verdict, str]]
) -> None:
    import torch

    for fold in RunFolder(run).folds:
        stored = torch.load(fold.path / BEST, weights_only=True)
        torch.save({key: value for key, value in stored.items() if key != "ser_training"}, fold.path / BEST)
    write_results(RunFolder(run), [])
    found, why = judged(run, rescore=True)
    assert found.code == 3
    assert "does not say which split, corpora and settings it was trained with" in why


def test_relabelled_targets_are_not_checked_without_the_corpus(
    run: Path, judged: Callable[..., tuple[Verdict, str]], corpus: Path
) -> None:
    others = {"angry": "sad", "sad": "happy", "happy": "angry"}
    forge(run, test=lambda table: table.assign(target=table["target"].map(others)))
    found, why = judged(run)
    assert found.code == 1
    assert "the target of " in why
    away = corpus.with_name("away")
    corpus.rename(away)
    try:
        found, why = judged(run)
    finally:
        away.rename(corpus)
    assert found.code == 3
    assert found.words.startswith("holds, but not all was checked: corpus")
