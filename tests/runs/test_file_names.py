"""The names of a run's files are spelled in one module."""

import ast
from pathlib import Path

import ser

NAMES = ("metrics.json", "card.json", "predictions.parquet", "config.yaml", "split.json", "best.ckpt")
SPELLING = {"runs/folder.py", "runtime/migration.py"}
OWN_CARDS = {"audio/store.py", "datamodules/cache.py"}
"""Prepared stores and feature caches have a card.json of their own."""


def spelled(file: Path) -> list[str]:
    """List the strings of a module that are a path to one of the files; text that mentions a file is exempt."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    strings = [(node.lineno, str(node.value)) for node in texts]
    return [f"{file}:{line} {name}" for line, text in strings for name in NAMES if name == text.rpartition("/")[2]]


def test_only_the_run_folder_spells_file_names() -> None:
    house = Path(ser.__file__).parent
    files = {file.relative_to(house).as_posix(): file for file in sorted(house.rglob("*.py"))}
    assert spelled(files["runs/folder.py"])
    others = [file for name, file in files.items() if name not in SPELLING | OWN_CARDS]
    assert [place for file in others for place in spelled(file)] == []
