"""A finished run of three folds and one of a single fold, written as training does, with random predictions."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.protocols.plan import Plan, planned
from ser.protocols.split_file import write_splits
from ser.runs.environment import environment
from ser.runs.folder import RunFolder, write_config
from ser.runs.results import write_fold, write_results
from ser.runtime.files import write_json

LEFT_OUT = {"utterance": "demo/x", "path": "/somebody/x.ogg", "kind": "silent", "detail": "no sound", "left_out": True}


def config_for(root: Path, stores: Path) -> dict[str, Any]:
    return {
        "audio": {"sample_rate": 16000, "trim_db": 30.0, "min_ms": 100.0},
        "data": {"corpora": {"demo": {"_target_": "ser.corpora.demo.Demo", "root": str(root)}}},
        "labels": {"_target_": "ser.corpora.labels.LabelScheme", "name": "native"},
        "protocol": {"_target_": "ser.protocols.speaker_cv.SpeakerCV", "folds": 3, "seed": 0},
        "model": {"_target_": "ser.models.cnn.CNN"},
        "trainer": {},
        "seed": 0,
        "fold": "all",
        "paths": {"stores": str(stores)},
    }


def guessed(plan: Plan, rows: np.ndarray, fold: int) -> pd.DataFrame:
    """Return a predictions table of a model that is right more often than not."""
    manifest = plan.labelled.manifest.iloc[rows].reset_index(drop=True)
    table = manifest[["id", "corpus", "speaker", "sex", "sentence"]].rename(columns={"id": "utterance"})
    target = plan.labelled.target[rows]
    names = plan.labelled.classes
    scores = np.random.default_rng(fold).normal(size=(len(rows), len(names))) + 2 * np.eye(len(names))[target]
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    table = table.assign(fold=fold, target=[names[i] for i in target])
    return table.assign(**{f"p_{name}": p[:, i] for i, name in enumerate(names)})


def write_run(folder: Path, config: dict[str, Any], folds: range) -> Path:
    """Write a run as training does, with random predictions."""
    write_config(folder, config)
    plan = planned(config)
    fingerprint = plan.fingerprint
    for split in plan.splits[folds.start : folds.stop]:
        part = folder / f"fold_{split.fold}"
        (part / "checkpoints").mkdir(parents=True)
        (part / "checkpoints" / "best.ckpt").write_bytes(b"weights")
        write_splits([split], plan.labelled.manifest, part / "split.json", plan.protocol)
        finding = {"level": "note", "kind": "sentences", "text": "All say the same.", "stamp": "", "clips": []}
        write_json([{"fold": split.fold, **finding}], part / "audit.json")
        write_json(environment(0, fingerprint, "cpu"), part / "environment.json")
        about = {
            "stamps": ["synthetic speech"],
            "corpora": list(plan.corpora),
            **plan.across(split.fold),
            "labels": "native; target: intended",
            "protocol": plan.protocol,
            "splits": {str(split.fold): split.hash(plan.labelled.manifest)},
            "fingerprint": fingerprint,
            "seed": 0,
            "parameters": 7,
            "epochs": 2 + split.fold,
            "best_epoch": 1,
            "dev_uar": 0.5 + 0.01 * split.fold,
            "train_seconds": 1.5,
        }
        test, dev = (guessed(plan, rows, split.fold) for rows in (split.test, split.dev))
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
