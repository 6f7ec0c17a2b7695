"""A server of a small model that is not trained, in the process of the test."""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile
import uvicorn
from fastapi.testclient import TestClient

from ser.inference.predictor import Predictor
from ser.models.calibration import Calibration
from ser.serving.about import Facts
from ser.serving.app import create_app
from ser.serving.limits import Batching, Limits
from ser.serving.server import Server
from ser.serving.service import Loader, Service
from tests.untrained import untrained

FACTS: Facts = {"trained_on": [{"name": "demo", "title": "Demo"}], "score": None}


@pytest.fixture(scope="session")
def model() -> Predictor:
    """A small model, not trained, with a calibration."""
    module = untrained(("angry", "happy", "sad"), ("random split",))
    module.calibration = Calibration(1.5, 0.7, 0.9)
    return Predictor(module)


def service_of(
    model: Predictor | None = None,
    *,
    loaders: dict[str, Loader] | None = None,
    keys: tuple[str, ...] = (),
    **limits: float,
) -> Service:
    """A service of a model; limits by their names, and ``size``, ``delay_ms`` and ``queue``."""
    batching = {name: limits.pop(name) for name in ("size", "delay_ms", "queue") if name in limits}
    loaders = loaders or {"default": lambda: (model, FACTS)}  # type: ignore[dict-item, return-value]
    return Service(loaders, Limits(**limits), Batching(**batching), keys)  # type: ignore[arg-type]


@contextmanager
def opened(service: Service, *, cors: tuple[str, ...] = (), wait: bool = True) -> Iterator[TestClient]:
    """A client of a server that runs, by default when its models are loaded."""
    with TestClient(create_app(service, cors), raise_server_exceptions=False) as client:
        while wait and client.get("/ready").status_code != 200:
            time.sleep(0.01)
        yield client


def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within a minute")


@contextmanager
def listening(service: Service) -> Iterator[tuple[Server, int]]:
    """A server on a port of this machine, when its models are loaded; it ends with the block at the latest."""
    with socket.create_server(("127.0.0.1", 0)) as port:
        server = Server(uvicorn.Config(create_app(service), log_config=None), service)
        thread = threading.Thread(target=server.run, args=([port],))
        thread.start()
        try:
            until(lambda: server.started and service.ready)
            yield server, port.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def client(model: Predictor) -> Iterator[TestClient]:
    """A client of a server without limits in the way of tests."""
    with opened(service_of(model, per_minute=1e6)) as client:
        yield client


def wav(samples: np.ndarray, rate: int = 16000, kind: str = "WAV") -> bytes:
    """A file with some samples."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return file.getvalue()


def failure(response: object) -> tuple[int, str]:
    """The status and the type of an error, which has a sentence, too."""
    error = response.json()["error"]  # type: ignore[attr-defined]
    assert set(error) == {"type", "message"}
    assert error["message"].endswith((".", "?")) or ":" in error["message"]
    return response.status_code, error["type"]  # type: ignore[attr-defined]
