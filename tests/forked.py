"""A command in a process that finds what trains imported already, which is most of what a short command takes."""

import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

PRELOADED = [
    "lightning",
    "torch._dynamo",
    "hydra",
    "seaborn",
    "matplotlib.backends.backend_agg",
    "ser.training.callbacks",
]
PRELOADED += ["ser.runs.results", "ser.training.experiment"]


def run(
    line: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float = 300
) -> "subprocess.CompletedProcess[str]":
    """As ``subprocess.run([sys.executable, "-m", *line], cwd=folder, env=environment, ...)``.

    Raises:
        TimeoutError: If it does not end in time.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    with TemporaryDirectory() as said:
        out, err = (Path(said) / name for name in ("out", "err"))
        process = context.Process(target=_run, args=(list(line), folder, dict(environment), out, err))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{seconds:.0f} s: {' '.join(line)}")
        return subprocess.CompletedProcess(line, process.exitcode, out.read_text(), err.read_text())


def _run(line: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, out, os.O_WRONLY | os.O_CREAT),
        (2, err, os.O_WRONLY | os.O_CREAT),
    ):
        os.dup2(os.open(path, flags), number)
    import torch

    if "OMP_NUM_THREADS" in environment:  # which torch has looked at before
        torch.set_num_threads(int(environment["OMP_NUM_THREADS"]))
    sys.argv, sys.path[:0] = line, [str(folder)]
    runpy.run_module(line[0], run_name="__main__", alter_sys=True)
