"""Packages that report their use leave no trace of a report, in a process like a user's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ser.runtime.telemetry import SWITCHES

RUN = "import {first}; import onnxruntime; onnxruntime.InferenceSession({model!r}, providers=['CPUExecutionProvider'])"
SUPPRESSED_BY = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "ORT_RUNNING_UNIT_TESTS", "PYTEST_CURRENT_TEST", *SWITCHES)
"""Variables of a machine that runs tests, where ONNX Runtime sends nothing by itself."""


def test_onnx_runtime_keeps_no_identifier_of_its_user(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = tmp_path / "model.onnx"
    environment = {name: value for name, value in os.environ.items() if name not in SUPPRESSED_BY}
    environment.update(dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME"), str(tmp_path)))
    _write_identity(model)
    code = RUN.format(first="ser", model=str(model))
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("name", SWITCHES)
def test_what_a_user_sets_is_left(name: str) -> None:
    code = f"import os, ser; print(os.environ[{name!r}])"
    for environment, expected in (({name: "mine"}, "mine"), ({}, SWITCHES[name])):
        clean = {key: value for key, value in os.environ.items() if key != name}
        told = subprocess.run([sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True)
        assert told.stdout.strip() == expected


def _write_identity(path: Path) -> None:
    from onnx import TensorProto, helper, save

    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "graph", values[:1], values[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
