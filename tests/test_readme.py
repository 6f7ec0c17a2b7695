"""The README and the pages in docs/: the worked examples work as they stand, and what is linked to is there."""

import os
import re
import shutil
import subprocess
import sys
from filecmp import cmpfiles
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXTENDING = (ROOT / "docs" / "extending.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```(?:python|yaml)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def examples() -> dict[str, str]:
    """The code blocks that name their file in a comment."""
    named = [
        (re.search(r"^# ((?:ser|conf)/\S+)$", block, flags=re.MULTILINE), block) for block in code_blocks(EXTENDING)
    ]
    return {match[1]: block for match, block in named if match}


def files(folder: Path) -> set[str]:
    found = [
        file.relative_to(folder) for part in ("ser", "conf") for file in (folder / part).rglob("*") if file.is_file()
    ]
    return {str(file) for file in found if "__pycache__" not in file.parts}


def test_each_example_is_one_python_file_and_one_yaml() -> None:
    kinds = {"corpora": "data", "losses": "loss", "models": "model", "optimizers": "optimizer", "features": "features"}
    code = {(kinds[Path(name).parent.name], Path(name).stem) for name in examples() if name.endswith(".py")}
    settings = {(Path(name).parent.name, Path(name).stem) for name in examples() if name.endswith(".yaml")}
    assert code == settings
    assert {kind for kind, _ in code} == set(kinds.values())


@pytest.mark.slow
def test_examples_train_without_changes_to_existing_files(tmp_path: Path) -> None:
    for part in ("ser", "conf"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    before = files(tmp_path)
    for name, text in examples().items():
        assert not (tmp_path / name).exists()
        (tmp_path / name).write_text(text)
    clips = tmp_path / "corpora" / "jl" / "wav"
    clips.mkdir(parents=True)
    random = np.random.default_rng(0)
    for speaker in ("female1", "female2", "male1", "male2"):
        for emotion in ("angry", "excited", "happy", "neutral", "sad", "anxious"):
            noise = 0.1 * random.standard_normal(int(random.integers(6000, 10000)))
            soundfile.write(clips / f"{speaker}_{emotion}_10a_1.wav", noise, 16000)
    command = [sys.executable, "-P", "-m", "ser.train", "-m", "model=mean_pool,gru", "data=jl", "features=stack"]
    command += [
        "features.parts=[logmel,mel_slopes]",
        "loss=absolute",
        "optimizer=lion",
        "augment=[mixup]",
        "logger=csv",
        "trainer.max_epochs=1",
    ]
    command += [f"paths.corpora={tmp_path / 'corpora'}", "trainer.accelerator=cpu", "sweep.report=null"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SER_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for model in ("meanpool", "gru"):
        assert list(tmp_path.glob(f"multirun/*/jl-{model}-*/metrics.json")), done.stdout
    assert (
        "4 audio files not of this corpus left out"
        in next((tmp_path / "home" / "stores").glob("*/card.json")).read_text()
    )
    assert files(tmp_path) - before == set(examples())
    assert cmpfiles(ROOT, tmp_path, sorted(before), shallow=False)[1:] == ([], [])


def test_readme_shows_the_trained_model() -> None:
    shown = next(block for block in code_blocks(README) if "class " in block)
    assert shown.strip() in re.sub(r"  # .*", "", examples()["ser/models/mean_pool.py"])


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_pages_exist(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
