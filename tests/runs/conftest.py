"""A finished run of three folds and one of a single fold, written as training does, with random predictions and weights."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.datamodules.data import SpeechData
from ser.evaluation.facts import facts_table, votes_of
from ser.evaluation.measure import measure_of
from ser.inference.score import score
from ser.models.checkpoint import add_findings, write_model
from ser.protocols.plan import Plan, planned
from ser.runs.environment import environment
from ser.runs.folder import BEST, RunFolder, write_config
from ser.runs.identity import training_hashes
from ser.runs.results import write_fold, write_results, write_split
from ser.runtime.files import write_json
from ser.training.build import build_model, stamps_of

LEFT_OUT = {"utterance": "demo/x", "path": "/somebody/x.ogg", "kind": "silent", "detail": "no sound", "left_out": True}


def config_for(root: Path, stores: Path) -> dict[str, Any]:
    return {
        "audio": {"sample_rate": 16000, "trim_db": 30.0, "min_ms": 100.0},
        "data": {"corpora": {"demo": {"_target_": "ser.corpora.demo.Demo", "root": str(root)}}},
        "labels": {"_target_": "ser.corpora.labels.LabelScheme", "name": "native"},
        "protocol": {"_target_": "ser.protocols.speaker_cv.SpeakerCV", "folds": 3, "seed": 0},
        "features": {"_target_": "ser.features.logmel.LogMel", "sample_rate": 16000, "n_mels": 40},
        "normalise": {"_target_": "ser.features.normalise.Normalise", "by": "training"},
        "model": {"_target_": "ser.models.cnn.CNN", "channels": [4, 4, 4, 4], "width": 8, "attention": 4},
        "trainer": {},
        "seed": 0,
        "fold": "all",
        "paths": {"stores": str(stores)},
    }


def guessed(plan: Plan, rows: np.ndarray, fold: int) -> pd.DataFrame:
    """Return a predictions table of a model that is right more often than not."""
    names = plan.labelled.classes
    target = plan.labelled.target[rows]
    scores = np.random.default_rng(fold).normal(size=(len(rows), len(names))) + 2 * np.eye(len(names))[target]
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    answers = {f"p_{name}": p[:, i] for i, name in enumerate(names)}
    return facts_table(plan.labelled, rows, fold).assign(**answers, **votes_of(plan.labelled, rows))


def write_run(folder: Path, config: dict[str, Any], folds: range, *, scored: bool = False) -> Path:
    """Write a run as training does, with random weights, and random predictions or those of the weights."""
    write_config(folder, config)
    plan = planned(config)
    fingerprint = plan.fingerprint
    for split in plan.splits[folds.start : folds.stop]:
        part = folder / f"fold_{split.fold}"
        data = SpeechData(plan, split.fold)
        write_split(RunFolder(part), data)
        model = build_model(config, data)
        model.fit_statistics(data)
        write_model(part / BEST, model)
        split_hash = split.hash(plan.labelled.manifest)
        add_findings(part / BEST, None, None, training_hashes(RunFolder(folder).config, split_hash, fingerprint))
        sides = split.test, split.dev
        test, dev = (score(model, data, rows) if scored else guessed(plan, rows, split.fold) for rows in sides)
        write_json(environment(0, fingerprint, "cpu"), part / "environment.json")
        about = {
            "stamps": stamps_of(config, data),
            "corpora": list(plan.corpora),
            **plan.across(split.fold),
            "labels": plan.describe_labels(),
            "protocol": plan.protocol,
            "folds": len(plan.splits),
            "splits": {str(split.fold): split_hash},
            "fingerprint": fingerprint,
            "without_listening": [baseline.plain() for baseline in plan.baselines],
            "seed": 0,
            "parameters": sum(p.numel() for p in model.parameters()),
            "epochs": 2 + split.fold,
            "best_epoch": 1,
            "dev_uar": measure_of(dev).main(dev),
            "train_seconds": 1.5,
        }
        write_fold(RunFolder(part), test, dev, about)
    write_results(RunFolder(folder), [LEFT_OUT])
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, stores: Path) -> Path:
    """A ``fold=all`` run of three folds, to read only."""
    return write_run(tmp_path_factory.mktemp("runs") / "run", config_for(tiny_demo, stores), range(3))


@pytest.fixture(scope="session")
def finished_one(tmp_path_factory: pytest.TempPathFactory, tiny_demo: Path, stores: Path) -> Path:
    """A ``fold=0`` run, to read only."""
    config = {**config_for(tiny_demo, stores), "fold": 0}
    return write_run(tmp_path_factory.mktemp("runs") / "one", config, range(1))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the three folds that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def one(finished_one: Path, tmp_path: Path) -> Path:
    """A copy of the single fold that a test may change."""
    return Path(shutil.copytree(finished_one, tmp_path / "one"))


def read(folder: Path, name: str = "card.json") -> Any:
    return json.loads((folder / name).read_text())
