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
    "errors",
    "runtime",
    "corpora",
    "audio",
    "protocols",
    "datamodules",
    "signal",
    "features",
    "augment",
    "cleaning",
    "models",
    "evaluation",
    "baselines",
    "inference",
    "report",
    "runs",
    "training",
    "rescoring",
    "pictures",
    "serving",
    "comparison",
    "sweeps",
    "command",
]
"""Each imports from itself and those above it only. Entry points (modules that run as ``python -m``) come last."""
WITHOUT_TORCH = ROOMS.index("datamodules")
"""The first rooms hold facts, files and splits: they work where torch is not imported."""

WITH_LIGHTNING = {
    "ser.datamodules.speech",
    "ser.models.sharding",
    *(f"ser.training.{name}" for name in ("callbacks", "module", "wandb_rows")),
}
"""What a training by gradients alone needs."""


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
    assert room in ROOMS, f"ser.{room} has no place in ROOMS: say there what it may import"
    return ROOMS.index(room)


def test_imports_follow_the_room_order() -> None:
    upward = [f"{m} imports {name}" for m in MODULES for name in edges(m) if room_of(name) > room_of(m)]
    assert upward == []


def test_there_are_no_circular_imports() -> None:
    tuple(TopologicalSorter({module: edges(module) for module in MODULES}).static_order())


def test_import_search_finds_nested_imports() -> None:
    text = "import ser.corpora.labels\ndef f():\n  from ser.evaluation import metrics\n  from ser.models.cnn import A\n"
    assert set(imports(ast.parse(text))) == {"ser.corpora.labels", "ser.evaluation.metrics", "ser.models.cnn"}
    assert edges("ser") >= {"ser.inference.load", "ser.inference.predictor"}


def test_top_level_is_small() -> None:
    modules = [module_of(file) for file in PACKAGE.glob("*.py")]
    assert {m for m in modules if not is_entry_point(m)} == {"ser", "ser.command", "ser.errors"}
    assert len(modules) <= 3 + 18
    assert len([f for f in PACKAGE.iterdir() if f.is_dir() and f.name != "__pycache__"]) <= 21


def test_first_rooms_do_not_import_torch(tmp_path: Path) -> None:
    modules = [m for m in MODULES if m != "ser" and not is_entry_point(m) and room_of(m) < WITHOUT_TORCH]
    assert len(modules) > 30
    done = run("layout_probe", code=f"import {', '.join(modules)}\n" + HEAVY, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not re.search("torch|lightning", done.stderr), done.stderr


@pytest.mark.slow
def test_only_trainings_by_gradients_import_lightning(tmp_path: Path) -> None:
    modules = [m for m in MODULES if not is_entry_point(m) and m not in WITH_LIGHTNING]
    done = run(code=f"import {', '.join(modules)}\n" + HEAVY, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "lightning" not in done.stderr.rpartition("HEAVY")[2], done.stderr


NAMED_ALIKE = {
    "main": "what `python -m` runs, in each entry point",
    **{name: f"ser.{name} is the public face of it, and imports it when it is called" for name in ser.__all__},
    "checkpoint_of": "the same of a run's folder, below and above the room that reads runs",
}


def test_public_function_names_are_unique() -> None:
    modules_of: dict[str, list[str]] = {}
    for module, file in MODULES.items():
        if module == "ser":  # its functions are those of the same names inside, imported when they are called
            continue
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name not in NAMED_ALIKE:
                modules_of.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in modules_of.items() if len(modules) > 1} == {}


def faults(file: Path) -> Iterator[str]:
    """What breaks the house rules in a source file."""
    text, name = file.read_text(), module_of(file)
    if (length := len(text.splitlines())) > 400:
        yield f"{name}: {length} lines, and 400 are the most"
    if found := re.search(r"""["'(= ](/home/|/Users/|/root/|[A-Z]:\\\\Users)""", text):
        yield f"{name}: a home folder: {found[0]}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield f"{name}:{node.lineno}: print: use the log, or a rich console"
        if isinstance(node, ast.ExceptHandler):
            wide = node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            if node.type is None or (wide and all(isinstance(s, ast.Pass) for s in node.body)):
                yield f"{name}:{node.lineno}: an error is swallowed"


def test_files_are_short_and_clean() -> None:
    assert [fault for file in FILES for fault in faults(file)] == []


def test_checks_find_violations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("print(1)\ntry:\n    x = '/home/me'\nexcept:\n    pass\n" + "\n" * 400)
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert [re.sub(r"^ser\.bad:?\d*: ", "", fault).split(":")[0] for fault in faults(bad)] == [
        "405 lines, and 400 are the most",
        "a home folder",
        "print",
        "an error is swallowed",
    ]


HEAVY = """
import sys
heavy = {"torch", "lightning", "torchaudio", "pandas", "matplotlib", "wandb"} & set(sys.modules)
sys.stderr.write(f"HEAVY {sorted(heavy)}")
"""
RUNNER = f"""
import atexit, runpy, sys
sys.argv = sys.argv[1:]
atexit.register(lambda: exec({HEAVY!r}))
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
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
def test_help_and_configuration_are_fast(command: str, arguments: list[str], tmp_path: Path) -> None:
    done = run(command, *arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("HEAVY []"), done.stderr
    assert done.stdout.strip()
    assert list(tmp_path.iterdir()) == []


def test_package_import_is_light(tmp_path: Path) -> None:
    code = "import sys; before = set(sys.modules); import ser; print(sorted(m for m in set(sys.modules) - before))"
    done = run(code=code, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "'ser'" in done.stdout
    assert not re.search(r"'(torch|numpy|pandas|lightning|hydra)\b", done.stdout)


def test_check_detects_an_import_of_torch(tmp_path: Path) -> None:
    (tmp_path / "torch.py").touch()  # quicker than the real one
    (tmp_path / "heavy_one.py").write_text("import torch\n")
    assert run("heavy_one", folder=tmp_path).stderr.endswith("HEAVY ['torch']")
