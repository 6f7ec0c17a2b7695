"""Memory that a process keeps: the tensors of a step on a CPU are as large as those of the step before.

Source of the settings: mallopt(3) of the GNU C library, https://man7.org/linux/man-pages/man3/mallopt.3.html.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Numbers of the parameters in malloc.h."""
AHEAD = 256 * 2**20
"""Bytes of address space that are asked for beyond what is needed."""


def keep_freed_memory() -> bool:
    """Let the GNU C library keep the memory of freed tensors for later ones.

    Otherwise it returns a block of more than 32 MiB to Linux as soon as it is freed, and the next one is mapped and zeroed
    page by page. `return_freed_memory` still returns what is free.

    Returns:
        Whether it does; elsewhere nothing is changed.
    """
    if (mallopt := _function("mallopt")) is None:
        return False
    settings = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: -1, M_TOP_PAD: AHEAD}  # no blocks of their own; no trimming
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) for name, value in settings.items())


def return_freed_memory() -> None:
    """Return freed memory to the system; gaps between batches of many sizes are gigabytes over the folds of a sweep."""
    if (trim := _function("malloc_trim")) is not None:
        trim(ctypes.c_size_t(0))


def _function(name: str) -> "ctypes._NamedFuncPointer | None":
    """Return a function of the GNU C library; ``None`` where that is not the one in use."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return getattr(library, name, None) if hasattr(library, "gnu_get_libc_version") else None
