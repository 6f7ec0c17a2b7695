"""Recovery from running out of memory: smaller batches, accumulated to the requested batch size."""

import gc
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ser.runs.folder import HISTORY, LAST
from ser.runtime.files import write_json
from ser.runtime.memory import return_freed_memory

FILE = "batches.json"
"""Written to a fold's folder when its batches were made smaller, so that a resumed training keeps them so."""
SAYS = ("out of memory", "not enough memory", "can't allocate memory")


def ran_out(error: BaseException) -> bool:
    """Return whether an error means that a device or the machine is out of memory.

    Example:
        >>> ran_out(RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")), ran_out(RuntimeError("shape"))
        (True, False)
    """
    named = isinstance(error, RuntimeError) and any(words in str(error) for words in SAYS)
    return named or isinstance(error, MemoryError)


def divided(config: Mapping[str, Any], parts: int) -> dict[str, Any]:
    """Return a configuration whose batches are split into parts.

    Example:
        >>> config = {"batch_size": 32, "trainer": {"accumulate_grad_batches": 1}}
        >>> divided(config, 4)
        {'batch_size': 8, 'trainer': {'accumulate_grad_batches': 4}}
    """
    trainer = dict(config["trainer"])
    trainer["accumulate_grad_batches"] = int(trainer.get("accumulate_grad_batches") or 1) * parts
    return {**config, "batch_size": -(-int(config["batch_size"]) // parts), "trainer": trainer}


def gradient_parts(folder: Path) -> int:
    """Return the number of parts that the batches of the training in a folder are split into."""
    try:
        return int(json.loads((folder / FILE).read_text())["parts"])
    except FileNotFoundError:
        return 1


def start_over(folder: Path, parts: int) -> None:
    """Delete the training in a folder, whose steps would differ with smaller batches, and free its memory."""
    shutil.rmtree((folder / LAST).parent, ignore_errors=True)
    (folder / HISTORY).unlink(missing_ok=True)
    write_json({"parts": parts}, folder / FILE)
    release()


def release() -> None:
    """Return unused memory to the system after a training, whose objects refer to each other."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return_freed_memory()
