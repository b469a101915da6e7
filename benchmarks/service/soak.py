"""Soak: load for a long time, faults and new models all along; nothing may fail, leak or slow down.

``python -m benchmarks.service.soak [MINUTES]`` starts a service of its own, and writes ``results/soak.json`` and,
where matplotlib is installed, ``results/soak.png``. A model is trained every ten seconds; a process is killed every
minute, or more often where each of them would not have its turn otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import signal
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import process_tree
from benchmarks.harness.service_process import PORT, Service

READS_PER_S, WRITES_PER_S, LOOK_EVERY_S, SWAP_EVERY_S, FAULT_EVERY_S = 40, 10, 10, 10, 60
AT_ONCE_MS = 100
FIRST_MS = 350
"""A write under way when the store goes away waits for its own deadline of 250 ms."""
VICTIMS = (
    b"ServeReplica:recommender:Predictor",
    b"ServeReplica:recommender:FeatureFetcher",
    b"ServeReplica:recommender:Trainer",
    b"valkey-server",
    b"ray::ModelStore",
    b"ray::ServeController",
    b"ServeReplica:recommender:Ingress",
    b"ray::HAProxyManager",
)
OBJECTS = {
    "objects": "ray_object_store_num_local_objects",
    "object_bytes": "ray_object_store_used_memory",
    "references": "ray_owned_objects",
}
"""What Ray tells Prometheus of its object store."""
SHOWN = ("pss_mb", "descriptors", "objects", "references", "p99_ms")
RESULTS = Path(__file__).parents[1] / "results"


class Client:
    """One connection that is opened again when it breaks; remembers what failed.

    What is sent on a kept connection that turns out to be closed is sent again on a new one: reads change nothing,
    and each write has an event id.
    """

    def __init__(self) -> None:
        self.ms: list[float] = []
        self.failed: list[tuple[float, str, int, int]] = []
        self.repeated = self.refused = 0
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status, 0 when there was no answer, and body."""
        begin, was_kept = time.perf_counter(), self._link is not None
        status, head, content = await self._exchange(method, path, body)
        if not status and was_kept:
            self.repeated += 1
            status, head, content = await self._exchange(method, path, body)
        ms = (time.perf_counter() - begin) * 1e3
        self.ms.append(ms)
        at_once_ms = FIRST_MS if body else AT_ONCE_MS
        promptly_refused = status == 503 and b"retry-after" in head and ms <= at_once_ms
        self.refused += promptly_refused
        if not (200 <= status < 500 or promptly_refused):
            self.failed.append((time.time(), f"{method} {path}", status, round(ms)))
        return status, content

    async def _exchange(self, method: str, path: str, body: bytes) -> tuple[int, bytes, bytes]:
        try:
            self._link = self._link or await asyncio.open_connection("127.0.0.1", PORT)
            reader, writer = self._link
            lines = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            writer.write(f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r")[0]
            return int(head[9:12]), head, await reader.readexactly(int(length or 0))
        except (OSError, asyncio.IncompleteReadError):
            if self._link is not None:
                self._link[1].close()
            self._link = None
            return 0, b"", b""


async def _every(seconds: float, until: float, act: Callable[[int], Awaitable[None]]) -> None:
    turn = 0
    while time.monotonic() < until:
        begin = time.monotonic()
        await act(turn)
        turn += 1
        await asyncio.sleep(max(0.0, begin + seconds - time.monotonic()))


async def _soak(minutes: float, session: Path) -> dict[str, Any]:
    until = time.monotonic() + 60 * minutes
    fault_every_s = min(FAULT_EVERY_S, 60 * minutes / (len(VICTIMS) + 1))
    reader, writer, looker = clients = Client(), Client(), Client()
    looks: list[dict[str, Any]] = []
    faults: list[tuple[float, str]] = []

    async def read(turn: int) -> None:
        await reader.ask("GET", f"/v1/users/u{turn % 1000}/recommendations")

    async def write(turn: int) -> None:
        event = {"user_id": f"u{turn % 1000}", "item_id": f"i{turn % 1000}", "event_id": f"soak-{os.getpid()}-{turn}"}
        await writer.ask("POST", "/v1/interactions", json.dumps({"interactions": [event]}).encode())

    async def look(_: int) -> None:
        _, content = await looker.ask("GET", "/v1/status")
        recent = sorted(reader.ms[-READS_PER_S * LOOK_EVERY_S :] or [0.0])
        held = await asyncio.to_thread(lambda: {**process_tree.resources(), **_objects(session)})
        version, p99_ms = json.loads(content or b"{}").get("model_version"), recent[int(0.99 * (len(recent) - 1))]
        looks.append({"at": time.time(), "version": version, "p99_ms": round(p99_ms, 1), **held})

    async def break_one(turn: int) -> None:
        if turn:
            title = VICTIMS[(turn - 1) % len(VICTIMS)]
            os.kill(process_tree.called(title)[0], signal.SIGKILL)
            faults.append((time.time(), title.decode()))

    await asyncio.gather(
        _every(1 / READS_PER_S, until, read),
        _every(1 / WRITES_PER_S, until, write),
        _every(LOOK_EVERY_S, until, look),
        _every(fault_every_s, until - fault_every_s / 2, break_one),
    )
    return {
        "minutes": minutes,
        "requests": sum(len(client.ms) for client in clients),
        "failed": [each for client in clients for each in client.failed],
        "refused": sum(client.refused for client in clients),
        "sent_again": sum(client.repeated for client in clients),
        "models": len({each["version"] for each in looks}),
        "p50_ms": round(statistics.median(reader.ms), 1),
        "growth": {name: _growth(looks, name) for name in SHOWN},
        "faults": faults,
        "looks": looks,
    }


def _growth(looks: list[dict[str, Any]], name: str) -> list[float]:
    """Medians of the second and of the last quarter; the first one warms up."""
    quarter = len(looks) // 4
    return [statistics.median(each[name] for each in part) for part in (looks[quarter : 2 * quarter], looks[-quarter:])]


def _objects(session: Path) -> dict[str, float]:
    """What Ray's object store holds."""
    found = dict.fromkeys(OBJECTS, 0.0)
    targets = json.loads((session / "prom_metrics_service_discovery.json").read_text())
    for address in {address for each in targets for address in each["targets"]}:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as page:
            for line in page.read().decode().splitlines():
                for name, metric in OBJECTS.items():
                    if line.startswith(metric + "{"):
                        found[name] += float(line.rpartition(" ")[2])
    return found


def _plot(found: dict[str, Any]) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        return
    import matplotlib  # noqa: PLC0415 (only where it is installed)

    matplotlib.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    looks, begin = found["looks"], found["looks"][0]["at"]
    figure, axes = pyplot.subplots(len(SHOWN), sharex=True, figsize=(9, 10), layout="constrained")
    for axis, name in zip(axes, SHOWN, strict=True):
        axis.plot([(each["at"] - begin) / 60 for each in looks], [each[name] for each in looks])
        axis.set_ylabel(name)
        axis.set_ylim(0, 1.15 * max(each[name] for each in looks))
        for at, _ in found["faults"]:
            axis.axvline((at - begin) / 60, color="red", alpha=0.3)
    for at, title in found["faults"]:
        axes[0].annotate(title.rpartition(":")[2], ((at - begin) / 60, 0), rotation=90, fontsize=7, va="bottom")
    axes[-1].set_xlabel("minutes; red: something was killed")
    figure.savefig(RESULTS / "soak.png")


def main() -> None:
    """Soak, and fail when anything failed."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    often = {"incremental_every_s": SWAP_EVERY_S, "full_every_s": None, "min_interactions": 1, "margin": 10}
    args = {"dataset": "synthetic?n_users=1000&n_items=1000", "training": often}
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), args) as service:
        found = asyncio.run(_soak(minutes, service.session))
    (RESULTS / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    _plot(found)
    print(json.dumps({name: found[name] for name in found if name not in ("looks", "faults")}, indent=1))
    sys.exit(bool(found["failed"]))


if __name__ == "__main__":
    main()
