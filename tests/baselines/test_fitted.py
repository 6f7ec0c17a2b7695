"""The form of a fitted pipeline in a checkpoint: the same predictions, and nothing that a stranger could run."""

import io
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import SVC
from skops import io as skops

from ser.baselines.candidates import Clips, fit_candidates
from ser.baselines.fitted import Fitted, fitted_from
from ser.errors import ConfigError, RunError
from ser.runtime.conf_dir import conf_dir
from tests.baselines.conftest import N_CLASSES
from tests.models.conftest import CLASSICAL

SHIPPED = sorted(CLASSICAL - {"classical"})
SMALL = {"n_estimators": 5, "max_iter": 50, "n_layers": 1}


def state(stored: bytes) -> dict[str, Any]:
    tensor = torch.frombuffer(bytearray(stored), dtype=torch.uint8)
    return {**Fitted(SVC(), np.ones(N_CLASSES, dtype=bool)).state(), "pipeline": tensor}


@pytest.mark.parametrize("name", SHIPPED)
def test_a_stored_classifier_predicts_the_same(name: str, clusters: tuple[Clips, Clips]) -> None:
    from omegaconf import OmegaConf

    if name == "xgboost":
        pytest.importorskip("xgboost")
    model: Any = OmegaConf.to_container(OmegaConf.load(f"{conf_dir()}/model/{name}.yaml"))["model"]
    settings = {key: value[0] if isinstance(value, list) else value for key, value in model["estimator"].items()}
    settings |= {key: value for key, value in SMALL.items() if key in settings}
    (one,) = fit_candidates([{"scaler": "standard", **settings}], *clusters, N_CLASSES, seed=0)
    file = io.BytesIO()
    torch.save(one.fitted.state(), file)
    file.seek(0)
    again = fitted_from(torch.load(file, weights_only=True))  # tensors and plain containers
    x = clusters[1].x
    assert (again.outputs(x) == one.fitted.outputs(x)).all()


class Command:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, ("exit 3",)


def test_a_classifier_that_could_not_be_read_again_is_refused_before_it_is_written() -> None:
    odd = make_pipeline(FunctionTransformer(print), SVC())
    with pytest.raises(ConfigError, match=r"model\.estimator must be of types known .*got builtins\.print"):
        Fitted(odd, np.ones(N_CLASSES, dtype=bool)).state()


def test_a_type_of_a_stranger_is_refused_in_one_sentence() -> None:
    odd = skops.dumps(make_pipeline(FunctionTransformer(print), SVC()))
    with pytest.raises(RunError, match=r"must be of known types; got builtins\.print\. Do not use this file"):
        fitted_from(state(odd))


@pytest.mark.parametrize(
    ("stored", "words"),
    [
        (b"nothing", "must be whole; got"),
        (pickle.dumps(Command()), "must be whole; got"),
        (skops.dumps(SVC()), "must be a Pipeline; got SVC"),
    ],
    ids=["text", "pickle", "other"],
)
def test_damaged_and_other_bytes_are_refused(stored: bytes, words: str) -> None:
    with pytest.raises(RunError, match=words):
        fitted_from(state(stored))
