"""`Batcher`: scores what many clients send at the same time in batches, in one thread, in the order of arrival."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Generic, NamedTuple, TypeVar

from ser.serving.errors import ServingError
from ser.serving.limits import Batching

T = TypeVar("T")
R = TypeVar("R")
SMOOTHING = 0.2
"""Weight of a batch in the mean time of an item, from which the time to wait is estimated."""


class _Job(NamedTuple, Generic[T, R]):
    item: T
    answer: "asyncio.Future[R]"


class Batcher(Generic[T, R]):
    """A queue of items, and the thread that scores them.

    A batch begins when its first item arrives, and is scored when it is full or ``delay_ms`` later. Items whose client left
    are dropped before they are scored. Where a batch fails, its items are scored one by one, so that one of them fails alone.

    Args:
        score: Returns the answer of each item of a batch.
        settings: How many, and how long.
        scored: Is told the size of every batch.
    """

    def __init__(
        self,
        score: Callable[[Sequence[T]], Sequence[R]],
        settings: Batching,
        scored: Callable[[int], object] = lambda _: None,
    ) -> None:
        self._score, self._settings, self._scored = score, settings, scored
        self._queue: asyncio.Queue[_Job[T, R]] = asyncio.Queue(settings.queue)
        self._thread = ThreadPoolExecutor(1, "score")
        self._item_s = 0.0
        self._closing = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def waiting(self) -> int:
        """Return the number of items in the queue."""
        return self._queue.qsize()

    async def answer(self, item: T) -> R:
        """Return the answer of an item; if the caller is cancelled before it is scored, it is not scored.

        Raises:
            ServingError: If the queue is full, or the batcher is closed.
        """
        if self._closing:
            raise ServingError("unavailable", "The server is shutting down.", retry_s=5)
        job = _Job[T, R](item, asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            text = f"{self._settings.queue} recordings are waiting, which is the most. Try again later."
            raise ServingError("queue_full", text, retry_s=self._item_s * self._settings.queue) from None
        return await job.answer

    async def close(self) -> None:
        """Score what is waiting, refuse what comes, and end the thread."""
        self._closing = True
        await self._queue.join()
        self._task.cancel()
        self._thread.shutdown()

    async def _run(self) -> None:
        while True:
            batch = await self._next()
            await self._answer([job for job in batch if not job.answer.done()])
            for _ in batch:
                self._queue.task_done()

    async def _next(self) -> list[_Job[T, R]]:
        batch = [await self._queue.get()]
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.delay_ms / 1000):
                while len(batch) < self._settings.size:
                    batch.append(await self._queue.get())
        return batch

    async def _answer(self, batch: Sequence[_Job[T, R]]) -> None:
        if not batch:
            return
        began, items = time.monotonic(), [job.item for job in batch]
        try:
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._score, items)
            answered = list(zip(batch, answers, strict=True))
        except Exception as error:
            if len(batch) > 1:
                for job in batch:
                    await self._answer([job])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        self._scored(len(batch))
        self._item_s += SMOOTHING * ((time.monotonic() - began) / len(batch) - self._item_s)
        for job, answer in answered:
            if not job.answer.done():  # its client may have left meanwhile
                job.answer.set_result(answer)
