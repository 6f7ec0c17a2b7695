"""What each extra is enough for: packages of the others cannot be imported here, as if they were not installed."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ser.corpora.demo import Demo
from ser.runtime.packages import TRAIN
from tests.loudness import save_loudness

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CLIP = next(iter(Demo().utterances())).path

ONLY = """
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if (module := name.partition(".")[0]) in {absent}:
            raise ModuleNotFoundError(f"No module named {{module!r}}", name=module)
sys.meta_path.insert(0, Only())
"""
COMMAND = """
import runpy
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
SENTENCE = r"This needs the package (\w+), which is not installed\. Run pip install 'ser\[train\]'\."
PREDICT = """
import json, sys
import ser
model = ser.load(sys.argv[1])
table, found = model.predict(sys.argv[2]), model.segments(sys.argv[2])
assert len(model.embed(sys.argv[2])) == 1 and len(found.table) > 0
for wanted in (lambda: found.plot(), lambda: ser.load(sys.argv[3]), lambda: ser.train()):
    try:
        wanted()
    except ser.errors.ConfigError as error:
        sys.stderr.write(f"{error}\\n")
print(json.dumps([table["label"][0], sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def listed(*extras: str) -> list[Requirement]:
    """What pyproject.toml names for the base and some extras, with the extras that these name."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    found = [Requirement(line) for line in lines]
    further = [extra for one in found if one.name == "ser" for extra in one.extras]
    return [one for one in found if one.name != "ser"] + (listed(*further) if further else [])


def with_dependencies(requirements: Iterable[Requirement]) -> set[str]:
    """The distributions that come with some, and with their own dependencies."""
    found, waiting = set(), list(requirements)
    while waiting:
        one = waiting.pop()
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in ("", *one.extras)):
            try:
                needed = [Requirement(line) for line in requires(one.name) or []]
            except PackageNotFoundError:  # of another system
                continue
            if (name := canonicalize_name(one.name)) not in found:
                waiting += [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
            found.add(name)
    return found


@cache
def distributions() -> dict[str, set[str]]:
    """The distributions of each module that is installed."""
    return {module: set(map(canonicalize_name, names)) for module, names in packages_distributions().items()}


def distributions_of(modules: Iterable[str]) -> set[str]:
    return set().union(*(distributions().get(module, set()) for module in modules))


def run_with_only(*extras: str, code: str, folder: Path, arguments: Iterable[object] = ()) -> "subprocess.Popen[str]":
    """Start a process in which only the packages of the base and of some extras can be imported."""
    installed = with_dependencies(listed(*extras))
    absent = {module for module, names in distributions().items() if not names & installed}
    only = ONLY.format(absent=sorted(absent - {"ser", "hydra_plugins"}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", only + code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    return save_loudness(tmp_path / "loudness.onnx")


def test_exported_model_predicts_with_the_base_and_onnxruntime_and_uses_all_of_it(model: Path, tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").touch()
    process = run_with_only("onnx", code=PREDICT, folder=tmp_path, arguments=[model, CLIP, tmp_path / "last.ckpt"])
    out, errors = process.communicate()
    assert process.returncode == 0, errors
    label, modules = json.loads(out)
    assert label == "loud"
    used = distributions_of(modules)
    assert {canonicalize_name(one.name) for one in listed("onnx")} <= used
    sentences = [re.fullmatch(SENTENCE, line) for line in errors.splitlines()]
    assert len(sentences) == 3
    assert all(found and found[1] in TRAIN for found in sentences)


@pytest.mark.parametrize(
    ("arguments", "extra"), [(["ser.train"], "train"), (["ser.compare", "x", "y"], "train"), (["ser.serve"], "serve")]
)
def test_command_names_the_extra_that_it_needs(tmp_path: Path, arguments: list[str], extra: str) -> None:
    process = run_with_only(code=COMMAND, folder=tmp_path, arguments=arguments)
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.endswith(f"which is not installed. Run pip install 'ser[{extra}]'.\n")
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_exported_model_is_served_without_the_packages_of_training(model: Path, tmp_path: Path) -> None:
    pytest.importorskip("fastapi")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = ["ser.serve", f"model={model}", f"port={port}"]
    process = run_with_only("onnx", "serve", code=COMMAND, folder=tmp_path, arguments=arguments)
    try:
        asked = Request(f"http://127.0.0.1:{port}/v1/predict", CLIP.read_bytes(), {"Content-Type": "audio/ogg"})
        while process.poll() is None:
            try:
                urlopen(f"http://127.0.0.1:{port}/ready").close()
                break
            except URLError:  # it does not listen yet, or is not ready
                time.sleep(0.1)
        with urlopen(asked) as response:
            assert json.load(response)["label"] == "loud"
    finally:
        process.terminate()
        _, errors = process.communicate()
    assert process.returncode == 0, errors


def test_modules_of_training_are_those_of_its_extra() -> None:
    wanted = {canonicalize_name(one.name) for one in listed("train")} - {
        canonicalize_name(one.name) for one in listed()
    }
    known = distributions_of(TRAIN)
    assert wanted <= known
    assert known <= with_dependencies(listed("train"))
    assert not known & with_dependencies(listed("onnx")) - {"typing-extensions"}
