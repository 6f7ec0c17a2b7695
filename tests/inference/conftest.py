"""A model that a trainer saved, on a corpus of a few clips."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest

import ser
from ser.corpora.demo import Demo
from ser.datamodules.data import SpeechData
from ser.datamodules.speech import SpeechDataModule
from ser.inference.predictor import Predictor
from ser.models.checkpoint import finish
from ser.models.classifier import SpeechClassifier
from ser.protocols.plan import planned
from ser.training import build
from tests.conftest import Settings

PLAIN = ["augment=[]", "trainer.max_epochs=1"]


@pytest.fixture
def clips() -> list[Path]:
    """Demo files of unlike lengths, not sorted by length."""
    return [u.path for u in list(Demo().utterances())[::70]]


def fitted(config: dict[str, Any], folder: Path) -> tuple[SpeechClassifier, SpeechData]:
    """Train for the epochs that the settings ask for; the model as it is at the end, and its data."""
    L.seed_everything(0, verbose=False)
    data = build.build_data(config, planned(config), 0)
    model = build.build_model(config, data)
    trainer = L.Trainer(
        max_epochs=config["trainer"]["max_epochs"],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(build.build_training(config, model, data), datamodule=SpeechDataModule(data))
    file = folder / "checkpoints" / "best.ckpt"
    file.parent.mkdir(parents=True)
    trainer.save_checkpoint(file)
    finish(file, model)
    return model.eval(), data


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Path:
    """The folder of a run of one epoch."""
    fitted(settings(*PLAIN), tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def model(run: Path) -> Predictor:
    return ser.load(run)


def speech(seconds: float, rate: int = 16000, seed: int = 0) -> np.ndarray:
    """Noise with an envelope: ``(sample,)`` float32."""
    samples = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return (0.1 * samples * (1 + np.sin(np.arange(len(samples)) / rate * 20))).astype(np.float32)


def probabilities(table: pd.DataFrame) -> np.ndarray:
    """The probabilities of a result, ``(recording, class)``: its columns between the label and the flags."""
    columns = list(table.columns)
    columns = [column for column in columns if column != "set"]
    values: np.ndarray = table[columns[columns.index("label") + 1 : columns.index("flags")]].to_numpy(dtype=float)
    return values
