"""Running out of memory: smaller batches, reported, and the same when the training is resumed."""

import json
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch

from ser.datamodules.batch import Batch
from ser.errors import RunError
from ser.training import experiment, out_of_memory
from ser.training.module import Training
from tests.conftest import Settings


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of the batches that a training step saw, on a device that holds 4 clips."""
    seen: list[int] = []
    step = Training.training_step

    def limited(training: Training, batch: Batch) -> Any:
        seen.append(len(batch.index))
        if len(batch.index) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...")
        return step(training, batch)

    monkeypatch.setattr(Training, "training_step", limited)
    return seen


def about(folder: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((folder / "metrics.json").read_text())["run"]
    return known


def test_batches_are_halved_until_they_fit_and_the_result_states_it(settings: Settings, sizes: list[int]) -> None:
    config = settings("batch_size=12", "trainer.max_epochs=1")
    folder = experiment.train(config)
    assert sizes[0] == 12, "first as asked"
    assert sizes[1] == 6
    assert set(sizes[2:]) == {3}
    assert about(folder)["batch"] == {"size": 3, "accumulated": 4}
    said = (folder / "run.log").read_text()
    assert "retrying with batch size 6 and 2 gradient accumulation steps" in said
    assert "retrying with batch size 3 and 4 gradient accumulation steps" in said
    assert config["batch_size"] == 12, "the configuration stays what it was"


@pytest.mark.slow
def test_resumed_training_keeps_its_smaller_batches(
    settings: Settings, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = experiment.train(settings("batch_size=8", f"paths.run={tmp_path / 'whole'}"))
    config = settings("batch_size=8", f"paths.run={tmp_path / 'stopped'}")
    ended = Training.on_train_epoch_start

    def stop(model: Training) -> None:
        if model.current_epoch == 1:
            raise KeyboardInterrupt
        ended(model)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "on_train_epoch_start", stop)
        with pytest.raises(KeyboardInterrupt):
            experiment.train(config)
    sizes.clear()
    stopped = experiment.train({**config, "ckpt": "last"})
    assert set(sizes) == {4}, "it does not try again what did not fit"
    assert about(stopped)["batch"] == {"size": 4, "accumulated": 2}
    one, other = (
        torch.load(folder / "fold_0" / "checkpoints" / "best.ckpt", weights_only=True) for folder in (whole, stopped)
    )
    assert all(torch.equal(one["state_dict"][name], other["state_dict"][name]) for name in one["state_dict"])


def test_no_retries_left_is_reported(settings: Settings, sizes: list[int]) -> None:
    with pytest.raises(
        RunError, match=r"Memory ran out with batch size 8: CUDA out of memory\. Set a smaller batch_size"
    ):
        experiment.train(settings("retries=0"))
    assert sizes == [8]


def test_other_errors_are_not_retried() -> None:
    assert not out_of_memory.ran_out(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory.ran_out(ValueError("out of memory"))
    assert out_of_memory.ran_out(
        RuntimeError("[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory")
    )
    assert out_of_memory.ran_out(torch.OutOfMemoryError("CUDA out of memory."))
    assert out_of_memory.ran_out(MemoryError())


def test_cyclic_references_are_freed() -> None:
    class Trained:
        def __init__(self) -> None:
            self.weights, self.itself = torch.zeros(1000), self

    known = weakref.ref(Trained())
    out_of_memory.release()
    assert known() is None
