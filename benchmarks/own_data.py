"""Describe and prepare tables of many short recordings: seconds of `ser.describe`, and memory of `ser.prepare` by rows.

python benchmarks/own_data.py            # 100,000 rows described; 2,000 and 20,000 rows prepared
python benchmarks/own_data.py 1000 200   # rows to describe; rows to prepare, and ten times as many
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

LABELS = ("anger", "boredom", "joy", "neutral", "sadness")
SECONDS = 0.4
"""Of each clip: 20,000 of them are 244 MiB of samples."""
PREPARE = """
import resource, sys
from pathlib import Path
from ser.audio.decode import AudioSettings
from ser.audio.store import prepare
from ser.corpora.table import Table
table = Table(Path(sys.argv[1]))
list(table.utterances())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prepare(table, sys.argv[2], AudioSettings(), rebuild=True)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(before / 1024, after / 1024)
"""


def write_table(folder: Path, rows: int, contents: int) -> Path:
    """Write a table of as many short recordings, 100 to a speaker, of some different contents."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = ["path;label;speaker;sex;language"]
    for row in range(rows):
        file, speaker = folder / f"{row // 1000}" / f"{row}.wav", row // 100
        file.parent.mkdir(exist_ok=True)
        if row < contents:
            soundfile.write(file, rng.uniform(-0.3, 0.3, int(SECONDS * 16000)), 16000)
        else:
            os.link(folder / "0" / f"{row % contents}.wav", file)
        sex, language = "fm"[speaker % 2], ("de", "en")[speaker % 3 == 0]
        lines.append(f"{file.relative_to(folder)};{LABELS[row % 5]};s{speaker};{sex};{language}")
    (folder / "my.csv").write_text("\n".join(lines))
    return folder / "my.csv"


def described(table: Path) -> tuple[float, float]:
    """Return the seconds of the command, and those that it used a processor for."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "ser.describe", str(table)], check=True)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def prepared(table: Path) -> tuple[float, float]:
    """Return the highest resident memory before and after decoding, in MiB."""
    command = [sys.executable, "-c", PREPARE, str(table), str(table.parent / "stores")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    before, after = map(float, done.stdout.split())
    return before, after


def main() -> None:
    """Print the seconds and the memory."""
    many, few = (int(argument) for argument in (sys.argv[1:] or ["100000", "2000"]))
    with tempfile.TemporaryDirectory() as folder:
        seconds, busy = described(write_table(Path(folder, "many"), many, 500))
        print(f"{many} rows are described in {seconds:.1f} s, {busy:.1f} s of a processor")
        for rows in (few, 10 * few):
            before, after = prepared(write_table(Path(folder, str(rows)), rows, rows))
            hours = rows * SECONDS / 3600
            print(f"{rows} rows ({hours:.1f} h): {before:.0f} MiB with the table read, {after:.0f} MiB after decoding")


if __name__ == "__main__":
    main()
