"""The service on MovieLens-100k against a graph of the same hops that does nothing, in one cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml

from benchmarks.harness import http_load, report
from benchmarks.harness.service_process import PORT, ROOT, Service

SECONDS, ROUNDS = 5.0, 3
CONNECTIONS = (1, 16, 64)
RENAMED = {"Ingress": "NoopIngress", "FeatureFetcher": "NoopFetcher", "Predictor": "NoopPredictor"}
PATHS = {
    "noop": lambda turn: f"/noop/{turn % 943 + 1}",
    "service": lambda turn: f"/v1/users/{turn % 943 + 1}/recommendations",
}


def noop_application() -> dict[str, object]:
    """The no-op graph with the numbers of serve_config.yaml."""
    ours = yaml.safe_load((ROOT / "serve_config.yaml").read_text())["applications"][0]
    named = [{**each, "name": RENAMED[each["name"]]} for each in ours["deployments"] if each["name"] in RENAMED]
    return {
        "name": "noop",
        "route_prefix": "/noop",
        "import_path": "benchmarks.harness.noop_graph:build",
        "logging_config": ours["logging_config"],
        "deployments": named,
    }


def measure(connections: int) -> dict[str, object]:
    """Both graphs in turns; the best round of each, so that a hiccup of the machine does not count."""
    best: dict[str, http_load.Load] = {}
    for _ in range(ROUNDS):
        for name, path in PATHS.items():
            seen = http_load.measure(PORT, path, connections, SECONDS)
            assert not seen.failed, f"{seen.failed} requests of {name} failed"
            if name not in best or seen.requests_per_s > best[name].requests_per_s:
                best[name] = seen
    noop, service = best["noop"], best["service"]
    return {
        "connections": connections,
        "noop_rps": round(noop.requests_per_s),
        "service_rps": round(service.requests_per_s),
        "ratio": round(service.requests_per_s / noop.requests_per_s, 2),
        "noop_p50_ms": round(noop.p50_ms, 1),
        "service_p50_ms": round(service.p50_ms, 1),
        "service_p99_ms": round(service.p99_ms, 1),
    }


def main() -> None:
    """Measure every number of connections."""
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), {}, more=(noop_application(),)) as service:
        service.wait_for("/noop/1")
        http_load.measure(PORT, PATHS["service"], 16, 2)
        rows = [measure(connections) for connections in CONNECTIONS]
    report.write("overhead", 0, rows)


if __name__ == "__main__":
    main()
