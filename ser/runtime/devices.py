"""The devices of this machine: the number of trainings that fit at once, and the GPU of each. Does not import torch."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

_held: "list[FileLock]" = []
"""Locks of the GPU that this process has taken, held until it ends."""


def gpus() -> list[str]:
    """Return the NVIDIA GPUs that this process may use, as named in ``CUDA_VISIBLE_DEVICES``."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_at_once() -> int:
    """Return the number of parallel jobs: one per GPU; without one, a quarter of the cores, but at least four if possible."""
    return len(gpus()) or min(cores(), max(4, cores() // 4))


def take_gpu(folder: Path | None = None) -> str | None:
    """Reserve one of several GPUs for this process, which then sees no other; a process that has one keeps it.

    Call it before CUDA is initialised. Locks in a folder of the machine coordinate the sweeps of all users.

    Returns:
        Name of the GPU; ``None`` if there is at most one, if all are taken, or if this process already has one.
    """
    from filelock import FileLock, Timeout  # late: a server needs none

    there = gpus()
    if len(there) < 2 or _held:
        return None
    folder = folder or Path(tempfile.gettempdir()) / "ser-gpus"
    folder.mkdir(mode=0o777, parents=True, exist_ok=True)
    for name in there:
        lock = FileLock(folder / f"{name}.lock", timeout=0, mode=0o666)
        try:
            lock.acquire()
        except (Timeout, PermissionError):
            continue
        _held.append(lock)
        os.environ["CUDA_VISIBLE_DEVICES"] = name
        return name
    return None
