"""Replicas, latency and failures while the load rises, stays, bursts and falls.

``python -m benchmarks.service.autoscaling`` runs it.
The service runs with deploy/serve_config.autoscaling.yaml. Requests are sent when they are due, whether or not earlier
ones were answered, and a time counts from then.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import report
from benchmarks.harness.fake_versions import put_versions
from benchmarks.harness.service_process import PORT, ROOT, Service

CONFIG = ROOT / "deploy" / "serve_config.autoscaling.yaml"
ITEMS = 100_000
STEPS = ((0, 40), (30, 250), (70, 250), (70, 700), (85, 700), (85, 40), (165, 40))
"""Second, and requests a second from there on, straight between them: rise, plateau, burst, fall."""
MOST_CONNECTIONS = 2_000
PATIENCE_S = 10.0
DEPLOYMENTS = ("Ingress", "FeatureFetcher", "Predictor")


class Answer(NamedTuple):
    """One request: the second in which it was due, its status (0: none came), and how long it took."""

    second: int
    status: int
    ms: float


def rate_at(second: float) -> float:
    """Requests a second that the profile wants."""
    for (begin, low), (end, high) in pairwise(STEPS):
        if begin <= second < end:
            return low + (high - low) * (second - begin) / (end - begin)
    return STEPS[-1][1]


class Clients:
    """Connections that are kept; one is opened where none is idle."""

    def __init__(self) -> None:
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.busy = 0

    async def ask(self, path: str) -> int:
        """Status of an answer; sent once more where a kept connection had been closed."""
        self.busy += 1
        try:
            if self._idle:
                try:
                    return await self._ask(*self._idle.pop(), path)
                except (OSError, asyncio.IncompleteReadError):
                    pass
            return await self._ask(*await asyncio.open_connection("127.0.0.1", PORT), path)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            return 0
        finally:
            self.busy -= 1

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> int:
        try:
            async with asyncio.timeout(PATIENCE_S):
                writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
                length = next((int(each[15:]) for each in head if each.startswith(b"content-length:")), None)
                await reader.readexactly(length or 0)
        except BaseException:
            writer.close()
            raise
        if length is None or b"connection: close" in head:
            writer.close()  # HAProxy's own answers end with the connection
        else:
            self._idle.append((reader, writer))
        return int(head[0].split()[1])


async def drive(replicas: dict[int, dict[str, int]]) -> list[Answer]:
    """Send the profile; notes how many replicas there are in each second."""
    answers: list[Answer] = []
    clients, tasks = Clients(), set[asyncio.Task[None]]()
    start = time.perf_counter()

    async def one(turn: int, due: float) -> None:
        status = await clients.ask(f"/v1/users/{turn % 10_000}/recommendations")
        answers.append(Answer(int(due), status, (time.perf_counter() - start - due) * 1e3))

    due, turn = 0.0, 0
    while due < STEPS[-1][0]:
        await asyncio.sleep(max(0.0, due - (time.perf_counter() - start)))
        if int(due) not in replicas:
            replicas[int(due)] = await asyncio.to_thread(count)
        if clients.busy < MOST_CONNECTIONS:
            task = asyncio.create_task(one(turn, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        else:
            answers.append(Answer(int(due), 0, 0.0))
        due, turn = due + 1 / rate_at(due), turn + 1
    await asyncio.gather(*tasks)
    return answers


def count() -> dict[str, int]:
    """Replicas by deployment."""
    found = dict.fromkeys(DEPLOYMENTS, 0)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
        except OSError:
            continue
        for name in DEPLOYMENTS:
            found[name] += f"ServeReplica:recommender:{name}".encode() in title
    return found


def row(second: int, answers: list[Answer], replicas: dict[str, int]) -> dict[str, Any]:
    """One second of it."""
    good = sorted(each.ms for each in answers if each.status == 200)
    return {
        "second": second,
        "wanted_rps": round(rate_at(second)),
        "ok": len(good),
        "refused": sum(each.status == 503 for each in answers),
        "failed": sum(each.status not in {200, 503} for each in answers),
        "p50_ms": round(statistics.median(good), 1) if good else None,
        "p99_ms": round(good[min(len(good) - 1, int(0.99 * len(good)))], 1) if good else None,
        **{f"replicas_{name}": number for name, number in replicas.items()},
    }


def main() -> None:
    """Run the profile once."""
    args = {"dataset": "none", "training": {"full_every_s": None, "incremental_every_s": None}}
    replicas: dict[int, dict[str, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        put_versions(Path(folder) / "state", ITEMS, 1)
        with Service(Path(folder), args, config=CONFIG):
            answers = asyncio.run(drive(replicas))
    by_second: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        by_second[answer.second].append(answer)
    report.write("autoscaling", 0, [row(second, by_second[second], replicas[second]) for second in sorted(replicas)])


if __name__ == "__main__":
    main()
