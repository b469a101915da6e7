"""Requests a second by number of predictors: what more of them give on two cores, and what they take."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.harness import http_load, report
from benchmarks.harness.fake_versions import put_versions, snapshot_mb
from benchmarks.harness.service_process import PORT, Service
from benchmarks.service.publish_latency import QUIET
from benchmarks.service.replica_memory import private_mib, replicas_of
from benchmarks.service.service_vs_plain import ours
from benchmarks.service.sizing import processor_s

SIZES, REPLICAS = (1_700, 1_000_000), (1, 2, 4)
CONNECTIONS, SECONDS, ROUNDS = 64, 4.0, 3


def measure(n_items: int, replicas: int) -> dict[str, Any]:
    """The best round of a service with so many predictors, and who worked in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        put_versions(folder / "state", n_items, 1)
        with Service(folder, QUIET, {"Predictor": replicas}) as service:
            http_load.measure(PORT, ours, CONNECTIONS, SECONDS)
            rounds = [_round(service) for _ in range(ROUNDS)]
            found = replicas_of("Predictor")
        best = max(rounds, key=lambda each: float(each["rps"]))
        return {
            "items": n_items,
            "predictors": replicas,
            **best,
            "snapshot_mb": round(snapshot_mb(folder / "state"), 1),
            "pss_mib": sum(each["Pss"] for each in found) >> 10,
            "private_mib_each": private_mib(found),
        }


def _round(service: Service) -> dict[str, Any]:
    before = processor_s(service.pid)
    seen = http_load.measure(PORT, ours, CONNECTIONS, SECONDS)
    assert not seen.failed, f"{seen.failed} requests failed"
    spent = processor_s(service.pid)
    busy = {part: round((spent[part] - before[part]) / SECONDS, 2) for part in ("ingress", "fetcher", "predictor")}
    return {
        "rps": round(seen.requests_per_s),
        "p50_ms": round(seen.p50_ms, 1),
        "p99_ms": round(seen.p99_ms, 1),
        "busy_cores": busy,
    }


def main() -> None:
    """Every size with every number of predictors."""
    rows = []
    for n_items in SIZES:
        for replicas in REPLICAS:
            rows.append(measure(n_items, replicas))
            print(rows[-1], flush=True)
    report.write("replicas", 0, rows)


if __name__ == "__main__":
    main()
