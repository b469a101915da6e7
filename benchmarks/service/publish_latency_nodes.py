"""A version that is made to serve on 1, 2 and 3 nodes: how long until the last replica has it, and what a node holds.

All nodes are on this machine, so their copying and reading share its processors, and no real network is between them.
Each has a raylet, an object store and one predictor of its own. Time runs as in `broadcast`, from the call to the
moment when the last replica serves.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.harness import http_load, process_tree, report
from benchmarks.harness.cluster_process import Cluster, wait_until
from benchmarks.harness.fake_versions import BYTES_AN_ITEM, put_versions, snapshot_mb
from benchmarks.service.publish_latency import QUIET

NODES = (1, 2, 3)
SIZES_MB = (50, 500)
SWAPS = 12
PAUSE_S = 0.5
STORES = 4
"""Snapshots that an object store has room for: two while they swap, and as many again."""


def swap(client: httpx.Client, version: str, nodes: int) -> list[float]:
    """Activate a version; milliseconds until each replica serves it, soonest first."""
    begin = time.time()
    client.put("/v1/models/active", json={"version": version})  # may be told that it takes longer than a request may
    wait_until(lambda: served(client) == [version] * nodes)
    replicas = client.get("/v1/status").json()["replicas"]
    return sorted((float(each["serving_since"]) - begin) * 1e3 for each in replicas)


def served(client: httpx.Client) -> list[str]:
    """Version of each replica."""
    return [each["model_version"] for each in client.get("/v1/status").json()["replicas"]]


def measure(folder: Path, size_mb: int, nodes: int) -> dict[str, Any]:
    """A cluster of that many nodes, and a snapshot of that size."""
    versions = put_versions(folder / "state", size_mb * 1_000_000 // BYTES_AN_ITEM, 2)
    one_mb = snapshot_mb(folder / "state")
    parts = {"Predictor": {"num_replicas": nodes, "max_replicas_per_node": 1}}
    with (
        Cluster(folder, nodes, int(STORES * one_mb * 1e6), QUIET, parts) as cluster,
        cluster.client() as client,
    ):
        delays = []
        for turn in range(SWAPS + 1):
            delays.append(swap(client, versions[turn % 2], nodes))
            time.sleep(PAUSE_S)
        del delays[0]  # which also made the first object transfer of each node
        http_load.measure(cluster.port, lambda turn: f"/v1/users/{turn % 10_000}/recommendations", 4, 5)
        # the version before is given back when the last replica has let go of it
        wait_until(lambda: max(cluster.object_store_bytes()) < 1.5e6 * one_mb)
        held = [used / 1e6 for used in cluster.object_store_bytes()]
        found = [process_tree.memory_kib(pid) for (pid,) in cluster.replicas("Predictor")]
        bare = [process_tree.memory_kib(pid) for pids in cluster.replicas("FeatureFetcher") for pid in pids]
    return {
        "nodes": nodes,
        "snapshot_mb": round(one_mb, 1),
        "swaps": len(delays),
        "first_median_ms": round(statistics.median(each[0] for each in delays)),
        "last_median_ms": round(statistics.median(each[-1] for each in delays)),
        "last_max_ms": round(max(each[-1] for each in delays)),
        "object_store_mb": [round(each, 1) for each in held],
        "predictor_rss_mib": [each["Rss"] >> 10 for each in found],
        "predictor_pss_mib": [each["Pss"] >> 10 for each in found],
        "predictor_private_mib": [process_tree.private_kib(each) >> 10 for each in found],
        "fetcher_private_mib": [process_tree.private_kib(each) >> 10 for each in bare],
    }


def main() -> None:
    """Every size on every number of nodes."""
    rows: list[dict[str, Any]] = []
    for size_mb in SIZES_MB:
        for nodes in NODES:
            with tempfile.TemporaryDirectory() as folder:
                row = measure(Path(folder), size_mb, nodes)
            one = row if nodes == 1 else next(each for each in reversed(rows) if each["nodes"] == 1)
            row["last_to_one_node"] = round(row["last_median_ms"] / one["last_median_ms"], 2)
            row["store_a_node_to_one_node"] = round(max(row["object_store_mb"]) / max(one["object_store_mb"]), 2)
            rows.append(row)
            print(row, flush=True)
    report.write("nodes", 0, rows)


if __name__ == "__main__":
    main()
