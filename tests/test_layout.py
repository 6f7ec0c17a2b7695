"""Imports run one way through the package; its files stay short, and hold no prints, no swallowed errors, no home paths."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ser

PACKAGE = Path(ser.__file__).parent
FILES = sorted(file for file in PACKAGE.rglob("*.py") if "conf" not in file.relative_to(PACKAGE).parts[:-1])

ROOMS = [
    {"errors"},
    {"labels", "files", "conf_dir", "build", "devices", "clock"},
    {"manifest"},
    {"corpora"},
    {"unpack", "download", "audio", "waveforms", "twins"},
    {"protocols"},
    {"distributed"},
    {"datamodules"},
    {"features"},
    {"augment", "encoders"},
    {"models"},
    {"metrics"},
    {"evaluation"},
    {"report"},
    {"inference"},
    {"tracking", "wandb_run", "run_folder", "callbacks", "planning", "memory"},
    {"card"},
    {"results", "assemble"},
    {"experiment"},
    {"recompute"},
    {"systems", "suites", "sweeps"},
    {"adaptation", "robustness", "verification", "leaderboard", "studies"},
    {"command"},
]
"""Each imports from its own room and those above. Entry points (modules that run as ``python -m``) come last."""
WITHOUT_TORCH = 6
"""The first rooms hold facts, files and splits: they work where torch is not imported."""


def module_of(file: Path) -> str:
    parts = ("ser", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def imports(tree: ast.AST) -> Iterator[str]:
    """What a module imports anywhere in it: at its head, in functions, for type checking."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def edges(module: str) -> set[str]:
    tree = ast.parse(MODULES[module].read_text())
    return {name for name in imports(tree) if name in MODULES and name != module}


def is_entry_point(module: str) -> bool:
    return 'if __name__ == "__main__":' in MODULES[module].read_text()


def room_of(module: str) -> int:
    if module == "ser" or is_entry_point(module):
        return len(ROOMS)
    room = module.split(".")[1]
    for i, names in enumerate(ROOMS):
        if room in names:
            return i
    raise AssertionError(f"ser.{room} has no room: give it one in tests/test_layout.py")


@pytest.mark.parametrize("module", MODULES)
def test_imports_come_from_above(module: str) -> None:
    here = room_of(module)
    assert {name for name in edges(module) if room_of(name) > here} == set()


def test_no_imports_run_in_a_circle() -> None:
    tuple(TopologicalSorter({module: edges(module) for module in MODULES}).static_order())


def test_the_way_imports_are_found_finds_them() -> None:
    text = "import ser.labels\ndef f():\n    from ser import metrics\nif X:\n    from ser.models.cnn import CNN\n"
    assert set(imports(ast.parse(text))) == {"ser.labels", "ser.metrics", "ser.models.cnn"}
    assert edges("ser") >= {"ser.inference.load", "ser.models.classifier"}


@pytest.mark.parametrize("module", [m for m in MODULES if m != "ser" and not is_entry_point(m)])
def test_the_first_rooms_do_without_torch(module: str) -> None:
    if room_of(module) < WITHOUT_TORCH:
        used = {name.partition(".")[0] for name in imports(ast.parse(MODULES[module].read_text()))}
        assert not used & {"torch", "torchaudio", "lightning", "torchmetrics"}


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_files_are_short_and_clean(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    assert not re.search(r"""["'(= ](/home/|/Users/|/root/|[A-Z]:\\\\Users)""", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id != "print", f"line {node.lineno}: use the log, or a rich console"
        if isinstance(node, ast.ExceptHandler):
            silent = all(isinstance(s, ast.Pass) for s in node.body)
            wide = node.type is None or (
                isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
            )
            assert node.type is not None, f"line {node.lineno}: a bare except"
            assert not (silent and wide), f"line {node.lineno}: an error is swallowed"


RUNNER = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    heavy = {"torch", "lightning", "torchaudio", "pandas", "matplotlib", "wandb"} & set(sys.modules)
    sys.stderr.write(f"HEAVY {sorted(heavy)}")
"""


def run(*arguments: str, code: str = RUNNER, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "COLUMNS": "80", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


COMMANDS = [m for m in MODULES if is_entry_point(m)]
COMPOSED = [m for m in COMMANDS if "@command(" in MODULES[m].read_text()]
"""Those with a configuration; the others take folders."""


@pytest.mark.parametrize(
    ("command", "arguments"),
    [(command, ["--help"]) for command in COMMANDS] + [(command, ["--cfg", "job"]) for command in COMPOSED],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_help_and_configuration_come_at_once(command: str, arguments: list[str], tmp_path: Path) -> None:
    done = run(command, *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("HEAVY []"), done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == []
    if arguments == ["--help"]:
        # Hydra lists a group's choices in one line, however many there are.
        assert [
            line for line in done.stdout.splitlines() if len(line) > 100 and not line.startswith("protocol: ")
        ] == []


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    code = "import sys; before = set(sys.modules); import ser; print(sorted(m for m in set(sys.modules) - before))"
    done = run(code=code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "'ser'" in done.stdout
    assert not re.search(r"'(torch|numpy|pandas|lightning|hydra)\b", done.stdout)


def test_a_run_that_does_import_torch_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "heavy_one.py").write_text("import torch\n")
    assert run("heavy_one", folder=tmp_path).stderr.endswith("HEAVY ['torch']")
