"""Training in several processes, one per device: their ranks, communication and start.

All processes run the same training and share its batches (`ser.datamodules.data`); only the first writes files.
``torchrun`` and ``srun`` start them, on one machine or several; otherwise `launch` starts them on this one, so that
notebooks and jobs of a sweep train like a command.
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
"""Environment variable of processes that torchrun started."""
STEP = "SLURM_STEP_NUM_TASKS"
"""Environment variable of processes that srun started: their number."""
MEETING = "SER_MEETING"
"""Environment variable of processes of `launch`: the file for their rendezvous (a free port might be taken by then)."""
RESULT = "result"
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
"""Start method of `launch`: processes are copies of a server that has imported what they need; unsafe on macOS."""
TO_A_JOB = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]
"""Signals that a cluster sends to all processes of a job; the process that handles them (submitit's) stops the others."""
GRACE_SECONDS, FAILED_SECONDS = 30.0, 2.0
"""Time for the processes to end by themselves after an interruption, and after a failure."""


def is_member() -> bool:
    """Whether this process is one of several that were started to train together."""
    return STARTED in os.environ or int(os.environ.get(STEP, 1)) > 1


def process_rank() -> int:
    """Return the rank of this process, from 0; 0 for a single process."""
    return _dist().get_rank() if _is_joined() else 0


def world_size() -> int:
    """Return the number of processes that train together; 1 for a single process."""
    return _dist().get_world_size() if _is_joined() else 1


def on_first_process(make: Callable[[], T]) -> T:
    """Call a function on the first process and return its result, which is pickled, or raise its error, on all processes.

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
    """Return the sum of the processes' tensors, with gradients; the tensor itself for a single process."""
    if world_size() == 1:
        return values
    from torch.distributed.nn.functional import all_reduce

    summed: torch.Tensor = all_reduce(values)  # type: ignore[no-untyped-call]
    return summed


def processes(trainer: Mapping[str, Any]) -> int:
    """Return the number of processes of a training on this machine, one per device.

    Raises:
        ConfigError: If the number of devices is invalid, if several devices have no strategy, or if several machines are
            set without torchrun or srun.
    """
    if trainer.get("num_nodes", 1) != 1 and not is_member():
        raise ConfigError(
            f"trainer.num_nodes must be 1 without torchrun or srun; got {trainer['num_nodes']}. Start the training on each "
            "machine with one of them."
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
        raise ConfigError(
            f"trainer.devices must be 1 device without a strategy; got {asked}. Use trainer=ddp or trainer=fsdp."
        )
    return count


def cluster_environment() -> "ClusterEnvironment":
    """Return Lightning's environment for this process: torchrun, SLURM, or a single process.

    Lightning's own detection treats a single process in a SLURM job as the first of all processes the job may start.

    Raises:
        ConfigError: If srun was started without ``--ntasks-per-node``, which Lightning requires.
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
        raise ConfigError("srun must be started with --ntasks-per-node=<number>; got none. Add the option.") from error


@contextmanager
def joined(trainer: Mapping[str, Any]) -> Iterator[None]:
    """Join the other processes, if there are any, while the block runs.

    Raises:
        ConfigError: If there are other processes, but the settings have no strategy for several.
    """
    if not is_member():
        yield
        return
    if "strategy" not in trainer:
        raise ConfigError(
            "trainer must be ddp or fsdp for several processes of torchrun or srun; got the default. Add trainer=ddp or "
            "trainer=fsdp."
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
    """Call a function in several new processes on this machine, and return the result of the first.

    Args:
        count: Number of processes.
        function: Function of a module; it joins the other processes by `joined`.
        arguments: Its arguments, which must be picklable.

    Raises:
        RunError: If a process was killed.
        Exception: The error of the first process that failed; the others are then stopped.
    """
    from multiprocessing import resource_tracker

    from torch.multiprocessing import get_context
    from torch.multiprocessing.spawn import ProcessException, start_processes

    if METHOD == "forkserver":  # the first launch starts the server; later launches reuse it and start at once
        get_context(METHOD).set_forkserver_preload(["lightning", function.__module__])
        resource_tracker.ensure_running()  # the server would start it, and it unblocks SIGTERM
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
        except BaseException:  # Ctrl-C or a cluster's signal stops them too
            _stop(context)
            raise
        result = Path(folder) / RESULT
        if not result.exists():  # Ctrl-C reached them, but not this process
            raise KeyboardInterrupt
        made, seconds = pickle.loads(result.read_bytes())
    phases.count(seconds)
    return made  # type: ignore[no-any-return]


@contextmanager
def _held_back(signals: Sequence[int]) -> Iterator[None]:
    """Block signals until the block ends; the processes started in it never receive them."""
    if not signals:  # Windows has no signal masks
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
    """Run one process of `launch`, with the environment that torchrun would set."""
    import torch

    if handled:
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
    Thread(target=_end_with_parent, daemon=True).start()
    ranks = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
    where = {MEETING: f"file://{folder / 'meeting'}", STARTED: "ser"}
    os.environ.clear()  # the server has the environment of the first launch
    os.environ.update({name: str(value) for name, value in {**environ, **ranks, **where}.items()})
    logging.captureWarnings(True)
    torch.set_num_threads(max(1, torch.get_num_threads() // count))
    try:
        with phases.recorded() as seconds:
            made = function(*arguments)
    except Exception as error:
        if not isinstance(error, SerError):  # the traceback is lost in other processes
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
    """End this process if its parent was killed: another process may resume the run."""
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _reason(folder: Path, context: "ProcessContext", first: int) -> Exception:
    """Return the error of the first process that failed; the others fail after it or are killed."""
    codes = [process.exitcode for process in context.processes]
    code = codes[first]
    if code is not None and code < 0 and code not in (-signal.SIGTERM, -signal.SIGINT):
        name = signal.Signals(-code).name
        return RunError(
            f"Process {first + 1} of {len(codes)} was killed ({name}), possibly because memory ran out. Use a smaller "
            "batch_size or resume with ckpt=last."
        )
    errors = sorted(folder.glob("*.error"), key=lambda file: file.stat().st_mtime_ns)
    if not errors:
        return RunError(f"The processes of the training ended with exit codes {codes} and without an error message.")
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
    """Whether this process has joined others; does not import torch."""
    there = sys.modules.get("torch.distributed")
    return there is not None and there.is_available() and there.is_initialized()


def _dist() -> Any:
    import torch.distributed

    return torch.distributed
