"""How much a server answers, and how soon: with and without batches in one run, and the time to a stream's measurement.

    python benchmarks/serving.py                              an untrained CNN; 64 clients, for a minute each way
    python benchmarks/serving.py runs/<name>                  a model of one's own
    python benchmarks/serving.py --seconds 5 --clients 4      a dry run

The server runs in a process of its own, and the clients, in this one, share the machine with it. Each sends clips of the
demo corpus, the next one as soon as it has an answer; one that is refused with 429 waits as long as the answer says. Memory
is the server's: before the first request, half-way and at the end. The stream is sent in chunks of 20 ms as a microphone
would, and is measured every 0.1 s; the time is from the last sample of a window to its measurement. Needs Linux.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from itertools import cycle, islice
from typing import NamedTuple

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table
from server import Running, Usage, running
from websockets.asyncio.client import connect

from ser.audio.decode import read_audio
from ser.corpora.demo import Demo

RATE, CHUNK_S = 16000, 0.02
SHARES = (0.5, 0.95, 0.99)
WAYS: dict[str, tuple[str, ...]] = {"batches": (), "one by one": ("batching.size=1", "batching.delay_ms=0")}
"""By name: settings of the server."""


class Load(NamedTuple):
    """What some clients met.

    Attributes:
        seconds: Until the last had its answer.
        taken: Seconds of each request that was answered.
        statuses: How often each status was met; in place of one the error that kept a request from an answer.
        usage: Of the server before, half-way and at the end.
    """

    seconds: float
    taken: list[float]
    statuses: Counter[str]
    usage: list[Usage]


async def load(server: Running, clients: int, seconds: float) -> Load:
    """Send clips for some seconds."""
    clips = [utterance.path.read_bytes() for utterance in Demo().utterances()]
    taken: list[float] = []
    statuses: Counter[str] = Counter()
    usage = [server.usage()]
    began = time.perf_counter()

    async def client(number: int) -> None:
        # A connection of its own: a pool that 64 tasks share closes some under them.
        async with httpx.AsyncClient(base_url=f"http://{server.address}", timeout=120) as session:
            for clip in islice(cycle(clips), 7 * number, None):
                sent = time.perf_counter()
                if sent - began >= seconds:
                    return
                try:
                    answer = await session.post("/v1/predict", content=clip, headers={"Content-Type": "audio/ogg"})
                except httpx.TransportError as error:
                    statuses[type(error).__name__] += 1
                    continue
                statuses[str(answer.status_code)] += 1
                if answer.status_code == 200:
                    taken.append(time.perf_counter() - sent)
                elif answer.status_code == 429:
                    await asyncio.sleep(float(answer.headers["Retry-After"]))

    async def half_way() -> None:
        await asyncio.sleep(seconds / 2)
        usage.append(server.usage())

    await asyncio.gather(half_way(), *(client(number) for number in range(clients)))
    return Load(time.perf_counter() - began, taken, statuses, [*usage, server.usage()])


async def measurements(server: Running, seconds: float) -> list[float]:
    """Return the seconds from the last sample of each window of a stream to its measurement."""
    heard = np.concatenate([read_audio(utterance.path)[0] for utterance in list(Demo().utterances())[:40]])
    samples = np.rint(32767 * np.resize(heard, round(seconds * RATE))).astype("<i2")
    chunks = np.split(samples, range(round(CHUNK_S * RATE), len(samples), round(CHUNK_S * RATE)))
    sent: list[float] = []
    taken: list[float] = []
    async with connect(f"ws://{server.address}/v1/stream?rate={RATE}&hop=0.1") as stream:

        async def talk() -> None:
            began = time.perf_counter()
            for at, chunk in enumerate(chunks):
                await asyncio.sleep(max(0.0, began + at * CHUNK_S - time.perf_counter()))
                sent.append(time.perf_counter())
                await stream.send(chunk.tobytes())
            await stream.send('{"type": "end"}')

        talking = asyncio.create_task(talk())
        async for message in stream:
            event = json.loads(message)
            if event["type"] == "measurement":
                taken.append(time.perf_counter() - sent[round(event["end"] / CHUNK_S) - 1])
        await talking
    return taken


def milliseconds(taken: list[float]) -> list[str]:
    """Return the quantiles `SHARES`."""
    return [f"{1000 * value:.0f}" for value in np.quantile(taken, SHARES)] if taken else ["-"] * len(SHARES)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure a server under load.")
    parser.add_argument("model", nargs="?", help="a run, or a checkpoint; an untrained CNN by default")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each way, and of the stream")
    parser.add_argument("--clients", type=int, default=64)
    asked = parser.parse_args()
    quantiles = [f"{share:.0%} within, ms" for share in SHARES]
    table = Table("scored", "answers a second", *quantiles, "statuses", "memory of the server, MB")
    rates = []
    for name, settings in WAYS.items():
        with running(asked.model, *settings) as server:
            found = asyncio.run(load(server, asked.clients, asked.seconds))
        rates.append(len(found.taken) / found.seconds)
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(found.statuses.items()))
        memory = ", ".join(f"{usage.megabytes:.0f}" for usage in found.usage)
        table.add_row(name, f"{rates[-1]:.1f}", *milliseconds(found.taken), statuses, memory)
    with running(asked.model) as server:
        taken = asyncio.run(measurements(server, asked.seconds))
    stream = Table("stream", *quantiles)
    stream.add_row(f"{len(taken)} measurements", *milliseconds(taken))
    console = Console()
    console.print(table, f"With batches {rates[0] / rates[1]:.2f} times as many; {asked.clients} clients.", stream)


if __name__ == "__main__":
    main()
