"""The whole service against a plain server of the original's design, by catalogue and by connections, in one run.

Both serve the same weights from the same machine with the same Redis; the plain one has as many workers as we have
predictors. They are asked in turns, over keep-alive connections, each while the other idles.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import flask_baseline, http_load, report
from benchmarks.harness.fake_versions import put_versions
from benchmarks.harness.service_process import BIN, PORT, ROOT, Service
from benchmarks.service.publish_latency import QUIET
from recommender.stores.embedded_valkey import EmbeddedValkey

SIZES = (1_700, 100_000, 1_000_000)
CONNECTIONS = (1, 4, 16, 64)
YARDSTICK_PORT, WORKERS, THREADS = 8001, 2, 32
SECONDS, ROUNDS, ROUNDS_AT_A_RATE = 4.0, 2, 3

Path_ = Callable[[int], str]


def ours(turn: int) -> str:
    """Request to the service."""
    return f"/v1/users/{turn % 10_000}/recommendations"


def theirs(turn: int) -> str:
    """Request to the plain server."""
    return f"/{turn % 10_000}"


@contextmanager
def plain_server(n_items: int, redis_url: str, log: Path) -> Iterator[None]:
    """Flask under gunicorn, until the end of the block."""
    command = [BIN / "gunicorn", "--preload", "-w", str(WORKERS), "-k", "gthread", "--threads", str(THREADS)]
    command += ["--keep-alive", "60", "--timeout", "300", "-b", f"127.0.0.1:{YARDSTICK_PORT}"]
    variables = {"YARDSTICK_ITEMS": str(n_items), "YARDSTICK_REDIS": redis_url, "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "benchmarks.harness.flask_baseline:build()"],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=file,
            stderr=file,
        )
    try:
        deadline = time.monotonic() + 120
        while not _listens(YARDSTICK_PORT):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def best_of(rounds: int, port: int, path: Path_, connections: int) -> http_load.Load:
    """Round with the most requests, so that a hiccup of the machine does not count."""
    seen = [http_load.measure(port, path, connections, SECONDS) for _ in range(rounds)]
    assert not sum(each.failed for each in seen), f"requests to port {port} failed"
    return max(seen, key=lambda each: each.requests_per_s)


def at_rates(
    rates: Mapping[str, float], seconds: float = 2 * SECONDS, rounds: int = ROUNDS_AT_A_RATE
) -> dict[str, http_load.Load]:
    """Latencies at a rate of requests that arrive evenly, by the name of the rate; medians of rounds in turns.

    A name says who is asked: ``plain`` or ``service``, and what else after a blank.
    """
    ports = {"plain": (YARDSTICK_PORT, theirs), "service": (PORT, ours)}
    seen: dict[str, list[http_load.Load]] = {name: [] for name in rates}
    for _ in range(rounds):
        for name, per_s in rates.items():
            seen[name].append(http_load.measure(*ports[name.split()[0]], max(CONNECTIONS), seconds, per_s))
    return {name: _middle(loads) for name, loads in seen.items()}


def _middle(loads: Sequence[http_load.Load]) -> http_load.Load:
    assert not sum(each.failed for each in loads), "requests at half load failed"
    return http_load.Load(*(statistics.median(values) for values in zip(*loads, strict=True)))  # type: ignore[arg-type]


def measure(n_items: int, connections: Sequence[int] = CONNECTIONS) -> list[dict[str, Any]]:
    """Both servers with a catalogue of this size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put_versions(folder / "state", n_items, 1)
        store = EmbeddedValkey(folder / "redis")
        store.start()
        try:
            flask_baseline.put_users(store.url)
            with (
                Service(folder, {**QUIET, "redis_url": store.url}),
                plain_server(n_items, store.url, folder / "gunicorn.log"),
            ):
                return _measured(n_items, connections)
        finally:
            store.stop()


def _measured(n_items: int, connections: Sequence[int]) -> list[dict[str, Any]]:
    answer = httpx.get(f"http://127.0.0.1:{PORT}{ours(7)}").json()
    assert answer["strategy"] == "personalized", answer
    http_load.measure(PORT, ours, 16, 3)
    rows = []
    for number in connections:
        plain = best_of(ROUNDS, YARDSTICK_PORT, theirs, number)
        service = best_of(ROUNDS, PORT, ours, number)
        rows.append(
            {
                "items": n_items,
                "connections": number,
                "plain_rps": round(plain.requests_per_s, 1),
                "service_rps": round(service.requests_per_s, 1),
                "ratio": round(service.requests_per_s / plain.requests_per_s, 2),
                "plain_p50_ms": round(plain.p50_ms, 1),
                "service_p50_ms": round(service.p50_ms, 1),
                "service_p99_ms": round(service.p99_ms, 1),
            }
        )
        print(rows[-1], flush=True)
    plain_most, service_most = (max(float(row[f"{who}_rps"]) for row in rows) for who in ("plain", "service"))
    # each at half of its own best rate, and the service also at half of the plain one's
    half = at_rates({"plain": plain_most / 2, "service": service_most / 2, "service as plain": plain_most / 2})
    rows.append(
        {
            "items": n_items,
            "most_against_most": round(service_most / plain_most, 2),
            "plain_p50_at_half_load_ms": round(half["plain"].p50_ms, 1),
            "service_p50_at_half_load_ms": round(half["service"].p50_ms, 1),
            "service_p99_at_half_load_ms": round(half["service"].p99_ms, 1),
            "service_p99_at_half_of_plain_ms": round(half["service as plain"].p99_ms, 1),
        }
    )
    print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Every size."""
    report.write("whole", 0, [row for n_items in SIZES for row in measure(n_items)])


if __name__ == "__main__":
    main()
