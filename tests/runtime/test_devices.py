"""Jobs on a machine with several GPUs each take one, as far as that shows without one."""

import subprocess
import sys
from pathlib import Path

import pytest

from ser.runtime import devices

TAKE = "import sys; from pathlib import Path; from ser.runtime.devices import take_gpu; \
print(take_gpu(Path(sys.argv[1])), take_gpu(Path(sys.argv[1])), flush=True); \
import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"


def test_each_process_takes_one_gpu_and_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-abc")
    line = [sys.executable, "-c", TAKE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    others = [subprocess.Popen(line, **pipes) for _ in range(3)]  # type: ignore[call-overload]
    said = [(other.stdout.readline().split(), other.stdout.readline().strip()) for other in others]
    for other in others:
        other.communicate("")
    taken = sorted(first for (first, _), _ in said)
    assert taken == ["2", "GPU-abc", "None"]
    assert all(again == "None" for (_, again), _ in said), "a process that has one keeps it"
    assert all(sees == (first if first != "None" else "2,GPU-abc") for (first, _), sees in said)


@pytest.mark.parametrize(("visible", "count"), [("0,1,2", 3), ("", 0), ("-1", 0), ("3", 1)])
def test_gpus_follow_cuda_visible_devices(visible: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert len(devices.gpus()) == count


@pytest.mark.parametrize(("gpus", "cores", "jobs"), [(3, 64, 3), (0, 2, 2), (0, 8, 4), (0, 64, 16)])
def test_number_of_parallel_jobs_fits_the_machine(
    gpus: int, cores: int, jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: ["0"] * gpus)
    monkeypatch.setattr(devices, "cores", lambda: cores)
    assert devices.jobs_at_once() == jobs
