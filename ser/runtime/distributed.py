"""Training in several processes, one a device: who they are, what the first of them decides for all, and how they start.

All of them run the same training, whose batches they share (`ser.datamodules.speech`); the first alone writes. ``torchrun``
and ``srun`` start them, on one machine or several; otherwise `launch` does, on this one, so that a notebook and a job of a
sweep train like a command does.
"""

import logging
import os
import pickle
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from ser.errors import ConfigError, RunError, SerError
from ser.runtime import phases

if TYPE_CHECKING:
    import torch
    from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
    from torch.multiprocessing.spawn import ProcessContext

T = TypeVar("T")
STARTED = "TORCHELASTIC_RUN_ID"
"""In the environment of a process that torchrun started, with its rank."""
STEP = "SLURM_STEP_NUM_TASKS"
"""In that of a process that srun started: how many of them it did."""
MEETING = "SER_MEETING"
"""In that of a process of `launch`: the file by which they meet, where a port that is free now might be taken by then."""
RESULT = "result"
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""How `launch` starts processes: as copies of one that has imported what they need, and nothing else; macOS may not."""
TO_A_JOB = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
"""What a cluster sends to all processes of a job, of which the one that handles it (submitit's) stops the others."""
GRACE_SECONDS, FAILED_SECONDS = 30.0, 2.0
"""For the processes of a training that is stopped to end by themselves; for those of one that has failed."""


def is_member() -> bool:
    """Whether this process is one of several that were started to train together."""
    return STARTED in os.environ or int(os.environ.get(STEP, 1)) > 1


def process_rank() -> int:
    """Which of the processes this is, from 0; 0 where it is alone."""
    return _dist().get_rank() if _is_joined() else 0


def world_size() -> int:
    """How many processes train together; 1 where this is alone."""
    return _dist().get_world_size() if _is_joined() else 1


def on_first_process(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them, and so an error of it; the others wait for it.

    Args:
        make: Called in the first process only. What it makes is pickled.

    Example:
        >>> on_first_process(lambda: 7)
        7
    """
    if world_size() == 1:
        return make()
    import torch

    made: list[Any] = [None, None]
    if process_rank() == 0:
        try:
            made[0] = make()
        except Exception as error:
            made[1] = error
    _dist().broadcast_object_list(made, src=0, device=torch.device("cpu"))
    if made[1] is not None:
        raise made[1]
    return made[0]  # type: ignore[no-any-return]


def all_reduce_sum(values: "torch.Tensor") -> "torch.Tensor":
    """The sum of the processes' tensors, with gradients, in all of them; the tensor itself where there is one process."""
    if world_size() == 1:
        return values
    from torch.distributed.nn.functional import all_reduce

    summed: torch.Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return summed


def processes(trainer: Mapping[str, Any]) -> int:
    """How many processes a training is to be shared by on this machine, one a device.

    Args:
        trainer: The settings of ``trainer``.

    Raises:
        ConfigError: If there are several, but no strategy that says how; or none; or other machines that nobody starts on.
    """
    if trainer.get("num_nodes", 1) != 1 and not is_member():
        raise ConfigError(
            f"trainer.num_nodes={trainer['num_nodes']}: torchrun or srun begins the training on each of them."
        )
    asked, one = trainer["devices"], "strategy" not in trainer
    if one and asked in (1, "auto"):
        return 1
    if isinstance(asked, int | str) and str(asked) in ("auto", "-1"):
        import torch

        return max(1, torch.cuda.device_count() if trainer["accelerator"] in ("auto", "gpu", "cuda") else 1)
    count = len(asked) if isinstance(asked, list) else asked
    if type(count) is not int or count < 1:
        raise ConfigError(
            f'trainer.devices must be an integer of 1 or more, a list of device indices or "auto"; got {asked!r}.'
        )
    if one and count > 1:
        raise ConfigError(f"trainer.devices={asked}: several devices train one model with trainer=ddp or trainer=fsdp.")
    return count


def cluster_environment() -> "ClusterEnvironment":
    """What tells Lightning which of the processes this is: torchrun, srun, or that it is alone.

    Lightning's own guess takes a process that is alone in a job of SLURM for the first of as many as the job may start.

    Raises:
        ConfigError: If srun was not told how many processes a machine has, which Lightning needs to know.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment

    if STARTED in os.environ:
        return TorchElasticEnvironment()
    if not is_member():
        return LightningEnvironment()
    try:
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:  # of `--ntasks` alone
        raise ConfigError("srun starts the processes of a training with --ntasks-per-node=<how many>.") from error


@contextmanager
def joined(trainer: Mapping[str, Any]) -> Iterator[None]:
    """Meet the other processes, where there are any, for as long as the block runs.

    Args:
        trainer: The settings of ``trainer``.

    Raises:
        ConfigError: If there are other processes, and the settings are of one.
    """
    if not is_member():
        yield
        return
    if "strategy" not in trainer:
        raise ConfigError(
            "torchrun and srun start several processes of one training: take trainer=ddp or trainer=fsdp."
        )
    import torch

    where = cluster_environment()
    if (meeting := os.environ.get(MEETING)) is None:
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = where.main_address, str(where.main_port)
    on_gpu = trainer["accelerator"] != "cpu" and torch.cuda.is_available()
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    ranks = {"rank": where.global_rank(), "world_size": where.world_size()}
    _dist().init_process_group(backend, init_method=meeting, **ranks)
    try:
        yield
    finally:
        _dist().destroy_process_group()


def launch(count: int, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in several new processes of this machine, and give what the first of them returns.

    Args:
        count: How many.
        function: Of a module; it meets the others in `joined`.
        arguments: Its own, which can be pickled.

    Raises:
        RunError: If a process was killed.
        Exception: What ended the first process that failed; the others are then stopped.
    """
    from multiprocessing import resource_tracker

    from torch.multiprocessing import get_context
    from torch.multiprocessing.spawn import ProcessException, start_processes

    if METHOD == "forkserver":  # which the first launch starts; those after it find it, and so begin at once
        get_context(METHOD).set_forkserver_preload(["lightning", function.__module__])
        resource_tracker.ensure_running()  # which the server would begin with, and which lets SIGTERM through again
    handled = [number for number in TO_A_JOB if callable(signal.getsignal(number))]
    with tempfile.TemporaryDirectory(prefix="ser-") as folder:
        given = (Path(folder), count, dict(os.environ), handled, function, arguments)
        with _held_back(handled):
            context = start_processes(_member, given, count, join=False, start_method=METHOD)  # type: ignore[no-untyped-call]
        try:
            while not context.join(grace_period=FAILED_SECONDS):
                pass
        except ProcessException as error:
            raise _reason(Path(folder), context, error.error_index) from error
        except BaseException:  # Ctrl-C, or a cluster's signal: theirs too
            _stop(context)
            raise
        result = Path(folder) / RESULT
        if not result.exists():  # Ctrl-C has reached them, and not this process
            raise KeyboardInterrupt
        made, seconds = pickle.loads(result.read_bytes())
    phases.count(seconds)
    return made  # type: ignore[no-any-return]


@contextmanager
def _held_back(signals: Sequence[int]) -> Iterator[None]:
    """Let signals wait until the block ends, and never reach the processes that it starts."""
    if not signals:  # Windows has none of this
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _member(
    number: int,
    folder: Path,
    count: int,
    environ: Mapping[str, str],
    handled: Sequence[int],
    function: Callable[..., Any],
    arguments: Any,
) -> None:
    """A process of `launch`: as torchrun would have started it."""
    import torch

    if handled:
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    Thread(target=_end_with_parent, daemon=True).start()
    ranks = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
    where = {MEETING: f"file://{folder / 'meeting'}", STARTED: "ser"}
    os.environ.clear()  # it is that of the first launch
    os.environ.update({name: str(value) for name, value in {**environ, **ranks, **where}.items()})
    logging.captureWarnings(True)
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    try:
        with phases.recorded() as seconds:
            made = function(*arguments)
    except Exception as error:
        if not isinstance(error, SerError):  # whoever meets it elsewhere has nothing else of where it was raised
            error.add_note(f"In process {number + 1} of {count}:\n{traceback.format_exc()}")
        file = folder / f"{number}.error"
        try:
            file.write_bytes(pickle.dumps(error))
        except (pickle.PicklingError, TypeError, AttributeError):
            file.write_bytes(pickle.dumps(RunError(f"{type(error).__name__}: {error}")))
        sys.exit(1)
    if number == 0:
        (folder / RESULT).write_bytes(pickle.dumps((made, seconds)))


def _end_with_parent() -> None:
    """Leave nothing that trains on where the process that launched this one was killed: the run is gone on with by others."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _reason(folder: Path, context: "ProcessContext", first: int) -> Exception:
    """What the first process that failed says of it; those that it left alone fail after it, or are killed here."""
    codes = [process.exitcode for process in context.processes]
    code = codes[first]
    if code is not None and code < 0 and code not in (-signal.SIGTERM, -signal.SIGINT):
        name = signal.Signals(-code).name
        return RunError(f"Process {first + 1} of {len(codes)} was killed ({name}): did memory run out?")
    errors = sorted(folder.glob("*.error"), key=lambda file: file.stat().st_mtime_ns)
    if not errors:
        return RunError(f"The processes of the training ended with the exit codes {codes}, and no word.")
    error: Exception = pickle.loads(errors[0].read_bytes())
    return error


def _stop(context: "ProcessContext") -> None:
    for process in context.processes:
        if process.is_alive():
            os.kill(process.pid, signal.SIGINT)
    for process in context.processes:
        process.join(GRACE_SECONDS)
        if process.is_alive():
            process.kill()


def _is_joined() -> bool:
    """Whether this process has met others; torch is not imported to say no."""
    there = sys.modules.get("torch.distributed")
    return there is not None and there.is_available() and there.is_initialized()


def _dist() -> Any:
    import torch.distributed

    return torch.distributed
