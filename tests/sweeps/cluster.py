"""SLURM on this machine alone, of one node, for as long as a test takes: Debian's munge, slurmctld, slurmd, slurm-client."""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIG = """\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={home}/munge.socket,cred_expire=6
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
SlurmctldLogFile={home}/slurmctld.log
SlurmdLogFile={home}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES
"""
SACCT = """\
#!/bin/sh
echo 'JobID|State|NodeList'
squeue --noheader --array --states=all --format='%i|%T|%N'
"""
"""Accounting needs a database; of a cluster this young, the queue knows as much."""


def missing() -> str:
    """What of SLURM is not installed."""
    return ", ".join(name for name in (*DAEMONS, "sbatch") if _find(name) is None)


@contextmanager
def cluster() -> Iterator[Mapping[str, str]]:
    """Run one while the block runs; the environment of processes that use it.

    A job that is queued again waits for seven seconds: the least that SLURM has.
    """
    home = Path(tempfile.mkdtemp(prefix="slurm-"))  # short: a socket's path has 107 characters at most
    (home / "state").mkdir()
    (home / "spool").mkdir()
    (home / "munge.key").write_bytes(os.urandom(1024))
    (home / "munge.key").chmod(0o400)
    (home / "sacct").write_text(SACCT)
    (home / "sacct").chmod(0o755)
    host = socket.gethostname().partition(".")[0]
    text = CONFIG.format(home=home, host=host, user=getpass.getuser(), ports=_free_ports(2))
    (home / "slurm.conf").write_text(text)
    env = {**os.environ, "SLURM_CONF": f"{home}/slurm.conf", "PATH": f"{home}:{os.environ['PATH']}"}
    munge = [f"--{name}={home}/munge{end}" for name, end in (("socket", ".socket"), ("key-file", ".key"))]
    munge += [f"--{name}-file={home}/munged.{name}" for name in ("pid", "log", "seed")]
    try:
        with ExitStack() as stack:
            stack.enter_context(_daemon(["munged", "--foreground", "--force", *munge], env, home))
            until((home / "munge.socket").exists)
            stack.enter_context(_daemon(["slurmctld", "-D", "-i"], env, home))
            stack.enter_context(_daemon(["slurmd", "-D", "-N", host], env, home))
            until(lambda: "idle" in ask(env, "sinfo", "--noheader", "--format=%T"))
            yield env
            ask(env, "scancel", f"--user={getpass.getuser()}")
            until(lambda: not ask(env, "squeue", "--noheader"))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def ask(env: Mapping[str, str], *command: str) -> str:
    """What a command of the cluster prints; nothing where it fails."""
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False).stdout


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for something to hold.

    Raises:
        TimeoutError: If it does not in time.
    """
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{seconds:.0f} s")
        time.sleep(0.1)


@contextmanager
def _daemon(command: list[str], env: Mapping[str, str], home: Path) -> Iterator[None]:
    line = [str(_find(command[0])), *command[1:]]
    with (home / f"{command[0]}.out").open("wb") as out:
        process = subprocess.Popen(line, env=env, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _find(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
