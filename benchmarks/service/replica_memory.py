"""Memory of four predictor replicas against one, with a snapshot of some weight."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import http_load, process_tree, report
from benchmarks.harness.service_process import PORT, Service

N_ITEMS = 400_000
DATASET = f"synthetic?n_users=2000&n_items={N_ITEMS}&n_interactions_per_user=50"
SMALL = "synthetic?n_users=200&n_items=100"
MODEL = {"epochs": 1, "no_components": 64}


def replicas_of(deployment: str) -> list[dict[str, int]]:
    """KiB of each replica that this process started, by kind."""
    found = (
        process_tree.memory_kib(pid) for pid in process_tree.called(f"ServeReplica:recommender:{deployment}".encode())
    )
    return [each for each in found if each]


def private_mib(processes: list[dict[str, int]]) -> int:
    """Mean of what each process has alone."""
    return sum(map(process_tree.private_kib, processes)) // len(processes) >> 10


def measure(dataset: str, replicas: int) -> dict[str, int]:
    """A service with that many predictors, after each has answered."""
    args = {"dataset": dataset, "model": MODEL, "training": {"holdout": 0}}
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), args, {"Predictor": replicas}):
        http_load.measure(PORT, lambda turn: f"/v1/users/u{turn % 200}/recommendations", 16, 5)
        found = replicas_of("Predictor")
        (version,) = (Path(folder) / "state" / "models").glob("0*")
        snapshot_mib = (version / "snapshot.safetensors").stat().st_size >> 20
    assert len(found) == replicas, f"{len(found)} predictors instead of {replicas}"
    return {
        "replicas": replicas,
        "snapshot_mib": snapshot_mib,
        "pss_mib": sum(each["Pss"] for each in found) >> 10,
        "private_mib_each": private_mib(found),
        "shared_once_mib": replicas * private_mib(found) + snapshot_mib,
        "a_copy_each_would_be_mib": replicas * (private_mib(found) + snapshot_mib),
    }


def main() -> None:
    """Four with next to no snapshot, then one and four with one of some weight."""
    bare = {"process_without_snapshot_mib": measure(SMALL, 4)["private_mib_each"]}
    one, four = (measure(DATASET, replicas) | bare for replicas in (1, 4))
    beyond = four["private_mib_each"] - four["process_without_snapshot_mib"]
    together = {
        "four_against_one": round(four["shared_once_mib"] / one["shared_once_mib"], 2),
        "each_beyond_its_process_in_snapshots": round(beyond / four["snapshot_mib"], 3),
    }
    report.write("memory", 0, [one, four, together])


if __name__ == "__main__":
    main()
