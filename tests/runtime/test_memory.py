"""Freed memory is kept for the next tensors, and returned when asked for; each in a process of its own."""

import subprocess
import sys

import pytest

PAGES = """
import os, resource, sys
import torch
from ser.runtime import memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(8):
        torch.ones(2 ** 24)  # 64 MiB, which the C library alone would map anew each time
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize() / 2 ** 26

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2 ** 20
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", PAGES + code], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of the GNU C library")
def test_tensors_reuse_the_memory_of_freed_ones() -> None:
    # A small allocation may take the start of a freed block; the next tensor then needs another one: one in eight, at most.
    code = "print(faults(), memory.keep_freed_memory(), min(faults() for _ in range(6))); before = resident()\n"
    told = run(code + "memory.return_freed_memory(); print(before - resident())").split()
    if told[1] == "False":
        pytest.skip("another C library")
    before, after, returned = float(told[0]), float(told[2]), float(told[3])
    assert before > 4  # each of the tensors is mapped anew; huge pages may save some
    assert after < before / 4
    assert returned > 48


@pytest.mark.slow
@pytest.mark.parametrize("elsewhere", ["memory.sys.platform = 'darwin'", "memory.ctypes.CDLL = lambda _: object()"])
def test_other_systems_and_libraries_are_left_alone(elsewhere: str) -> None:
    code = f"{elsewhere}; print(memory.keep_freed_memory(), memory.return_freed_memory())"
    assert run(code).split() == ["False", "None"]
