"""The worked examples in the README and in docs/extending.md work as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXTENDING = (ROOT / "docs" / "extending.md").read_text()


def blocks() -> dict[str, str]:
    """The fenced blocks that name the file that they are in a comment, whole."""
    found = re.findall(r"^```(?:python|yaml)\n(.*?)^```", README + EXTENDING, flags=re.MULTILINE | re.DOTALL)
    named = [(re.search(r"^# ((?:ser|conf)/\S+)$", block, flags=re.MULTILINE), block) for block in found]
    return {match[1]: block for match, block in named if match}


def test_the_worked_examples_are_one_python_file_and_one_yaml_each() -> None:
    suffixes = sorted(Path(name).suffix for name in blocks())
    assert suffixes == [".py", ".py", ".yaml", ".yaml"]
    assert not any((ROOT / name).exists() for name in blocks())


@pytest.mark.slow
def test_a_corpus_and_a_model_are_added_by_a_file_and_a_yaml_each(tmp_path: Path) -> None:
    for part in ("ser", "conf"):
        shutil.copytree(ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__", "demo"))
    for name, text in blocks().items():
        (tmp_path / name).write_text(text)
    clips = tmp_path / "corpora" / "emodb" / "wav"
    clips.mkdir(parents=True)
    random = np.random.default_rng(0)
    for speaker in ("03", "08", "09", "10", "11"):
        for code in "WEAFNTL":
            soundfile.write(clips / f"{speaker}a01{code}a.wav", 0.1 * random.standard_normal(8000), 16000)
    command = [sys.executable, "-P", "-m", "ser.train", "model=mean_pool", "data=emodb", "logger=csv"]
    command += ["trainer.max_epochs=1", f"paths.corpora={tmp_path / 'corpora'}", "trainer.accelerator=cpu"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "SER_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("runs/emodb-meanpool-*/metrics.json"))
    assert "5 audio files are no clips" in (next((tmp_path / "home" / "stores").glob("*/card.json"))).read_text()


def test_every_file_that_the_readme_links_to_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_no_placeholder_is_left() -> None:
    assert re.findall(r"^[A-Z_]{6,}$", README, flags=re.MULTILINE) == []
