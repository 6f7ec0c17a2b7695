"""`Batcher`: full batches, a bounded wait and queue, and items that fail or are given up alone."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from ser.errors import ConfigError
from ser.serving.batcher import Batcher
from ser.serving.errors import ServingError
from ser.serving.limits import Batching, Limits

LONG_MS = 60_000.0


class Recorder:
    """A model that doubles numbers, and keeps the batches that it was given; it can be held, and refuses 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.free.wait(60)
        self.batches.append(list(items))
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))  # type: ignore[arg-type]


def test_a_full_batch_does_not_wait() -> None:
    async def full() -> None:
        model = Recorder()
        batcher = Batcher(model, Batching(size=3, delay_ms=LONG_MS))
        answers = await asyncio.gather(*(batcher.answer(item) for item in range(6)))
        assert answers == [0, 2, 4, 6, 8, 10]
        assert model.batches == [[0, 1, 2], [3, 4, 5]]
        await batcher.close()

    run(full)


def test_a_single_item_waits_no_longer_than_the_delay() -> None:
    async def single() -> None:
        sizes: list[int] = []
        batcher = Batcher(Recorder(), Batching(size=3, delay_ms=1), sizes.append)
        assert await batcher.answer(4) == 8
        assert sizes == [1]
        await batcher.close()

    run(single)


def test_a_full_queue_refuses_at_once() -> None:
    async def full() -> None:
        model = Recorder()
        model.free.clear()
        batcher = Batcher(model, Batching(size=1, delay_ms=0, queue=2))
        accepted = [asyncio.create_task(batcher.answer(item)) for item in range(1)]
        await asyncio.sleep(0.05)  # the first is with the model
        accepted += [asyncio.create_task(batcher.answer(item)) for item in (1, 2)]
        await asyncio.sleep(0)
        assert batcher.waiting() == 2
        with pytest.raises(ServingError, match="2 recordings are waiting") as refused:
            await batcher.answer(3)
        assert refused.value.headers["Retry-After"].isdecimal()
        model.free.set()
        assert await asyncio.gather(*accepted) == [0, 2, 4]
        await batcher.close()

    run(full)


def test_items_of_clients_that_left_are_not_scored() -> None:
    async def left() -> None:
        model = Recorder()
        model.free.clear()
        batcher = Batcher(model, Batching(size=1, delay_ms=0))
        tasks = [asyncio.create_task(batcher.answer(item)) for item in (0, 1, 2)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()  # it is being scored
        tasks[1].cancel()
        model.free.set()
        assert await tasks[2] == 4
        assert model.batches == [[0], [2]]
        await batcher.close()

    run(left)


def test_an_item_fails_alone() -> None:
    async def failing() -> None:
        batcher = Batcher(Recorder(), Batching(size=3, delay_ms=LONG_MS))
        answers = await asyncio.gather(*(batcher.answer(item) for item in (1, 13, 2)), return_exceptions=True)
        assert answers[::2] == [2, 4]
        assert isinstance(answers[1], ValueError)
        await batcher.close()

    run(failing)


def test_closing_answers_what_was_accepted_and_refuses_more() -> None:
    async def closing() -> None:
        model = Recorder()
        model.free.clear()
        batcher = Batcher(model, Batching(size=2, delay_ms=0))
        accepted = [asyncio.create_task(batcher.answer(item)) for item in range(5)]
        await asyncio.sleep(0.05)
        closed = asyncio.create_task(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(ServingError, match="shutting down"):
            await batcher.answer(9)
        model.free.set()
        await closed
        assert await asyncio.gather(*accepted) == [0, 2, 4, 6, 8]

    run(closing)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Batching(size=0), r"batching\.size must be a number of 1 or more; got 0"),
        (lambda: Batching(delay_ms=-1), r"batching\.delay_ms must be a number of 0 or more"),
        (lambda: Limits(bytes=None), r"limits\.bytes must be a number"),  # type: ignore[arg-type]
        (lambda: Limits(streams=1.5), r"limits\.streams must be a whole number"),  # type: ignore[arg-type]
        (lambda: Limits(seconds=float("nan")), r"limits\.seconds must be a number of 0\.1"),
        (lambda: Limits(per_minute=0), r"limits\.per_minute must be a number of 1"),
    ],
)
def test_impossible_limits_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()
    assert Limits(per_minute=None).per_minute is None
