"""A server in a process of its own, for benchmarks: an untrained CNN, or a model that is given; and what it uses (Linux)."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx
from machine import untrained

from ser.models.checkpoint import add_findings, write_model

PATIENCE_S = 300


class Usage(NamedTuple):
    """What a process uses.

    Attributes:
        megabytes: Of memory that is resident.
        threads: Their number.
        files: Its temporary files and folders.
    """

    megabytes: float
    threads: int
    files: int


@dataclass(frozen=True)
class Running:
    """A server that runs.

    Attributes:
        address: Host and port.
        process: Number of its process.
        folder: Where its temporary files are.
    """

    address: str
    process: int
    folder: Path

    def usage(self) -> Usage:
        """Return what it uses now."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        megabytes = int(facts["VmRSS"].split()[0]) / 1024
        return Usage(megabytes, int(facts["Threads"]), sum(1 for _ in self.folder.rglob("*")))


@contextmanager
def running(model: str | None, *settings: str) -> Iterator[Running]:
    """Run a server with some settings, and no limit of requests in a minute.

    Args:
        model: What ``python -m ser.serve`` takes; ``None`` is an untrained CNN.
        settings: As on the command line.

    Raises:
        RuntimeError: If it does not start, or fails at the end; the message is its log.
    """
    with tempfile.TemporaryDirectory() as made:
        folder, log = Path(made, "temporary"), Path(made, "log")
        folder.mkdir()
        port = _free_port()
        path = model or _checkpoint(Path(made, "cnn.ckpt"))
        command = [sys.executable, "-m", "ser.serve", f"model={path}", f"port={port}", "limits.per_minute=null"]
        environment = {name: value for name, value in os.environ.items() if name != "SER_API_KEYS"}
        with log.open("wb") as said:
            process = subprocess.Popen(
                [*command, *settings], env={**environment, "TMPDIR": str(folder)}, stdout=said, stderr=said
            )
        try:
            address = f"127.0.0.1:{port}"
            _wait(address, process)
            yield Running(address, process.pid, folder)
            process.terminate()
            if process.wait(PATIENCE_S):
                raise RuntimeError(log.read_text()[-5000:])
        except ConnectionError as error:
            raise RuntimeError(log.read_text()[-5000:]) from error
        finally:
            process.kill()
            process.wait()  # before its folder is removed


def _checkpoint(path: Path) -> Path:
    model = untrained("model=cnn", "normalise=utterance").cpu()
    write_model(path, model)
    add_findings(path, model.calibration, None)
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _wait(address: str, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"http://{address}/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise ConnectionError(address)
