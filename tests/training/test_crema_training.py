"""CREMA-D from end to end: generated clips under released names train, tune, test and report."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ser.evaluation import predictions
from ser.rescoring.recompute import recompute
from ser.training import experiment
from tests.conftest import Settings

EMOTIONS = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")


@pytest.fixture(scope="module")
def crema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 91 actors, one sentence, six emotions: tones whose pitch says the emotion, under released names."""
    root = tmp_path_factory.mktemp("corpora") / "CREMA-D"
    (root / "AudioWAV").mkdir(parents=True)
    random = np.random.default_rng(0)
    for actor in range(1001, 1092):
        for number, emotion in enumerate(EMOTIONS):
            time = np.arange(random.integers(4800, 8000)) / 16000
            tone = 0.3 * np.sin(2 * np.pi * (200 + 150 * number) * time) + 0.01 * random.standard_normal(len(time))
            soundfile.write(root / "AudioWAV" / f"{actor}_DFA_{emotion}_XX.wav", tone, 16000)
    return root.parent


@pytest.mark.slow
def test_generated_crema_clips_train_and_evaluate(settings: Settings, crema: Path, stores: Path) -> None:
    config = settings("data=crema", f"paths.corpora={crema}", "protocol=emosuperb", "trainer.max_epochs=4")
    folder = experiment.train({**config, "batch_size": 16})
    table = predictions.read_predictions(folder / "predictions.parquet")
    # Fold 0 of EMO-SUPERB tests the actors 1001 to 1018.
    assert set(table["speaker"]) == {f"crema/{actor}" for actor in range(1001, 1019)}
    assert len(table) == 18 * 6
    about = json.loads((folder / "metrics.json").read_text())
    assert about["run"]["stamps"] == []
    assert about["uar"] > 0.5, "tones of six pitches are not told apart"
    recompute(folder, str(crema), str(stores), rescore=True)
