"""The route of live streams: samples in, events out; ``ser/serving/asyncapi.yaml`` describes its messages."""

import asyncio
import json
import logging
import time
from contextlib import suppress
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from ser.audio.checks import RATES
from ser.errors import AudioError, SerError
from ser.inference.plain import event_of
from ser.inference.segments import SHORTEST_S
from ser.inference.stream import Stream
from ser.inference.windows import LONG_S
from ser.serving.errors import FAULT, ServingError
from ser.serving.served import Served
from ser.serving.service import Service

log = logging.getLogger(__name__)
CODES = {"too_large": 1009, "internal": 1011, "unavailable": 1013, "queue_full": 1013, "too_many_requests": 1013}
"""Codes with which a stream is closed after an error; 1008, a rule that was broken, is that of all others."""
BEHIND_S = 1.0
"""How far the answers are behind what was said when a client is told, and again for each such step."""
DONE, ENDING = 1000, 1012
"""Codes of a stream that its client has ended, and of one that ends because the server does."""


class Begin(BaseModel):
    """The first message of a stream, or its query."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["start"] = "start"
    rate: float = Field(ge=RATES[0], le=RATES[1], allow_inf_nan=False)
    window: float = Field(3.0, ge=SHORTEST_S, le=LONG_S, allow_inf_nan=False)
    hop: float = Field(0.5, ge=SHORTEST_S, le=LONG_S, allow_inf_nan=False)
    detector: Literal["energy", "speech"] = "energy"
    model: str | None = None
    key: str | None = None


async def live(socket: WebSocket, service: Service, cors: tuple[str, ...]) -> None:
    """Answer a live stream until it ends, or breaks a rule; every error is told before the stream is closed."""
    await socket.accept()
    try:
        await socket.close(await _answered(socket, service, cors))
    except WebSocketDisconnect:
        return
    except Exception as error:
        failed = _translated(error, service)
        if failed.kind == "internal":
            log.exception("failed")
        with suppress(WebSocketDisconnect):
            await socket.send_json({"type": "error", **failed.plain()})
            await socket.close(CODES.get(failed.kind, 1008))


async def _answered(socket: WebSocket, service: Service, cors: tuple[str, ...]) -> int:
    """Answer a stream, and return the code to close it with."""
    _check_origin(socket, cors)
    begin = await _begin(socket, service)
    service.admit(socket, begin.key)
    served = service.served(begin.model)
    with service.streams.held():
        stream = served.predictor.stream(begin.rate, window=begin.window, hop=begin.hop, detector=begin.detector)
        await socket.send_json({"type": "ready", **served.named(), "rate": begin.rate})
        async with asyncio.timeout(service.limits.stream_s):
            return await _talk(socket, service, served, stream, _Pace(begin.rate))


async def _begin(socket: WebSocket, service: Service) -> Begin:
    given: Any = dict(socket.query_params)
    if "rate" not in given:
        message = await _next(socket, service)
        given = _object(message.get("text"))
    try:
        return Begin.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"])) or "start"
        raise ServingError("invalid", f'{name}: {first["msg"]}. Send {{"type": "start", "rate": 16000}}.') from None


class _Pace:
    """Whether samples are scored as fast as they would be spoken; what waits is not heard of otherwise."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._told = self._behind_s = 0.0

    def behind(self, samples: int, taken_s: float) -> float | None:
        """Return how many seconds the answers are late, each time that it is a second more than before."""
        self._behind_s = max(0.0, self._behind_s + taken_s - samples / self._rate)
        self._told = min(self._told, self._behind_s)
        if self._behind_s < self._told + BEHIND_S:
            return None
        self._told = self._behind_s
        return round(self._behind_s, 1)


async def _talk(socket: WebSocket, service: Service, served: Served, stream: Stream, pace: _Pace) -> int:
    loop = asyncio.get_running_loop()
    code: int | None = None
    while code is None:
        heard = 0
        message = await _next_unless_ending(socket, service)
        if message is None:
            code, work = ENDING, partial(stream.close)
        elif (content := message.get("bytes")) is not None:
            samples = _samples(content, service)
            heard, work = len(samples), partial(stream.feed, samples)
        elif _object(message.get("text")).get("type") == "end":
            code, work = DONE, partial(stream.close)
        else:
            raise ServingError("invalid", 'A message must be samples, or {"type": "end"}; got another one.')
        began = time.monotonic()
        for event in await loop.run_in_executor(service.streamers, work):
            await socket.send_json(event_of(event, served.predictor.scorer))
        if (late := pace.behind(heard, time.monotonic() - began)) is not None:
            await socket.send_json({"type": "behind", "seconds": late})
    return code


async def _next_unless_ending(socket: WebSocket, service: Service) -> dict[str, Any] | None:
    """Return the next message; ``None`` if the server ends first."""
    message, ending = asyncio.create_task(_next(socket, service)), asyncio.create_task(service.ending.wait())
    try:
        await asyncio.wait({message, ending}, return_when=asyncio.FIRST_COMPLETED)
        return message.result() if message.done() else None
    finally:
        message.cancel()
        ending.cancel()


async def _next(socket: WebSocket, service: Service) -> dict[str, Any]:
    async with asyncio.timeout(service.limits.idle_s):
        message = dict(await socket.receive())
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", DONE))
    return message


def _samples(content: bytes, service: Service) -> np.ndarray:
    if len(content) % 2:
        text = f"Samples must be integers of 16 bits, little-endian; got {len(content)} bytes, which is odd."
        raise ServingError("bad_audio", text)
    if len(content) > service.limits.bytes:
        raise ServingError(
            "too_large", f"A message must have at most {service.limits.bytes} bytes; got {len(content)}."
        )
    return np.frombuffer(content, "<i2")


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ServingError("invalid", 'A message of text must be an object of JSON, such as {"type": "end"}.')
    return found


def _check_origin(socket: WebSocket, cors: tuple[str, ...]) -> None:
    """Refuse pages of other sites: a browser lets any page open a WebSocket."""
    origin = socket.headers.get("origin")
    if origin is None or origin in cors or "*" in cors or urlsplit(origin).netloc == socket.headers.get("host"):
        return
    raise ServingError("forbidden", f"The page must be of this server, or named in cors; got one of {origin[:80]}.")


def _translated(error: Exception, service: Service) -> ServingError:
    if isinstance(error, ServingError):
        return error
    if isinstance(error, TimeoutError):
        limits = service.limits
        text = f"A stream must send something every {limits.idle_s:g} s, and last at most {limits.stream_s:g} s."
        return ServingError("timeout", text)
    if isinstance(error, SerError):
        return ServingError("bad_audio" if isinstance(error, AudioError) else "invalid", str(error))
    return ServingError("internal", FAULT)
