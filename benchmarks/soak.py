"""Soak: load for a long time, a fault a minute and a model every ten seconds; nothing may fail, leak or slow down.

``python -m benchmarks.soak [MINUTES]`` starts a service of its own, and writes ``results/soak.json`` and,
where matplotlib is installed, ``results/soak.png``.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.service import PORT, Service

READS_PER_S, WRITES_PER_S, LOOK_EVERY_S, SWAP_EVERY_S, FAULT_EVERY_S = 40, 10, 10, 10, 60
AT_ONCE_MS = 100
VICTIMS = (
    b"ServeReplica:recommender:Predictor",
    b"ServeReplica:recommender:FeatureFetcher",
    b"ServeReplica:recommender:Trainer",
    b"valkey-server",
    b"ray::ModelStore",
    b"ray::ServeController",
    b"ServeReplica:recommender:Ingress",
)
RESULTS = Path(__file__).parent / "results"


class Client:
    """One connection that is opened again when it breaks; remembers what failed."""

    def __init__(self) -> None:
        self.ms: list[float] = []
        self.failed: list[tuple[float, str, int]] = []
        self._link: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status, 0 when the connection broke, and body."""
        begin, status, content, may_come_back = time.perf_counter(), 0, b"", False
        try:
            self._link = self._link or await asyncio.open_connection("127.0.0.1", PORT)
            reader, writer = self._link
            lines = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            writer.write(f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            content = await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r")[0]))
            status, may_come_back = int(head[9:12]), b"retry-after" in head
        except (OSError, asyncio.IncompleteReadError):
            self._link = None
        ms = (time.perf_counter() - begin) * 1e3
        self.ms.append(ms)
        promptly_refused = status == 503 and may_come_back and ms <= AT_ONCE_MS
        if not (200 <= status < 500 or promptly_refused):
            self.failed.append((time.time(), f"{method} {path}", status))
        return status, content


async def _every(seconds: float, until: float, act: Any) -> None:
    turn = 0
    while time.monotonic() < until:
        begin = time.monotonic()
        await act(turn)
        turn += 1
        await asyncio.sleep(max(0.0, begin + seconds - time.monotonic()))


async def _soak(minutes: float) -> dict[str, Any]:
    until = time.monotonic() + 60 * minutes
    reader, writer, looker = Client(), Client(), Client()
    looks: list[dict[str, Any]] = []
    faults: list[tuple[float, str]] = []

    async def read(turn: int) -> None:
        await reader.ask("GET", f"/v1/users/u{turn % 1000}/recommendations")

    async def write(turn: int) -> None:
        event = {"user_id": f"u{turn % 1000}", "item_id": f"i{turn % 1000}", "event_id": f"soak-{os.getpid()}-{turn}"}
        await writer.ask("POST", "/v1/interactions", json.dumps({"interactions": [event]}).encode())

    async def look(_: int) -> None:
        _, content = await looker.ask("GET", "/v1/status")
        version = json.loads(content or b"{}").get("model_version")
        recent = reader.ms[-READS_PER_S * LOOK_EVERY_S :] or [0.0]
        p99 = sorted(recent)[int(0.99 * (len(recent) - 1))]
        looks.append({"at": time.time(), "version": version, "p99_ms": round(p99, 1), **_resources()})

    async def break_one(turn: int) -> None:
        if turn:
            title = VICTIMS[(turn - 1) % len(VICTIMS)]
            victims = [pid for pid in _family() if title in _words(pid)]
            if victims:
                os.kill(victims[0], signal.SIGKILL)
            faults.append((time.time(), title.decode()))

    await asyncio.gather(
        _every(1 / READS_PER_S, until, read),
        _every(1 / WRITES_PER_S, until, write),
        _every(LOOK_EVERY_S, until, look),
        _every(FAULT_EVERY_S, until, break_one),
    )
    failed = [each for client in (reader, writer, looker) for each in client.failed]
    requests = sum(len(client.ms) for client in (reader, writer, looker))
    return {
        "minutes": minutes,
        "requests": requests,
        "failed": failed,
        "models": len({each["version"] for each in looks}),
        "p50_ms": round(statistics.median(reader.ms), 1),
        "faults": faults,
        "looks": looks,
    }


def _resources() -> dict[str, int]:
    """Of the whole service: proportional memory, descriptors, threads; and what the object store holds."""
    found = {"pss_mb": 0, "descriptors": 0, "threads": 0}
    for pid in _family():
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found["pss_mb"] += int(rollup.partition("Pss:")[2].split()[0]) // 1024
            found["descriptors"] += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            found["threads"] += len(list(Path(f"/proc/{pid}/task").iterdir()))
        except (OSError, IndexError):
            continue
    return found


def _family() -> list[int]:
    """All that came from this process."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {os.getpid()})


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _plot(found: dict[str, Any]) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib import pyplot  # noqa: PLC0415 (only where it is installed)

    looks, begin = found["looks"], found["looks"][0]["at"]
    figure, axes = pyplot.subplots(3, sharex=True, figsize=(9, 7))
    for axis, name in zip(axes, ("pss_mb", "descriptors", "p99_ms"), strict=True):
        axis.plot([(each["at"] - begin) / 60 for each in looks], [each[name] for each in looks])
        axis.set_ylabel(name)
        for at, _ in found["faults"]:
            axis.axvline((at - begin) / 60, color="red", alpha=0.3)
    axes[-1].set_xlabel("minutes; red: something was killed")
    figure.savefig(RESULTS / "soak.png")


def main() -> None:
    """Soak, and fail when anything failed."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    often = {"incremental_every_s": SWAP_EVERY_S, "full_every_s": None, "min_interactions": 1, "margin": 10}
    args = {"dataset": "synthetic?n_users=1000&n_items=1000", "training": often}
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), args):
        found = asyncio.run(_soak(minutes))
    (RESULTS / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    _plot(found)
    print(
        {name: found[name] for name in ("requests", "failed", "models", "p50_ms")},
        found["looks"][0],
        found["looks"][-1],
    )
    sys.exit(bool(found["failed"]))


if __name__ == "__main__":
    main()
