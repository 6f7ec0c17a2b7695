"""Whether broken input harms a server: thousands of broken requests and streams, their answers, and what the server uses.

    python benchmarks/malformed.py                        10,000 requests and 10,000 streams
    python benchmarks/malformed.py --number 100           a dry run

The input is that of `benchmarks/broken.py`, the same for a seed. Prints how often each status and each code of a stream's
end was met, and the server's memory, threads and temporary files after the first hundred, half-way and at the end; exits with
1 where a status is 500 or more, a stream ends by a fault of the server, files are left, or threads are. Needs Linux.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TypeVar

import httpx
from broken import Body, Talk, bodies, talks
from rich.console import Console
from rich.table import Table
from server import Running, Usage, running
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

T = TypeVar("T")
REQUESTS, STREAMS = 16, 8
"""At a time; as many streams as a server takes."""
LEFT = "the client left"
MOST_THREADS = 40
"""Of a server: its pools fill up as they are needed, and PyTorch adds helpers to each thread that scores; a thread left by
one client in a thousand is more."""
WARM = 100
"""Requests and streams before the first look at what the server uses."""


async def ask(session: httpx.AsyncClient, body: Body) -> str:
    """Send a request, and return its status."""
    if body.sent == len(body.content):
        answer = await session.post(body.path, content=body.content, headers={"Content-Type": body.kind})
        return str(answer.status_code)
    _, writer = await asyncio.open_connection(session.base_url.host, session.base_url.port)
    head = (
        f"POST {body.path} HTTP/1.1\r\nHost: x\r\nContent-Type: {body.kind}\r\nContent-Length: {len(body.content)}\r\n"
    )
    writer.write(f"{head}\r\n".encode() + body.content[: body.sent])
    with suppress(ConnectionError):
        await writer.drain()
    writer.close()
    return LEFT


async def talk(server: Running, said: Talk) -> str:
    """Send a stream, and return the code with which the server closed it."""
    async with connect(f"ws://{server.address}/v1/stream") as stream:
        with suppress(ConnectionClosed):
            for message in said.messages:
                await stream.send(message)
            if said.leaves:
                stream.transport.abort()
                return LEFT
            await stream.send("stop")
            while True:
                await stream.recv()
        return str(stream.close_code)


async def each(given: Iterator[T], answer: Callable[[T], Awaitable[str]], number: int) -> Counter[str]:
    """Return how often each answer was given, so many at a time."""
    found: Counter[str] = Counter()

    async def work() -> None:
        for one in given:
            found[await answer(one)] += 1

    await asyncio.gather(*(work() for _ in range(number)))
    return found


async def send(server: Running, number: int, seed: int) -> tuple[Counter[str], Counter[str], list[Usage]]:
    """Send all, and return the statuses, the codes, and what the server uses."""
    requests, streams = bodies(seed, WARM + number), talks(seed, WARM + number)
    statuses: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    usage = []
    async with httpx.AsyncClient(base_url=f"http://{server.address}", timeout=120) as session:
        for part in (WARM, number // 2, number - number // 2):
            statuses += await each(islice(requests, part), lambda body: ask(session, body), REQUESTS)
            codes += await each(islice(streams, part), lambda said: talk(server, said), STREAMS)
            await settled(session)
            usage.append(server.usage())
    return statuses, codes, usage


async def settled(session: httpx.AsyncClient) -> None:
    """Wait until nothing is at work, a minute at most."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        lines = (await session.get("/metrics")).text.splitlines()
        if not sum(float(line.split()[-1]) for line in lines if line.startswith(("ser_streams ", "ser_queue{"))):
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)  # for recordings that are being decoded


def main() -> None:
    """Send and print."""
    parser = argparse.ArgumentParser(description="Send broken input to a server.")
    parser.add_argument("model", nargs="?", help="a run, or a checkpoint; an untrained CNN by default")
    parser.add_argument("--number", type=int, default=10_000, help="of requests, and of streams")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with running(asked.model) as server:
        statuses, codes, usage = asyncio.run(send(server, asked.number, asked.seed))
    console = Console()
    for name, found in (("status", statuses), ("code of a stream's end", codes)):
        table = Table(name, "times")
        for answer, times in sorted(found.items()):
            table.add_row(answer, str(times))
        console.print(table)
    table = Table("the server's", f"after {WARM}", "half-way", "at the end")
    for name, values in zip(("memory, MB", "threads", "temporary files"), zip(*usage, strict=True), strict=True):
        table.add_row(name, *(f"{value:.0f}" for value in values))
    console.print(table)
    faults = sum(times for status, times in statuses.items() if status.isdecimal() and int(status) >= 500)
    left = usage[-1].files or usage[-1].threads > MOST_THREADS
    sys.exit(1 if faults or codes["1011"] or left else 0)


if __name__ == "__main__":
    main()
