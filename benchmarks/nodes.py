"""From a version that is published to the last replica, by number of nodes: ``python -m benchmarks.nodes``.

All nodes are raylets on this machine, each with an object store of its own: a snapshot is copied between them as over a
network, but over loopback, and they share its processors. What more nodes cost is an upper bound; what a network costs
is not in it.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import load, report
from benchmarks.broadcast import QUIET, path, swap
from benchmarks.service import ROOT
from benchmarks.versions import BYTES_AN_ITEM, put_versions, snapshot_mb

sys.path += [str(ROOT / "tests" / each) for each in ("cluster", "service", "stores")]
from running_cluster import RunningCluster
from store_servers import start_redis

SIZES_MB = (50, 500)
NODES = (1, 2, 3)
SWAPS = 10
STORE_BYTES = 2 << 30


def measure(folder: Path, size_mb: int, redis_url: str) -> list[dict[str, Any]]:
    """Swaps with one node, two and three, and a predictor on each."""
    versions = put_versions(folder / "state", size_mb * 1_000_000 // BYTES_AN_ITEM, 2)
    cluster = RunningCluster(folder, redis_url=redis_url, store_bytes=STORE_BYTES, **QUIET)
    rows = []
    try:
        cluster.start_head()
        for nodes in NODES:
            if nodes > 1:
                cluster.join()
            cluster.parts(Predictor={"num_replicas": nodes, "max_replicas_per_node": 1})
            cluster.put()
            cluster.wait_until_ready()
            cluster.wait_until_running()
            wait_for_replicas(cluster, nodes)
            load.measure(cluster.port, path, 2, 3)
            with cluster.client() as client:
                delays = [swap(client, versions[turn % 2]) for turn in range(SWAPS)]
            rows.append(
                {
                    "nodes": nodes,
                    "snapshot_mb": round(snapshot_mb(folder / "state"), 1),
                    "swaps": SWAPS,
                    "delay_median_ms": round(statistics.median(delays)),
                    "delay_max_ms": round(max(delays)),
                    "object_store_mb_by_node": cluster.object_store_mb(),
                }
            )
            print(rows[-1], flush=True)
    finally:
        cluster.stop()
    return rows


def wait_for_replicas(cluster: RunningCluster, number: int, within_s: float = 60) -> None:
    """Until so many predictors tell of themselves."""
    deadline = time.monotonic() + within_s
    with cluster.client() as client:
        while len(client.get("/v1/status").json()["replicas"]) != number:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def main() -> None:
    """Both sizes."""
    rows: list[dict[str, Any]] = []
    for size_mb in SIZES_MB:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(prefix="rs") as store:
            server = start_redis(Path(store))
            try:
                rows += measure(Path(folder), size_mb, server.tcp_url)
            finally:
                server.end()
    report.write("nodes", 0, rows)


if __name__ == "__main__":
    main()
