"""A run that is resumed verifies like any other, says which setting differs, and holds no path of its machine."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ser.errors import RunError
from ser.runs.folder import RunFolder
from ser.runs.verification import verify
from ser.training import experiment
from ser.training.module import Training
from tests.conftest import Settings


def stopped_in_its_second_fold(config: dict[str, Any]) -> None:
    """Train a run until Ctrl-C at the start of its second fold."""
    begin = Training.on_train_epoch_start

    def stop(training: Training) -> None:
        if training.trainer.datamodule.data.fold == 1:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        begin(training)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "on_train_epoch_start", stop)
        with pytest.raises(KeyboardInterrupt):
            experiment.train(config)


@pytest.mark.slow
def test_run_of_all_folds_that_was_interrupted_and_resumed_verifies(settings: Settings, tmp_path: Path) -> None:
    config = settings("fold=all", "trainer.max_epochs=1", f"paths.run={tmp_path / 'run'}")
    stopped_in_its_second_fold(config)
    assert [fold.path.name for fold in RunFolder(tmp_path / "run").folds] != []
    folder = experiment.train({**config, "ckpt": "last"})
    checks = {check.name: check for check in verify(folder)}
    assert [check for check in checks.values() if check.ok is False] == []
    assert sum(check.ok is True for check in checks.values()) >= 4
    for name in ("config.yaml", "card.json", "metrics.json", "fold_0/checkpoints/best.ckpt"):
        text = (folder / name).read_bytes().decode("latin-1")
        assert str(tmp_path) not in text, f"{name} holds a path of this machine"
        assert str(Path.home()) + os.sep not in text, f"{name} holds the home folder"


@pytest.mark.slow
def test_training_for_longer_names_the_setting_and_both_values(settings: Settings) -> None:
    experiment.train(settings("trainer.max_epochs=1"))
    with pytest.raises(RunError, match=r"trainer\.max_epochs is 1 there and 2 here"):
        experiment.train(settings("trainer.max_epochs=2", "ckpt=last"))


def test_time_of_a_trial_counts_when_its_test_speakers_are_scored(settings: Settings, tmp_path: Path) -> None:
    run = f"paths.run={tmp_path / 'run'}"
    file = tmp_path / "run" / "fold_0" / "dev_metrics.json"
    experiment.train(settings("trainer.max_epochs=1", "test=false", run))
    measured = json.loads(file.read_text())
    measured["run"]["train_seconds"] = 1000.0
    file.write_text(json.dumps(measured))
    folder = experiment.train(settings("trainer.max_epochs=1", "ckpt=last", run))
    assert 1000 <= json.loads((folder / "metrics.json").read_text())["run"]["train_seconds"] < 1100
