"""The routes of a server; each is a few lines around `ser.serving.service.Service`."""

import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse, Response
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ser.errors import SerError
from ser.inference.segments import SHORTEST_S
from ser.inference.windows import LONG_S
from ser.serving.answers import Failed, Model, Prediction, Segments
from ser.serving.errors import FAULT, STATUS, ServingError
from ser.serving.live import live
from ser.serving.service import Service
from ser.serving.uploads import FILE, FORM, TYPES

log = logging.getLogger(__name__)
HERE = Path(__file__).parent
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' blob:; "
    "connect-src 'self'; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""The page takes nothing from other hosts, and sends nothing to them."""
KINDS = {404: "not_found", 405: "method_not_allowed"}
BODY = {
    "requestBody": {
        "required": True,
        "description": f"A recording in any format, rate and number of channels: {TYPES}.",
        "content": {
            FORM: {
                "schema": {
                    "type": "object",
                    "required": [FILE],
                    "properties": {FILE: {"type": "string", "format": "binary"}},
                }
            },
            "audio/*": {"schema": {"type": "string", "format": "binary"}},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}
"""What FastAPI cannot read from a signature."""
MESSAGES = {
    400: ("bad_audio", "unreadable: Format not recognised."),
    401: ("unauthorized", "A key must be sent as Authorization: Bearer <key>, ..."),
    404: ("not_found", "model must be one of default; got 'other'."),
    413: ("too_large", "A request must have at most 25000000 bytes; got more. Send a shorter recording."),
    415: ("unsupported", f"Content-Type must be {TYPES}; got text/plain."),
    422: ("invalid", "window must be at least 0.1; got 0."),
    429: ("queue_full", "64 recordings are waiting, which is the most. Try again later."),
    503: ("unavailable", "The model default is being loaded. Try again soon."),
    504: ("timeout", "An answer must take at most 30 s; got none. Send less, or try again."),
}
Name = Annotated[str | None, Query(alias="model", description="A model of /v1/models; the first by default.")]
Speech = Annotated[bool, Query(description="Whether windows in which nobody speaks are left without an answer.")]
Seconds = Annotated[float, Query(ge=SHORTEST_S, le=LONG_S, allow_inf_nan=False)]


def create_app(service: Service, cors: Sequence[str] = ()) -> FastAPI:
    """Return the application of a server.

    Args:
        service: Its models and limits.
        cors: Origins of other sites whose pages may ask, such as ``https://example.org``; none by default.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="ser",
        summary="Emotions in recordings of speech.",
        version=version("ser"),
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from other hosts
        redoc_url=None,
    )
    _add_failures(app)
    _add_routes(app, service)
    _add_pages(app, service, tuple(cors))
    if cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type"],
        )
    app.add_middleware(_Observed, service=service)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    locks = [Depends(HTTPBearer(auto_error=False)), Depends(APIKeyHeader(name="X-API-Key", auto_error=False))]

    async def admitted(request: Request) -> AsyncIterator[None]:
        service.admit(request)
        with service.requests.held():
            yield

    async def known(request: Request) -> None:  # not in a thread
        service.admit(request)

    for_work: dict[str, Any] = {
        "dependencies": [*locks, Depends(admitted)],
        "openapi_extra": BODY,
        "responses": _responses(*MESSAGES),
        "response_model_exclude_unset": True,
    }

    @app.get("/health", tags=["state"])
    async def health() -> dict[str, str]:
        """Say that the process runs."""
        return {"status": "ok"}

    @app.get("/ready", tags=["state"], responses=_responses(503))
    async def ready() -> dict[str, str]:
        """Say that all models are loaded."""
        service.about()
        return {"status": "ready"}

    @app.get("/metrics", tags=["state"], dependencies=[*locks, Depends(known)], responses=_responses(401, 429))
    async def metrics() -> Response:
        """Return what was counted, for Prometheus."""
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models", tags=["models"], dependencies=[*locks, Depends(known)], responses=_responses(401, 429, 503))
    async def models() -> list[Model]:
        """Return the models, what they were trained on, and what they are not for."""
        return [Model(**about) for about in service.about()]

    @app.post("/v1/predict", tags=["models"], response_model=Prediction, **for_work)
    async def predict(request: Request, name: Name = None) -> dict[str, Any]:
        """Return the emotion, or the numbers, of a recording."""
        return await service.predict(request, service.served(name))

    @app.post("/v1/segments", tags=["models"], response_model=Segments, **for_work)
    async def segments(
        request: Request, name: Name = None, window: Seconds = 3.0, hop: Seconds = 0.5, speech: Speech = False
    ) -> dict[str, Any]:
        """Return what the model says of a recording over time."""
        if hop > window:
            raise ServingError("invalid", f"hop must be at most window, {window:g} s; got {hop:g}.")
        return await service.segments(request, service.served(name), window, hop, speech)


def _add_pages(app: FastAPI, service: Service, cors: tuple[str, ...]) -> None:
    """Add what OpenAPI does not describe."""

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        await live(socket, service, cors)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(HERE.joinpath("page.html").read_text("utf-8"), media_type="text/html", headers=PAGE_HEADERS)

    @app.get("/asyncapi.yaml", include_in_schema=False)
    async def asyncapi() -> Response:
        return Response(HERE.joinpath("asyncapi.yaml").read_text("utf-8"), media_type="application/yaml")


def _responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of errors, with examples."""
    found: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        kind, message = MESSAGES[status]
        example = ServingError(kind, message).plain()
        words = ", ".join(word for word, of in STATUS.items() if of == status)
        found[status] = {"model": Failed, "description": words, "content": {"application/json": {"example": example}}}
    return found


def _add_failures(app: FastAPI) -> None:
    async def failure(_: Request, error: Exception) -> Response:
        found = error if isinstance(error, ServingError) else _translated(error)
        headers = {**(getattr(error, "headers", None) or {}), **found.headers}
        return JSONResponse(found.plain(), found.status, headers)

    for kind in (ServingError, SerError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, failure)


def _translated(error: Exception) -> ServingError:
    """Return the error of a server that another error stands for."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:]) or "request"
        return ServingError("invalid", f"{where}: {first['msg']}; got {str(first.get('input'))[:80]!r}.")
    if isinstance(error, HTTPException):
        kind = KINDS.get(error.status_code, "bad_request")
        return ServingError(kind, f"{error.detail}. See /openapi.json for what there is.")
    if isinstance(error, SerError):
        return ServingError("invalid", str(error))
    return ServingError("internal", FAULT)


class _Observed:
    """Count and log every request: when, what route, what status, how long; no name, no address, no audio."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._meters = app, service.meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, observed)
        finally:
            taken, route = time.monotonic() - began, getattr(scope.get("route"), "path", "other")
            self._meters.requests.labels(route, scope["method"], status).inc()
            self._meters.seconds.labels(route).observe(taken)
            facts = {"method": scope["method"], "route": route, "status": status, "ms": round(1000 * taken, 1)}
            log.info("request", extra=facts)
