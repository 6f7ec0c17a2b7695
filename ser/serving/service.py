"""`Service`: the models of a server, its limits and its threads; what all routes share."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from starlette.requests import HTTPConnection, Request

from ser.errors import SerError
from ser.inference.decoded import Decoded
from ser.inference.predictor import Predictor
from ser.serving.about import Facts
from ser.serving.access import Allowance, Keys, sent_key
from ser.serving.errors import ServingError
from ser.serving.limits import Batching, Limits
from ser.serving.meters import Meters
from ser.serving.places import Places
from ser.serving.served import Served
from ser.serving.uploads import decode_upload, open_upload, uploaded

log = logging.getLogger(__name__)
Loader = Callable[[], tuple[Predictor, Facts]]
T = TypeVar("T")
DECODERS = 4
"""Threads that decode: libsndfile and soxr run outside Python's lock."""
RETRY_S = 5.0


class Service:
    """What the routes of a server share.

    Args:
        loaders: What loads each model, by its name; the first is the one of requests that name none.
        limits: What is allowed.
        batching: How requests are scored together.
        keys: Who may ask; everybody by default.
        failed: Is told of the error that keeps a model from being loaded.

    Attributes:
        meters: What is counted.
        requests: Places for requests.
        streams: Places for live streams.
        ending: Set when the server ends: streams then tell what they have heard, and close.
    """

    def __init__(
        self,
        loaders: Mapping[str, Loader],
        limits: Limits | None = None,
        batching: Batching | None = None,
        keys: tuple[str, ...] = (),
        failed: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        self.limits, self._batching = limits or Limits(), batching or Batching()
        self.keys, self.allowance, self.meters = Keys(keys), Allowance(self.limits.per_minute), Meters()
        self._loaders, self._failed = loaders, failed
        self._models: dict[str, Served] = {}
        self.requests = Places(self.limits.concurrency, "requests are at work", retry_s=1)
        self.streams = Places(self.limits.streams, "streams are open", RETRY_S, self.meters.streams.set)
        self.ending = asyncio.Event()
        self._decoders = ThreadPoolExecutor(DECODERS, "decode")
        self._windows = ThreadPoolExecutor(1, "segments")
        self.streamers = ThreadPoolExecutor(min(self.limits.streams, DECODERS), "stream")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the models meanwhile; at the end answer what was accepted, and end the threads."""
        loading = asyncio.create_task(self._load())
        try:
            yield
        finally:
            loading.cancel()
            for served in self._models.values():
                await served.close()
            for pool in (self._decoders, self._windows, self.streamers):
                pool.shutdown(cancel_futures=True)

    async def _load(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            for name, load in self._loaders.items():
                began = time.monotonic()
                predictor, facts = await loop.run_in_executor(None, load)
                self._models[name] = Served(name, predictor, facts, self._batching, self.meters)
                gc.collect()
                gc.freeze()  # what was imported and loaded stays: a search through it takes tens of milliseconds
                log.info("loaded", extra={"model": name, "seconds": round(time.monotonic() - began, 3)})
        except Exception as error:
            log.error("not loaded: %s", error, exc_info=not isinstance(error, SerError))
            self._failed(error)

    @property
    def ready(self) -> bool:
        """Whether all models are loaded."""
        return len(self._models) == len(self._loaders)

    def served(self, name: str | None) -> Served:
        """Return a model by its name, or the first.

        Raises:
            ServingError: If there is none of that name, or it is being loaded.
        """
        wanted = next(iter(self._loaders)) if name is None else name
        if wanted not in self._loaders:
            raise ServingError("not_found", f"model must be one of {', '.join(self._loaders)}; got {wanted[:80]!r}.")
        if wanted not in self._models:
            raise ServingError("unavailable", f"The model {wanted} is being loaded. Try again soon.", retry_s=RETRY_S)
        return self._models[wanted]

    def about(self) -> list[dict[str, Any]]:
        """Return what is known of each model.

        Raises:
            ServingError: If one is being loaded.
        """
        return [self.served(name).about() for name in self._loaders]

    def admit(self, connection: HTTPConnection, key: str | None = None) -> None:
        """Check the key of a client, and count its request.

        Raises:
            ServingError: If it may not ask, or not so often.
        """
        client = self.keys.check(key or sent_key(connection.headers))
        self.allowance.take(client or (connection.client.host if connection.client else ""))

    async def predict(self, request: Request, served: Served) -> dict[str, Any]:
        """Answer a request with a recording; see `ser.serving.answers.Prediction`."""

        async def work(content: bytes) -> dict[str, Any]:
            decode = partial(decode_upload, content, served.predictor.scorer.audio, self.limits)
            recording: Decoded = await asyncio.get_running_loop().run_in_executor(self._decoders, decode)
            self.meters.audio.inc(recording.seconds)
            return await served.predict(recording)

        return await self._answered(request, work)

    async def segments(
        self, request: Request, served: Served, window: float, hop: float, speech: bool
    ) -> dict[str, Any]:
        """Answer a request with a recording over time; see `ser.serving.answers.Segments`."""

        def score(content: bytes) -> dict[str, Any]:
            with open_upload(content, self.limits) as (path, recording):
                if (seconds := recording.frames / recording.rate) / hop > self.limits.windows:
                    least = seconds / self.limits.windows
                    text = f"hop must be at least {least:.2f} s for a recording of {seconds:.1f} s; got {hop:g}."
                    raise ServingError("invalid", text)
                self.meters.audio.inc(seconds)
                return served.segments(path, window, hop, speech)

        async def work(content: bytes) -> dict[str, Any]:
            return await asyncio.get_running_loop().run_in_executor(self._windows, score, content)

        return await self._answered(request, work)

    async def _answered(self, request: Request, work: Callable[[bytes], Coroutine[Any, Any, T]]) -> T:
        try:
            async with asyncio.timeout(self.limits.timeout_s):
                content = await uploaded(request, self.limits.bytes)
                return await _unless_gone(request, work(content))
        except TimeoutError:
            text = f"An answer must take at most {self.limits.timeout_s:g} s; got none. Send less, or try again."
            raise ServingError("timeout", text) from None


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of some work, and stop it if the client leaves, or the time is over."""
    answer, gone = asyncio.create_task(work), asyncio.create_task(_left(request))
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise ServingError("client_left", "The client left before it was answered.")
        return answer.result()
    finally:
        answer.cancel()
        gone.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
