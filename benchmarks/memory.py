"""Memory of four predictor replicas against one, with a snapshot of some weight."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks import family, load, report
from benchmarks.service import PORT, Service

N_ITEMS = 400_000
DATASET = f"synthetic?n_users=2000&n_items={N_ITEMS}&n_interactions_per_user=50"
MODEL = {"epochs": 1, "no_components": 64}


def replicas_of(deployment: str) -> list[dict[str, int]]:
    """KiB of each replica that this process started, by kind."""
    found = (family.memory_kib(pid) for pid in family.called(f"ServeReplica:recommender:{deployment}".encode()))
    return [each for each in found if each]


def private_mib(processes: list[dict[str, int]]) -> int:
    """Mean of what each process has alone."""
    return sum(map(family.private_kib, processes)) // len(processes) >> 10


def measure(replicas: int) -> dict[str, int]:
    """A service with that many predictors, after each has answered."""
    args = {"dataset": DATASET, "model": MODEL, "training": {"holdout": 0}}
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), args, {"Predictor": replicas}):
        load.measure(PORT, lambda turn: f"/v1/users/u{turn % 2000}/recommendations", 16, 5)
        found, bare = replicas_of("Predictor"), replicas_of("FeatureFetcher")
        (version,) = (Path(folder) / "state" / "models").glob("0*")
        snapshot_mib = (version / "snapshot.safetensors").stat().st_size >> 20
    assert len(found) == replicas, f"{len(found)} predictors instead of {replicas}"
    return {
        "replicas": replicas,
        "snapshot_mib": snapshot_mib,
        "pss_mib": sum(each["Pss"] for each in found) >> 10,
        "private_mib_each": private_mib(found),
        "process_without_snapshot_mib": private_mib(bare),
        "shared_once_mib": replicas * private_mib(found) + snapshot_mib,
        "a_copy_each_would_be_mib": replicas * (private_mib(found) + snapshot_mib),
    }


def main() -> None:
    """One, then four."""
    rows: list[dict[str, object]] = [dict(measure(replicas)) for replicas in (1, 4)]
    one, four = (int(str(row["shared_once_mib"])) for row in rows)
    rows.append({"four_against_one": round(four / one, 2)})
    report.write("memory", 0, rows)


if __name__ == "__main__":
    main()
