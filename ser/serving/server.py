"""Run a server until it is told to end."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from ser.errors import ConfigError
from ser.runs.folder import checkpoint_of
from ser.runtime.instantiate import settings_from
from ser.serving.access import keys_of_environment
from ser.serving.app import create_app
from ser.serving.limits import Batching, Limits
from ser.serving.logs import JsonLines
from ser.serving.served import loader_of
from ser.serving.service import Service

if TYPE_CHECKING:
    from omegaconf import DictConfig

log = logging.getLogger(__name__)
DEFAULT = "default"
"""Name of the model of ``model=``."""
POLL_S = 0.02


class Server(uvicorn.Server):
    """A server that lets live streams tell what they have heard before it ends; uvicorn's closes them at once."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then answer the requests that were accepted."""
        self._service.ending.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._service.limits.timeout_s):
                while self._service.streams.taken and not self.force_exit:
                    await asyncio.sleep(POLL_S)
        await super().shutdown(sockets)


def serve(config: "DictConfig") -> None:
    """Serve the models that a configuration names, until SIGTERM or SIGINT; what was accepted is answered first.

    Raises:
        ConfigError: If a setting is out of its range, or a model cannot be used.
        RunError: If there is no model.
    """
    from omegaconf import OmegaConf

    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    limits, batching = (
        settings_from(Limits, plain["limits"], "limits"),
        settings_from(Batching, plain["batching"], "batching"),
    )
    errors: list[Exception] = []
    server: Server

    def failed(error: Exception) -> None:
        errors.append(error)
        server.should_exit = True

    loaders = {name: loader_of(path, plain["device"]) for name, path in named_models(plain).items()}
    service = Service(loaders, limits, batching, keys_of_environment(), failed)
    server = Server(
        uvicorn.Config(
            create_app(service, plain["cors"]),
            log_config=None,
            access_log=False,
            server_header=False,
            ws_max_size=limits.bytes,
            timeout_graceful_shutdown=round(limits.timeout_s) + 1,
        ),
        service,
    )
    listening = listen(plain["host"], plain["port"])
    _log_json()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises a signal again once it has ended: that is no failure
    log.info("listening", extra={"host": plain["host"], "port": plain["port"]})
    server.run([listening])
    if errors:
        raise errors[0]


def named_models(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the paths of the models by their names.

    Raises:
        ConfigError: If there is none.
        RunError: If one has no model.

    Example:
        >>> named_models({"model": {"path": None}, "models": None})
        Traceback (most recent call last):
        ser.errors.ConfigError: model must be the folder of a run; got none. Give it: python -m ser.serve model=runs/...
    """
    path = settings["model"]["path"]
    named = {**({} if path is None else {DEFAULT: path}), **(settings["models"] or {})}
    if not named:
        raise ConfigError("model must be the folder of a run; got none. Give it: python -m ser.serve model=runs/...")
    for path in named.values():
        checkpoint_of(path)
    return named


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that takes connections.

    Raises:
        ConfigError: If the address is not one of this machine, or is taken.
    """
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError, TypeError) as error:
        why = getattr(error, "strerror", None) or error
        text = f"host and port must be a free address of this machine; got {host} and {port}: {why}. Set port=8001."
        raise ConfigError(text) from error


def _log_json() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for quiet in ("ser.inference", "python_multipart"):  # they name recordings, and quote requests
        logging.getLogger(quiet).setLevel(logging.ERROR)
