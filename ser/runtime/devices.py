"""The devices of this machine, without torch: how many trainings fit beside each other, and which GPU is whose."""

import os
import tempfile
from pathlib import Path

from filelock import FileLock, Timeout

_held: list[FileLock] = []
"""Of the GPU that this process has taken, for as long as it lives."""


def gpus() -> list[str]:
    """The NVIDIA GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_at_once() -> int:
    """One a GPU; without one, four on a small machine, a quarter of the cores on a large one, and never more than cores."""
    return len(gpus()) or min(cores(), max(4, cores() // 4))


def take_gpu(folder: Path | None = None) -> str | None:
    """Take one of several GPUs for this process, which then sees no other; a process that has one keeps it.

    Call it before CUDA is initialised. Processes of any user's sweeps find each other by locks in a folder of the machine.

    Args:
        folder: Of the locks.

    Returns:
        Its name; ``None`` where there are not several, or all are taken.
    """
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
