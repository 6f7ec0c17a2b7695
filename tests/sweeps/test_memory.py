"""A sweep in one process: nothing that a training held outlives its job, though Hydra keeps the error of every job."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ser.sweeps import job


class Model:
    """Stands for all that a training has in memory."""


def test_a_failed_job_leaves_nothing_in_memory_for_the_next(
    sweep: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[Model]] = []
    alive: list[int] = []

    def fit(model: Model) -> None:
        raise ZeroDivisionError("float division by zero")

    def failing(settings: dict[str, Any], *, terminal: bool) -> Path:
        alive.append(sum(model() is not None for model in made))
        model = Model()
        made.append(weakref.ref(model))
        try:
            fit(model)
        except ZeroDivisionError as error:
            raise RuntimeError("in an epoch") from error
        raise AssertionError

    monkeypatch.setattr(job, "train", failing)
    assert sweep("seed=0,1,2") == 1
    assert alive == [0, 0, 0]
