"""The whole service against two plain servers, by catalogue and by connections, in one run.

All serve the same weights from the same machine with the same Redis. *flask* is the original's design: Flask under
gunicorn, LightFM's own scoring, pandas. *plain* is what a backend engineer would write instead, see
`benchmarks.harness.plain_server`. Each has as many workers as we have replicas. They are asked in turns by wrk, over
keep-alive connections, each while the others idle; then at a steady rate, by a client of our own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from benchmarks.harness import flask_baseline, http_load, process_tree, report, wrk
from benchmarks.harness.fake_versions import put_versions
from benchmarks.harness.service_process import BIN, PORT, ROOT, Service
from benchmarks.search.seed_path import N_USERS
from benchmarks.service.publish_latency import QUIET
from recommender.stores.embedded_valkey import EmbeddedValkey

SIZES = (1_700, 100_000, 1_000_000)
CONNECTIONS = (1, 4, 16, 64, 256)
RATE_CONNECTIONS = 64
FLASK_PORT, PLAIN_PORT, WORKERS, THREADS = 8001, 8002, 2, 32
SECONDS, ROUNDS, ROUNDS_AT_A_RATE = 3.0, 2, 3


class Server(NamedTuple):
    """Who is asked, where and for what."""

    name: str
    port: int
    path: str


FLASK = Server("flask", FLASK_PORT, "/%d")
PLAIN = Server("plain", PLAIN_PORT, "/%d")
SERVICE = Server("service", PORT, "/v1/users/%d/recommendations")


def ours(turn: int) -> str:
    """Request to the service."""
    return _path(SERVICE.path, turn)


def _path(path: str, turn: int) -> str:
    return path % (turn % N_USERS)


@contextmanager
def running(command: Sequence[str | Path], port: int, n_items: int, redis_url: str, log: Path) -> Iterator[None]:
    """A plain server, until the end of the block."""
    variables = {"YARDSTICK_ITEMS": str(n_items), "YARDSTICK_REDIS": redis_url, "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + 120
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text())
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(30)


def flask_command() -> list[str | Path]:
    """Flask under gunicorn."""
    command = [BIN / "gunicorn", "--preload", "-w", str(WORKERS), "-k", "gthread", "--threads", str(THREADS)]
    command += ["--keep-alive", "60", "--timeout", "300", "-b", f"127.0.0.1:{FLASK_PORT}"]
    return [*command, "benchmarks.harness.flask_baseline:build()"]


def plain_command() -> list[str | Path]:
    """Starlette under uvicorn."""
    command = [BIN / "uvicorn", "--factory", "--workers", str(WORKERS), "--port", str(PLAIN_PORT)]
    return [*command, "--log-level", "warning", "benchmarks.harness.plain_server:build"]


def _listens(port: int) -> bool:
    try:
        # not a connection alone: uvicorn listens before its workers are there
        return httpx.get(f"http://127.0.0.1:{port}/1", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def best_of(server: Server, connections: int, rounds: int = ROUNDS) -> http_load.Load:
    """Round with the most requests, so that a hiccup of the machine does not count."""
    process_tree.wait_until_idle()
    seen = [wrk.measure(server.port, server.path, N_USERS, connections, SECONDS) for _ in range(rounds)]
    return max(seen, key=lambda each: each.requests_per_s)


def at_rates(rates: Mapping[Server, float]) -> dict[str, http_load.Load]:
    """Latencies of requests that arrive evenly, by the name of the server; medians of rounds in turns."""
    seen: dict[str, list[http_load.Load]] = {server.name: [] for server in rates}
    for _ in range(ROUNDS_AT_A_RATE):
        for server, per_s in rates.items():
            process_tree.wait_until_idle()
            load = http_load.measure(server.port, partial(_path, server.path), RATE_CONNECTIONS, 2 * SECONDS, per_s)
            seen[server.name].append(load)
    return {name: _middle(loads) for name, loads in seen.items()}


def _middle(loads: Sequence[http_load.Load]) -> http_load.Load:
    return http_load.Load(*(statistics.median(values) for values in zip(*loads, strict=True)))  # type: ignore[arg-type]


def measure(n_items: int, connections: Sequence[int] = CONNECTIONS) -> list[dict[str, Any]]:
    """All servers with a catalogue of this size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put_versions(folder / "state", n_items, 1)
        store = EmbeddedValkey(folder / "redis")
        store.start()
        try:
            flask_baseline.put_users(store.url)
            with (
                Service(folder, {**QUIET, "redis_url": store.url}),
                running(flask_command(), FLASK_PORT, n_items, store.url, folder / "flask.log"),
                running(plain_command(), PLAIN_PORT, n_items, store.url, folder / "plain.log"),
            ):
                return _measured(n_items, connections)
        finally:
            store.stop()


def _measured(n_items: int, connections: Sequence[int]) -> list[dict[str, Any]]:
    answer = httpx.get(f"http://127.0.0.1:{PORT}{ours(7)}").json()
    if answer["strategy"] != "personalized":
        raise RuntimeError(f"the service does not know the users: {answer}")
    wrk.measure(SERVICE.port, SERVICE.path, N_USERS, 16, SECONDS)
    rows = [_row(n_items, number) for number in connections]
    most = {server: max(float(row[f"{server.name}_rps"]) for row in rows) for server in (FLASK, PLAIN, SERVICE)}
    half = at_rates({server: per_s / 2 for server, per_s in most.items()})
    rows.append(
        {
            "items": n_items,
            "load_average": round(os.getloadavg()[0], 1),
            "most_against_most": round(most[SERVICE] / most[PLAIN], 2),
            **_at_half_load(half),
        }
    )
    print(rows[-1], flush=True)
    return rows


def _at_half_load(loads: Mapping[str, http_load.Load]) -> dict[str, float]:
    both = [(f"{name}_p50_at_half_load_ms", load.p50_ms) for name, load in loads.items()]
    both += [(f"{name}_p99_at_half_load_ms", load.p99_ms) for name, load in loads.items()]
    return {key: round(ms, 1) for key, ms in both}


def _row(n_items: int, connections: int) -> dict[str, Any]:
    """One number of connections."""
    loads = {server.name: best_of(server, connections) for server in (FLASK, PLAIN, SERVICE)}
    row = {
        "items": n_items,
        "connections": connections,
        **{f"{name}_rps": round(load.requests_per_s, 1) for name, load in loads.items()},
        "ratio": round(loads["service"].requests_per_s / loads["plain"].requests_per_s, 2),
        **{f"{name}_p50_ms": round(load.p50_ms, 2) for name, load in loads.items()},
        "service_p99_ms": round(loads["service"].p99_ms, 2),
        "service_failed": loads["service"].failed,
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(row, flush=True)
    return row


def main() -> None:
    """Every size."""
    report.write("whole", 0, [row for n_items in SIZES for row in measure(n_items)])


if __name__ == "__main__":
    main()
