"""From a version on disk to every replica: how long it takes, what it costs requests, whether memory is given back.

Time runs from the call that activates a version to the moment when the last replica serves it: reading the file,
checking its hash and that all numbers are finite, one copy into the object store, and laying out on each replica.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import http_load, report
from benchmarks.harness.fake_versions import BYTES_AN_ITEM, put_versions, snapshot_mb
from benchmarks.harness.service_process import PORT, Service
from benchmarks.service.replica_memory import private_mib, replicas_of

SIZES_MB = (10, 51, 100, 500)
CONNECTIONS, PER_S, LOAD_S = 4, 100.0, 15.0
MANY_SWAPS, MANY_MB = 50, 100
REPLICAS, REPLICAS_MB = (1, 2, 4), 500
QUIET = {"dataset": "none", "training": {"full_every_s": None, "incremental_every_s": None}}


def swap(client: httpx.Client, version: str) -> float:
    """Activate a version; milliseconds until the last replica serves it."""
    begin = time.time()
    answer = client.put("/v1/models/active", json={"version": version})
    assert answer.status_code == 200, answer.text
    replicas = client.get("/v1/status").json()["replicas"]
    assert {each["model_version"] for each in replicas} == {version}
    return (max(float(each["serving_since"]) for each in replicas) - begin) * 1e3


class Swapping(threading.Thread):
    """Activates two versions in turns until it is stopped."""

    def __init__(self, client: httpx.Client, versions: list[str], pause_s: float = 0.5) -> None:
        super().__init__()
        self.delays_ms: list[float] = []
        self.finish = threading.Event()
        self._client, self._versions, self._pause_s = client, versions, pause_s

    def run(self) -> None:
        """Go on."""
        while not self.finish.wait(self._pause_s):
            self.delays_ms.append(swap(self._client, self._versions[len(self.delays_ms) % 2]))


def path(turn: int) -> str:
    """Request of the load."""
    return f"/v1/users/{turn % 10_000}/recommendations"


def measure(folder: Path, size_mb: int) -> dict[str, Any]:
    """Delay of swaps, and what requests see of them."""
    versions = put_versions(folder / "state", size_mb * 1_000_000 // BYTES_AN_ITEM, 2)
    with Service(folder, QUIET), httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
        http_load.measure(PORT, path, CONNECTIONS, 5)
        quiet = http_load.measure(PORT, path, CONNECTIONS, LOAD_S, PER_S)
        swapping = Swapping(client, versions)
        swapping.start()
        seen = http_load.measure(PORT, path, CONNECTIONS, LOAD_S, PER_S)
        swapping.finish.set()
        swapping.join()
        delays = swapping.delays_ms
        return {
            "snapshot_mb": round(snapshot_mb(folder / "state"), 1),
            "swaps": len(delays),
            "delay_median_ms": round(statistics.median(delays)),
            "delay_max_ms": round(max(delays)),
            "rps": round(seen.requests_per_s),
            "failed": seen.failed + quiet.failed,
            "p50_without_ms": round(quiet.p50_ms, 1),
            "p50_during_ms": round(seen.p50_ms, 1),
            "p99_without_ms": round(quiet.p99_ms, 1),
            "p99_during_ms": round(seen.p99_ms, 1),
        }


def given_back(folder: Path) -> dict[str, Any]:
    """Memory of the object store and of the predictors over many swaps."""
    versions = put_versions(folder / "state", MANY_MB * 1_000_000 // BYTES_AN_ITEM, 2)
    with Service(folder, QUIET), httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=30) as client:
        sizes = [pss_mib()]
        for turn in range(MANY_SWAPS):
            swap(client, versions[(turn + 1) % 2])
            http_load.measure(PORT, path, CONNECTIONS, 0.3)
            sizes.append(pss_mib())
        return {
            "swaps": MANY_SWAPS,
            "snapshot_mb": round(snapshot_mb(folder / "state"), 1),
            "predictors_pss_mib_first": sizes[0],
            "predictors_pss_mib_after_10": sizes[10],
            "predictors_pss_mib_last": sizes[-1],
            "predictors_pss_mib_most": max(sizes),
        }


def pss_mib() -> int:
    """Memory of all predictors, shared pages in shares."""
    return sum(each["Pss"] for each in replicas_of("Predictor")) >> 10


def shared(folder: Path, replicas: int) -> dict[str, Any]:
    """Memory of some replicas with one large snapshot."""
    put_versions(folder / "state", REPLICAS_MB * 1_000_000 // BYTES_AN_ITEM, 1)
    with Service(folder, QUIET, {"Predictor": replicas}):
        http_load.measure(PORT, path, 8, 5)
        found = replicas_of("Predictor")
        return {
            "replicas": replicas,
            "snapshot_mb": round(snapshot_mb(folder / "state"), 1),
            "private_mib_each": private_mib(found),
            "pss_mib": sum(each["Pss"] for each in found) >> 10,
            "a_process_without_snapshot_mib": private_mib(replicas_of("FeatureFetcher")),
        }


def main() -> None:
    """All three."""
    rows: list[dict[str, Any]] = []
    for size_mb in SIZES_MB:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Path(folder), size_mb))
            print(rows[-1], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rows.append(given_back(Path(folder)))
        print(rows[-1], flush=True)
    for replicas in REPLICAS:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(shared(Path(folder), replicas))
            print(rows[-1], flush=True)
    report.write("broadcast", 0, rows)


if __name__ == "__main__":
    main()
