"""The transcript in docs/own_data.md, from a folder of clips to a card, run as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.test_own_data import clip

PAGE = Path(__file__).parents[2] / "docs" / "own_data.md"
QUICK = ["trainer.max_epochs=1", "trainer.accelerator=cpu", "batch_size=8", "logger=csv"]
STAMP = r"\d{8}-\d{6}"


def steps() -> list[tuple[str, list[str]]]:
    """Return each command of the transcript, and the lines that it prints there."""
    (block,) = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return [
        (command, [line for line in printed.splitlines() if line.strip() not in ("", "...")])
        for command, printed in zip(parts[::2], parts[1::2], strict=True)
    ]


def plain(line: str) -> str:
    """Return a line without the width of its spaces and the time in names."""
    return re.sub(STAMP, "TIME", " ".join(line.split()))


@pytest.mark.slow
def test_transcript_prints_what_the_page_shows(tmp_path: Path) -> None:
    for i, label in enumerate(("anger", "boredom", "joy")):
        for s, speaker in enumerate(("anna", "ben", "cleo", "dan", "eva", "finn")):
            for take in range(2):
                clip(tmp_path / "clips" / speaker / label / f"{take}.wav", 150 * (i + 1), 100 * i + 10 * s + take)
    variables = {**os.environ, "COLUMNS": "80", "SER_HOME": str(tmp_path / "home"), "WANDB_MODE": "disabled"}
    ran = []
    for command, shown in steps():
        words = command.split()
        if words[0] == "python":
            (run,) = [path.name for path in tmp_path.glob("runs/*")] or [""]
            words = [sys.executable, *(re.sub(r"runs/\S+", f"runs/{run}", word) for word in words[1:])]
            words += QUICK if "ser.train" in words else []
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed = {plain(line) for line in (done.stdout + done.stderr).splitlines()}
        assert [line for line in shown if plain(line) not in printed] == []
        ran.append(words[0])
    assert len(ran) == 4
