"""Five times more requests than the service can answer: what it still answers, and how it refuses the rest.

``python -m benchmarks.overload [SECONDS]`` starts a service of its own. Open loop: a request is sent when it
is due, whatever became of those before it, as strangers on the internet do.
"""

from __future__ import annotations

import asyncio
import json
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from benchmarks.load import measure
from benchmarks.service import PORT, Service

TIMES, CONNECTIONS, CLOSED = 5, 512, 64
RESULTS = Path(__file__).parent / "results" / "overload.json"


class Seen(NamedTuple):
    """One answer; status 0 when the connection broke."""

    at: float
    status: int
    ms: float


def path(number: int) -> str:
    """Of the n-th request."""
    return f"/v1/users/u{number % 1000}/recommendations?k=10"


async def _open_loop(per_s: float, seconds: float) -> tuple[list[Seen], int]:
    """Answers, and how many requests found no free connection of ours."""
    seen: list[Seen] = []
    free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        free.put_nowait(await asyncio.open_connection("127.0.0.1", PORT))
    unsent = sent = 0
    running: set[asyncio.Task[None]] = set()
    begin = time.perf_counter()
    while (now := time.perf_counter() - begin) < seconds:
        while sent + unsent < now * per_s:
            if free.empty():
                unsent += 1
                continue
            task = asyncio.create_task(_ask(free, path(sent), seen))
            running.add(task)
            task.add_done_callback(running.discard)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*running)
    while not free.empty():
        free.get_nowait()[1].close()
    return seen, unsent


async def _ask(free: asyncio.LifoQueue, target: str, seen: list[Seen]) -> None:  # type: ignore[type-arg]
    reader, writer = free.get_nowait()
    begin = time.perf_counter()
    status = 0
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        length = head.partition(b"content-length:")[2].partition(b"\r")[0]
        await reader.readexactly(int(length or 0))
    except (OSError, asyncio.IncompleteReadError):
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    seen.append(Seen(time.perf_counter(), status, (time.perf_counter() - begin) * 1e3))
    free.put_nowait((reader, writer))


def _percentiles(seen: list[Seen]) -> dict[str, float]:
    if len(seen) < 2:
        return {}
    cuts = statistics.quantiles([each.ms for each in seen], n=100)
    return {"p50_ms": round(cuts[49], 1), "p99_ms": round(cuts[98], 1)}


def run(seconds: float) -> dict[str, object]:
    """Measure against the service on this port."""
    measure(PORT, path, CLOSED, 3)  # warm
    before = measure(PORT, path, CLOSED, 5)
    quiet = measure(PORT, path, 4, 3)
    seen, unsent = asyncio.run(_open_loop(TIMES * before.requests_per_s, seconds))
    after = [measure(PORT, path, 4, 1) for _ in range(5)]
    good = [each for each in seen if each.status == 200]
    refused = [each for each in seen if each.status == 503]
    back_s = next((n for n, each in enumerate(after) if each.p50_ms < 2 * quiet.p50_ms and not each.failed), None)
    return {
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "capacity_per_s": round(before.requests_per_s),
        "quiet_p99_ms": round(quiet.p99_ms, 1),
        "offered_per_s": round(TIMES * before.requests_per_s),
        "seconds": seconds,
        "statuses": dict(Counter(each.status for each in seen)),
        "no_free_connection": unsent,
        "goodput": round(len(good) / seconds / before.requests_per_s, 3),
        "answered": _percentiles(good),
        "refused": _percentiles(refused),
        "normal_again_after_s": back_s,
    }


def main() -> None:
    """Start a service, overload it, write down what was seen."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    args = {"dataset": "synthetic?n_users=1000&n_items=1000", "training": {"incremental_every_s": None}}
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), args):
        found = run(seconds)
    print(json.dumps(found, indent=2))
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
