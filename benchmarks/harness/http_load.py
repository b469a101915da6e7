"""Load over keep-alive connections, light enough to leave the processor to the service."""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Load(NamedTuple):
    """What a load saw."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    failed: int


def measure(
    port: int, path: Callable[[int], str], connections: int, seconds: float, per_s: float | None = None
) -> Load:
    """Ask for `path(n)`, n counting up, over some connections for some time.

    With `per_s` at that rate, and a time counts from when its request was due; without as fast as answers come. Each
    connection is opened and has had an answer before the time begins.
    """
    gc.collect()
    gc.disable()  # a collection of the client's would count as the service's slowness
    try:
        return asyncio.run(_measure(port, path, connections, seconds, per_s))
    finally:
        gc.enable()


async def _measure(
    port: int, path: Callable[[int], str], connections: int, seconds: float, per_s: float | None
) -> Load:
    times: list[float] = []
    failed = 0

    async def client(number: int, link: Link) -> None:
        nonlocal failed
        turn = number
        while (begin := start + (turn + 1) / per_s if per_s else time.perf_counter()) < end:
            if per_s:
                await asyncio.sleep(max(0.0, begin - time.perf_counter()))
            status = await _asked(link, path(turn))
            times.append(time.perf_counter() - begin)
            failed += status != 200
            turn += connections

    links = [await asyncio.open_connection("127.0.0.1", port) for _ in range(connections)]
    await asyncio.gather(*(_asked(link, path(number)) for number, link in enumerate(links)))
    start = time.perf_counter()
    end = start + seconds
    await asyncio.gather(*(client(number, link) for number, link in enumerate(links)))
    elapsed = time.perf_counter() - start
    for _, writer in links:
        writer.close()
    cuts = statistics.quantiles(times, n=100)
    return Load(len(times) / elapsed, cuts[49] * 1e3, cuts[98] * 1e3, failed)


async def _asked(link: Link, path: str) -> int:
    """Status of the answer."""
    reader, writer = link
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
    await reader.readexactly(length)
    return int(lines[0].split()[1])
