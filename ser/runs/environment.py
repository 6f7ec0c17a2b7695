"""A record of the software and the machine that a run was trained with."""

import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from ser.runs.identity import LAUNCH, named

RECORDED = (
    "ser",
    "torch",
    "torchaudio",
    "lightning",
    "torchmetrics",
    "numpy",
    "pandas",
    "scikit-learn",
    "soundfile",
    "soxr",
    "transformers",
    "peft",
)


def environment(seed: int, fingerprint: str, device: str) -> dict[str, Any]:
    """Return versions, git revision, seed, data fingerprint, device and the command's settings.

    The platform is its system, processor and C library: a kernel's release says more about a machine than a card should.
    """
    versions = {}
    for package in RECORDED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "platform": "-".join(filter(None, (platform.system(), platform.machine(), *platform.libc_ver()))),
        "versions": versions,
        "git": git_revision(Path(__file__).parent),
        "seed": seed,
        "data": fingerprint,
        "device": device,
        "command": training_arguments(sys.argv[1:]),
    }


def training_arguments(arguments: Iterable[str]) -> list[str]:
    """Return the arguments of a command that say what was trained, without those that say where.

    Example:
        >>> training_arguments(["model=cnn", "ckpt=last", "paths.runs=/runs", "+data.corpora.demo.root=/demo", "fold=all"])
        ['model=cnn', 'fold=all']
        >>> training_arguments(["model=whisper", "model.encoder.checkpoint=/models/mine"])
        ['model=whisper', 'model.encoder.checkpoint=mine']
    """
    kept = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        key = name.lstrip("+~")
        root = key.startswith("data.corpora.") and key.endswith(".root")
        if key.partition(".")[0] not in (*LAUNCH, "launcher", "hydra") and not root:
            kept.append(f"{named(name)}{equals}{named(value)}")
    return kept


def git_revision(folder: Path) -> str | None:
    """Return the commit of a checkout, with ``+changes`` where files differ from it; ``None`` outside a checkout."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return commit + ("+changes" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
